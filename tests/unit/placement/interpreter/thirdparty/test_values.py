"""What may be read of what: the rules of Lua 5.1 (tests/differential/test_third_party.py holds them against Lua itself)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.placement.interpreter import InterpretError
from kafila.placement.interpreter.thirdparty import values as v

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def test_fields_are_read_as_far_as_there_are_any() -> None:
    obj = {"status": {"replicas": 1, "name": "x"}, "none": None}
    assert v.at(obj, "status", "replicas") == 1
    assert v.at(obj, "status", "missing") is None
    assert v.at(obj, "status", "name", "first") is None
    assert v.at([1], "first") is None
    with pytest.raises(InterpretError, match=r"^spec is missing, so its replicas cannot be read$"):
        v.at(obj, "spec", "replicas")
    with pytest.raises(InterpretError, match=r"^status.replicas is 1, so its first cannot be read$"):
        v.at(obj, "status", "replicas", "first")
    assert v.find(obj, "spec", "replicas") is None
    with pytest.raises(InterpretError):
        v.find(True, "spec")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (2.5, 2.5),
        ("3", 3),
        (" 1e2 ", 100),
        ("0x10", 16),
        (".5", 0.5),
        ("", None),
        ("1_000", None),
        ("inf", None),
        ("1e999", None),
        ("7" * 65, None),
        (True, None),
        ([], None),
        (None, None),
    ],
)
def test_numbers(value: Any, expected: Any) -> None:
    assert v.to_number(value) == expected
    assert v.number_or(value, "other") == ("other" if expected is None else expected)
    if expected is None:
        with pytest.raises(InterpretError):
            v.number(value)


def test_comparing() -> None:
    assert v.less(1, 2.5)
    assert v.less("a", "b")
    for a, b in ((1, "2"), (None, 1), (True, False), ([], [])):
        with pytest.raises(InterpretError):
            v.less(a, b)
    assert v.same(1, 1.0)
    assert v.same(None, None)
    assert not v.same(1, True)
    assert not v.same(0, False)
    assert not v.same([], [])


def test_lists_and_maps() -> None:
    assert v.items({"a": 1}) == []
    assert v.numbered("") == []
    assert list(v.pairs(["a", "b"])) == [(1, "a"), (2, "b")]
    assert list(v.pairs({"b": 1, "a": 2})) == [("a", 2), ("b", 1)]
    assert (v.length([1]), v.length({"a": 1}), v.length("ä")) == (1, 0, 2)
    for wrong in (None, 1, "x", False):
        with pytest.raises(InterpretError):
            v.items(wrong)
    assert v.own_map({"a": []}, "a") == {}
    with pytest.raises(InterpretError, match=r"^a is a list, no map$"):
        v.own_map({"a": [1]}, "a")


def test_what_is_empty_goes() -> None:
    assert v.without_empty({"a": 0, "b": "", "c": "0s", "d": {}, "e": {"f": []}, "g": [1]}) == {"g": {1: 1}}
    assert v.without_empty({"a": 0, "b": {"c": ""}}, zeros=True) == {"a": 0, "b": {"c": ""}}
    assert v.without_empty({"a": {"b": 0}}) is None


def test_answers_are_json() -> None:
    assert v.settled({"a": 1.0, "b": None, "c": {1: "x", 2: "y"}, "d": 2.5}) == {"a": 1, "c": ["x", "y"], "d": 2.5}
    for wrong in ({1: "a", 3: "b"}, {1: "a", "b": "c"}):
        with pytest.raises(InterpretError, match="gaps"):
            v.settled(wrong)


@given(JSON)
def test_copies_are_equal_but_for_nulls(value: Any) -> None:
    copied = v.plain(value)
    assert v.settled(copied) == v.settled(value) == v.settled(v.settled(value))
    assert not has_null(copied)


def has_null(value: Any) -> bool:
    """Within a list or a map."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(each is None or has_null(each) for each in inside)


@pytest.mark.parametrize("copy", [v.plain, v.settled])
def test_what_is_too_deep_is_refused(copy: Any) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InterpretError, match="deeper than 200 levels"):
        copy(deep)
