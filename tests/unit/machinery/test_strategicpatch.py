from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.tables import schema_of
from kafila.machinery import strategicpatch
from kafila.machinery.schema import Schema
from kafila.machinery.strategicpatch import PatchError

STRING = Schema("string")
ITEM = Schema("struct", "Item", fields={"name": STRING, "value": STRING})
ITEM.fields["tags"] = Schema("list", items=STRING, patch_strategy=("merge",))
SCHEMA = Schema(
    "struct",
    "Thing",
    fields={
        "items": Schema("list", items=ITEM, patch_strategy=("merge",), patch_merge_key="name"),
        "words": Schema("list", items=STRING, patch_strategy=("merge",)),
        "plain": Schema("list", items=ITEM),
        "broken": Schema("list", items=ITEM, patch_strategy=("merge",)),
        "labels": Schema("map", items=STRING),
        "whole": Schema("map", items=STRING, patch_strategy=("replace",)),
        "union": Schema("struct", fields={"type": STRING, "a": STRING, "b": STRING}, patch_strategy=("retainKeys",)),
    },
)
A, B, C = {"name": "a", "value": "1"}, {"name": "b", "value": "1"}, {"name": "c", "value": "1"}


def names(*letters: str) -> list[dict[str, str]]:
    return [{"name": letter} for letter in letters]


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        # maps
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": None, "c": "3"}}, {"labels": {"b": "2", "c": "3"}}),
        ({}, {"labels": {"a": None, "c": "3"}}, {"labels": {"c": "3"}}),
        ({"labels": {"a": "1"}}, {"labels": {"$patch": "replace", "b": "2"}}, {"labels": {"b": "2"}}),
        ({"labels": {"a": "1"}}, {"labels": {"$patch": "delete"}}, {"labels": {}}),
        ({}, {"labels": {"$patch": "delete"}}, {}),
        ({"whole": {"a": "1"}}, {"whole": {"b": "2"}}, {"whole": {"b": "2"}}),
        # lists of objects
        ({"items": [A, B]}, {"items": [{"name": "b", "value": "2"}]}, {"items": [A, {"name": "b", "value": "2"}]}),
        ({"items": [A]}, {"items": [B]}, {"items": [B, A]}),
        ({"items": [A, B]}, {"items": [{"name": "a", "$patch": "delete"}]}, {"items": [B]}),
        ({"items": [A, B]}, {"items": [{"$patch": "replace"}, C]}, {"items": [C]}),
        ({"items": [A]}, {"items": [{"name": "a", "value": None}]}, {"items": names("a")}),
        ({"items": [A]}, {"items": None}, {}),
        ({"items": [A, B]}, {"items": [C, A], "$setElementOrder/items": names("c", "a", "b")}, {"items": [C, A, B]}),
        ({"items": [A, B, C]}, {"$setElementOrder/items": names("c", "a")}, {"items": [B, C, A]}),
        ({"items": [A, B, C]}, {"$setElementOrder/items": names("a", "c")}, {"items": [A, B, C]}),
        ({"plain": [A]}, {"plain": [B]}, {"plain": [B]}),
        # lists of scalars
        ({"words": ["x", "y"]}, {"words": ["z", "x"]}, {"words": ["z", "x", "y"]}),
        ({"words": ["x", "y"]}, {"$deleteFromPrimitiveList/words": ["x"]}, {"words": ["y"]}),
        ({}, {"$deleteFromPrimitiveList/words": ["x"]}, {}),
        (
            {"words": ["x", "y"]},
            {"words": ["z"], "$setElementOrder/words": ["y", "z", "x"]},
            {"words": ["y", "z", "x"]},
        ),
        # union
        (
            {"union": {"type": "A", "a": "1"}},
            {"union": {"$retainKeys": ["type", "b"], "type": "B", "b": "2"}},
            {"union": {"type": "B", "b": "2"}},
        ),
        # changes of type
        ({"labels": {"a": "1"}}, {"labels": "x"}, {"labels": "x"}),
        ({"words": ["a"]}, {"words": {"a": None, "b": "1"}}, {"words": {"b": "1"}}),
        ({"a": 1}, {"$patch": "replace", "b": 2}, {"b": 2}),
    ],
)  # fmt: skip
def test_table(doc: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy((doc, patch))
    assert strategicpatch.apply(doc, patch, SCHEMA) == expected
    assert (doc, patch) == before


@pytest.mark.parametrize(
    ("doc", "patch", "message", "code"),
    [
        ({}, [], "invalid JSON document", 400),
        ({"items": [A]}, {"items": [{"value": "1"}]}, "map: map[value:1] does not contain declared merge key: name", 500),
        ({"items": [A]}, {"items": [{"name": "a", "$patch": "zap"}]}, "unknown patch type: zap in map: map[$patch:zap name:a]", 500),
        ({"items": [A]}, {"items": [{"name": "a", "$patch": "merge"}]}, "merging lists cannot yet be specified in the patch", 500),
        ({"items": [A]}, {"items": ["a"]}, "list element types are not identical: [[map[name:a value:1]] [a]]", 500),
        ({"words": ["a"]}, {"words": [["a"]]}, "list element types are not identical: [[a] [[a]]]", 500),
        ({"broken": [A]}, {"broken": [B]}, "cannot merge lists without merge key for struct", 500),
        ({}, {"labels": {}, "$setElementOrder": []}, "invalid patch format of setElementOrder list", 400),
        ({}, {"$deleteFromPrimitiveList": []}, "invalid patch format of primitive list", 400),
        ({}, {"$retainKeys": "x"}, "invalid patch format of retainKeys", 400),
        ({}, {"$retainKeys": ["a"], "b": 1}, "invalid patch format of retainKeys", 400),
        ({"labels": {}}, {"labels": {"$patch": "zap"}}, "unknown patch type: zap in map: map[$patch:zap]", 500),
        ({"words": ["a"]}, {"words": ["b", "a"], "$setElementOrder/words": ["a", "b"]}, "The order in patch list:\n[b a]\n doesn't match $setElementOrder list:\n[a b]\n", 500),
    ],
)  # fmt: skip
def test_errors(doc: Any, patch: Any, message: str, code: int) -> None:
    with pytest.raises(PatchError) as caught:
        strategicpatch.apply(doc, patch, SCHEMA)
    assert (str(caught.value), caught.value.code) == (message, code)


def test_service_ports_are_merged_by_port_alone() -> None:
    doc = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "web"}, {"port": 53, "protocol": "UDP"}]}}
    patch = {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}
    out = strategicpatch.apply(doc, patch, schema_of("io.k8s.api.core.v1.Service"))
    assert out["spec"]["ports"] == [
        {"port": 80, "protocol": "TCP", "name": "web", "targetPort": 8080},
        {"port": 53, "protocol": "UDP"},
    ]


def test_kubectl_set_image() -> None:
    containers = [{"name": "app", "image": "a:1", "args": ["x", "y"]}, {"name": "side", "image": "s:1"}]
    doc = {"spec": {"template": {"spec": {"containers": containers}}}}
    change = {
        "$setElementOrder/containers": [{"name": "app"}, {"name": "side"}],
        "containers": [{"name": "app", "image": "a:2"}],
    }
    out = strategicpatch.apply(
        doc, {"spec": {"template": {"spec": change}}}, schema_of("io.k8s.api.apps.v1.Deployment")
    )
    assert out["spec"]["template"]["spec"]["containers"] == [{**containers[0], "image": "a:2"}, containers[1]]


ITEMS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abcd")},
        optional={"value": st.sampled_from("12"), "tags": st.lists(st.sampled_from("xyz"), unique=True)},
    ),
    unique_by=lambda item: item["name"],
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "items": ITEMS,
        "words": st.lists(st.sampled_from("xyz"), unique=True),
        "plain": ITEMS,
        "labels": st.dictionaries(st.sampled_from("ab"), st.sampled_from("12")),
        "union": st.dictionaries(st.sampled_from(["type", "a", "b"]), st.sampled_from("12")),
    },
)


@given(OBJECTS, OBJECTS)
def test_applying_twice_is_applying_once(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((doc, patch))
    once = strategicpatch.apply(doc, patch, SCHEMA)
    assert strategicpatch.apply(once, patch, SCHEMA) == once
    assert (doc, patch) == before


@given(OBJECTS)
def test_an_object_is_its_own_patch(doc: dict[str, Any]) -> None:
    assert strategicpatch.apply(doc, doc, SCHEMA) == doc
    assert strategicpatch.apply({}, doc, SCHEMA) == doc
    assert strategicpatch.apply(doc, {}, SCHEMA) == doc
