from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery import fieldset
from kafila.machinery.fieldset import FieldSet, Path

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'k:{"port":80}', 'v:"1"', "v:2", "i:0"])
PATHS = st.lists(st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple), max_size=8)


def members(fields: FieldSet) -> set[Path]:
    return set(fieldset.paths(fields))


@given(PATHS, PATHS)
def test_algebra_is_that_of_sets_of_paths(left: list[Path], right: list[Path]) -> None:
    a, b = fieldset.in_order(fieldset.from_paths(left)), fieldset.in_order(fieldset.from_paths(right))
    before = copy.deepcopy((a, b))
    assert members(a) == set(left)
    assert members(fieldset.union(a, b)) == set(left) | set(right)
    assert members(fieldset.intersection(a, b)) == set(left) & set(right)
    assert members(fieldset.difference(a, b)) == set(left) - set(right)
    assert members(fieldset.recursive_difference(a, b)) == {
        path for path in left if not any(path[: len(one)] == one for one in right)
    }
    assert (a, b) == before


@given(PATHS, PATHS)
def test_results_are_normal_and_in_order(left: list[Path], right: list[Path]) -> None:
    a, b = fieldset.in_order(fieldset.from_paths(left)), fieldset.in_order(fieldset.from_paths(right))
    for result in (
        fieldset.union(a, b),
        fieldset.intersection(a, b),
        fieldset.difference(a, b),
        fieldset.recursive_difference(a, b),
    ):
        again = fieldset.normal(result)
        assert repr(again) == repr(result)


@given(PATHS)
def test_membership(left: list[Path]) -> None:
    fields = fieldset.from_paths(left)
    assert all(fieldset.has(fields, path) for path in left)
    assert not fieldset.has(fields, ())
    assert not fieldset.has(fields, ("f:zzz",))


def test_what_clients_send_is_put_in_order() -> None:
    sent = {
        "v:2": {},
        'k:{"port":443, "name":"x"}': {".": {}},
        'k:{"name":"x","port":80}': {"f:b": {}, ".": {}},
        "f:z": {},
        "f:a": {"f:x": {}},
        "i:3": {},
    }
    normal = fieldset.normal(sent)
    assert list(normal) == [
        "f:a",
        "f:z",
        'k:{"name":"x","port":80}',
        'k:{"name":"x","port":443}',
        "v:2",
        "i:3",
    ]
    assert normal['k:{"name":"x","port":443}'] == {}
    assert list(normal['k:{"name":"x","port":80}']) == [".", "f:b"]


@pytest.mark.parametrize(
    "bad", [[], {"f": {}}, {"x:a": {}}, {"fa": {}}, {"k:[]": {}}, {"k:{": {}}, {"i:x": {}}, {"f:a": []}]
)
def test_malformed_sets(bad: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        fieldset.normal(bad)


def test_text_of_paths() -> None:
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', 'v:"x"', "i:2", "f:a.b/c")
    assert fieldset.path_text(path) == '.spec[containerPort=80,protocol="TCP"][="x"][2].a.b/c'


def test_elements_are_written_as_go_writes_them() -> None:
    assert fieldset.key_element({"b": 1, "a": "<x>&é"}) == 'k:{"a":"\\u003cx\\u003e\\u0026é","b":1}'
    assert fieldset.value_element(True) == "v:true"
    assert fieldset.value_element(1) == "v:1"
    assert fieldset.value_element("1") == 'v:"1"'
