"""What changed between two states of an object: what is told of it, what never is, and that it stays bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.audit.diff import MOST_CHANGES, MOST_PATH, MOST_TEXT, differences

Told = list[tuple[str, str | None, str | None]]


def told(before: Any, after: Any, is_secret: bool = False) -> Told:
    return [tuple(each) for each in differences(before, after, is_secret)[0]]


def pods(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers)}}}}


APP, SIDE = {"name": "app", "image": "a:1"}, {"name": "side", "image": "s:1"}
AT = "spec.template.spec.containers"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 2}}, []),
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 4}}, [("spec.replicas", "2", "4")]),
        ({"spec": {}}, {"spec": {"paused": True}}, [("spec.paused", None, "true")]),
        ({"data": {"a": "x"}}, {"data": {}}, [("data.a", '"x"', None)]),
        ({"a": 1}, {"a": True}, [("a", "1", "true")]),  # equal in Python
        ({"a": {"b": [1]}}, {"a": {"b": [True]}}, [("a.b[0]", "1", "true")]),
        ({"a": None}, {"a": {}}, [("a", "null", "{}")]),
        (pods(APP, SIDE), pods(SIDE, APP), [(f"{AT}[order]", '["app","side"]', '["side","app"]')]),
        (pods(APP), pods({**APP, "image": "a:2"}), [(f"{AT}[app].image", '"a:1"', '"a:2"')]),
        (pods(APP), pods(SIDE, APP), [(f"{AT}[side]", None, '{"name":"side","image":"s:1"}')]),
        ({"l": [1, 2]}, {"l": [1, 3, 4]}, [("l[1]", "2", "3"), ("l[2]", None, "4")]),
        (
            {"metadata": {"labels": {"app.kubernetes.io/name": "a"}}},
            {"metadata": {"labels": {"app.kubernetes.io/name": "b"}}},
            [("metadata.labels[app.kubernetes.io/name]", '"a"', '"b"')],
        ),
        (
            {"metadata": {"resourceVersion": "1", "generation": 1, "managedFields": []}},
            {"metadata": {"resourceVersion": "2", "generation": 2, "managedFields": [{"manager": "x"}]}},
            [],
        ),
        (
            {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{1}"}}},
            {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{2}"}}},
            [],
        ),
    ],
)
def test_what_changed(before: Any, after: Any, expected: Told) -> None:
    assert told(before, after) == expected


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}


@pytest.mark.parametrize(
    ("before", "after", "is_secret", "paths"),
    [
        ({"data": {"p": "hunter2"}}, {"data": {"p": "hunter3"}}, True, ["data.p"]),
        ({}, {"data": {"p": "hunter2"}, "type": "Opaque"}, True, ["data.p", "type"]),
        ({"data": {"p": "hunter2"}}, {"data": None}, True, ["data"]),
        ({"data": {"p": "hunter2"}}, {}, True, ["data.p"]),
        (
            {"metadata": {"annotations": {"x": "hunter2"}}},
            {"metadata": {"annotations": {"x": "hunter3", "kubectl.kubernetes.io/last-applied-configuration": "hunter3"}}},
            True,
            ["metadata.annotations.x"],
        ),
        (
            {"spec": {"workload": {"manifests": [{**SECRET, "data": {"p": "hunter2"}}]}}},
            {"spec": {"workload": {"manifests": [{**SECRET, "data": {"p": "hunter3"}}]}}},
            False,
            ["spec.workload.manifests[0].data.p"],
        ),
        (
            {"spec": {"workload": {"manifests": []}}},
            {"spec": {"workload": {"manifests": [{**SECRET, "stringData": {"p": "hunter2"}}]}}},
            False,
            ["spec.workload.manifests[0]"],
        ),
        ({"a": {**SECRET, "data": {"p": "hunter2"}}}, {"a": [1]}, False, ["a"]),
        ({"a": {**SECRET, "data": "hunter2"}}, {"a": {**SECRET, "data": ["hunter3"]}}, False, ["a.data"]),
    ],
)  # fmt: skip
def test_no_value_of_a_secret_is_told(before: Any, after: Any, is_secret: bool, paths: list[str]) -> None:
    found = told(before, after, is_secret)
    assert [path for path, _, _ in found] == paths
    assert "hunter" not in json.dumps(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
MAPS = st.dictionaries(st.text(max_size=4), JSON, max_size=4)


@given(MAPS, MAPS)
def test_something_is_told_exactly_when_something_changed(before: Any, after: Any) -> None:
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (told(before, after) == []) == same


@given(MAPS, MAPS)
def test_a_secret_says_nothing_of_its_data(before: Any, after: Any) -> None:
    one, other = (
        {"data": {f"k{n}": ["canary", v] for n, v in before.items()}},
        {"data": {f"k{n}": v for n, v in after.items()}},
    )
    assert "canary" not in json.dumps([(old, new) for _, old, new in told(one, other, True)])


def test_it_is_bounded() -> None:
    many = {f"k{number}": number for number in range(10_000)}
    found, more = differences({"data": {}}, {"data": {**many}})
    assert (len(found), more) == (MOST_CHANGES, True)
    ((path, before, after),) = told({}, {"x" * 9000: "y" * 900_000})
    assert len(path) <= MOST_PATH + 1
    assert before is None
    assert after is not None
    assert len(after) <= MOST_TEXT + 1


def test_what_is_deep_is_told_as_a_whole() -> None:
    def nested(depth: int, leaf: int) -> Any:
        value: Any = leaf
        for _ in range(depth):
            value = {"a": value}
        return value

    ((path, _, _),) = told(nested(100, 1), nested(100, 2))
    assert path == ".".join("a" * 32)
    assert told({"a": 10**30}, {"a": 1}) == [("a", "…", "1")]
    for depth in (900, 5000):  # far beyond what a store lets in
        assert len(told(nested(depth, 1), {"a": 2})) == 1
