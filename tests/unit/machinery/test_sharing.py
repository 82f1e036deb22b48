"""What shares parts with the object that it was made of is what a copy would have been, and leaves that object alone."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.catalog import load_catalog
from kafila.core.values import copy_json
from kafila.machinery import jsonpatch, typed
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.machinery.patched import patched_decoded
from kafila.machinery.redecode import merged_decoded, redecoded

DEPLOYMENT = load_catalog().by_kind("apps", "v1", "Deployment")
assert DEPLOYMENT is not None
SCHEMA = DEPLOYMENT.schema
LIVE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "labels": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {
                "containers": [
                    {"name": "c", "image": "x", "resources": {"limits": {"cpu": "500m"}}},
                    {"name": "d", "image": "y", "ports": [{"containerPort": 80}]},
                ],
                "terminationGracePeriodSeconds": 30,
            },
        },
    },
}
PATHS = (
    "",
    "/metadata",
    "/metadata/labels",
    "/metadata/labels/a",
    "/metadata/labels/new",
    "/metadata/annotations",
    "/spec/replicas",
    "/spec/paused",
    "/spec/selector",
    "/spec/template/spec",
    "/spec/template/spec/containers",
    "/spec/template/spec/containers/-",
    "/spec/template/spec/containers/0",
    "/spec/template/spec/containers/1/ports/0/containerPort",
    "/spec/template/spec/containers/0/resources/limits/cpu",
    "/spec/template/spec/containers/0/resources/limits/memory",
    "/spec/template/spec/nodeName",
    "/spec/nothing",
    "/status",
    "/other",
)
VALUES = st.sampled_from(
    [None, 0, 1, True, 2.5, "x", "1000m", "", [], {}, {"a": "c"}, [{"name": "e"}], {"containers": []}, {"replicas": 1}]
)
OPERATION = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": st.sampled_from(PATHS),
        "from": st.sampled_from(PATHS),
        "value": VALUES,
    }
)


def outcome(work: Any) -> Any:
    try:
        return work()
    except (jsonpatch.PatchFailed, DecodeError) as error:
        return type(error), str(error)


@given(st.lists(OPERATION, max_size=6))
def test_patches(operations: list[Any]) -> None:
    live, _ = compile_decoder(SCHEMA)(LIVE)
    before = copy_json(live)
    shared = outcome(lambda: jsonpatch.apply(live, operations, share=True))
    assert shared == outcome(lambda: jsonpatch.apply(live, operations))
    assert live == before
    if isinstance(shared, dict):
        found = redecoded(SCHEMA, live, shared)
        wanted = outcome(lambda: compile_decoder(SCHEMA)(shared))
        if found is not None:
            assert (found, []) == wanted
            assert json.dumps(found) == json.dumps(wanted[0]), "in the same order"
        else:
            assert isinstance(wanted[1], str) or wanted[1], "it is decoded as a whole where something is wrong with it"
        assert live == before
    check_at_once(live, operations)
    assert live == before


def check_at_once(live: Any, operations: list[Any]) -> bool:
    """What is decoded while it is patched is what decoding makes of it afterwards. Returns whether it was."""
    at_once = patched_decoded(SCHEMA, live, operations)
    if at_once is not None:
        document, unknown = compile_decoder(SCHEMA)(jsonpatch.apply(live, operations))
        assert (json.dumps(at_once), []) == (json.dumps(document), unknown)
    return at_once is not None


SETTING = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "replace"]), "path": st.sampled_from(PATHS), "value": VALUES}
)


@given(st.lists(SETTING, max_size=6))
def test_what_is_only_set(operations: list[Any]) -> None:
    live, _ = compile_decoder(SCHEMA)(LIVE)
    before = copy_json(live)
    check_at_once(live, operations)
    assert live == before


def put(path: str, value: Any, op: str = "add") -> dict[str, Any]:
    return {"op": op, "path": path, "value": value}


POD = "/spec/template/spec"


def test_single_values_are_decoded_alone() -> None:
    live, _ = compile_decoder(SCHEMA)(LIVE)
    plain = [
        [],
        [put("/metadata/labels/new", "x"), put("/metadata/labels/a", "y"), put("/metadata/labels/a~1b", "z")],
        [put("/spec/replicas", 3, "replace"), put("/spec/paused", True), put("/spec/minReadySeconds", 0)],
        [put(f"{POD}/containers/0/resources/limits/cpu", "1000m", "replace")],
        [put(f"{POD}/containers/-", {"name": "e", "env": []}), put(f"{POD}/containers/0", {"name": "f"})],
        [put(f"{POD}/containers/1", {"name": "g"}, "replace"), put(f"{POD}/nodeName", None)],
        [put("/metadata/finalizers", ["a"])],
    ]
    for operations in plain:
        assert check_at_once(live, operations), operations


def test_what_is_patched_as_a_whole() -> None:
    live, _ = compile_decoder(SCHEMA)(LIVE)
    others = [
        [put("", {})],
        [put("/kind", "Pod")],
        [put("/metadata", None)],
        [put("metadata/labels/a", "x")],
        [{"op": "remove", "path": "/spec/replicas"}],
        [put("/spec/nothing", 1)],
        [put("/spec/replicas", "x")],
        [put("/metadata/annotations/a", "x")],
        [put(f"{POD}/containers/2", {"name": "e"}, "replace")],
        [put(f"{POD}/containers/-1", {"name": "e"})],
        [put(f"{POD}/containers/٠/image", "x")],
        [put(f"{POD}/containers/-", {"name": "e"}), put(f"{POD}/containers/2/image", "z")],
        [put("/metadata/annotations", {"a": "b"}), put("/metadata/annotations/c", "d")],
        [put("/metadata/labels/a", "x")] * 21,
    ]
    for operations in others:
        assert not check_at_once(live, operations), operations


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)
CONTAINER = st.fixed_dictionaries(
    {"name": st.sampled_from("cdef")},
    optional={
        "image": st.sampled_from(["x", "y", "", None]),
        "resources": st.sampled_from([None, {}, {"limits": {"cpu": "1000m"}}, {"limits": {"cpu": 1, "memory": "1Gi"}}]),
        "ports": st.sampled_from([None, [], [{"containerPort": 80}], [{"containerPort": 80, "name": "p"}]]),
    },
)
CONTAINERS = st.lists(CONTAINER, max_size=4, unique_by=lambda each: each["name"])


REST = st.fixed_dictionaries(
    {},
    optional={
        "paused": st.sampled_from([None, True, False]),
        "selector": st.sampled_from([None, {"matchLabels": {"a": "c"}}]),
        "strategy": st.sampled_from([None, {}, {"type": "Recreate"}, {"rollingUpdate": {"maxSurge": "10%"}}]),
        "unheard": st.just(1),
    },
)


@given(LABELS, CONTAINERS, st.one_of(st.none(), st.integers(0, 3)), REST)
def test_merges(labels: Any, containers: Any, replicas: Any, rest: Any) -> None:
    live, _ = compile_decoder(SCHEMA)(LIVE)
    before = copy_json(live)
    spec: Any = {"template": {"spec": {"containers": containers}}, **rest}
    if replicas is not None:
        spec["replicas"] = replicas
    config = {"metadata": {"labels": labels}, "spec": spec}
    shared = typed.merge(SCHEMA, live, config, share=True)
    assert shared == typed.merge(SCHEMA, live, config)
    assert live == before
    decoded, unknown = compile_decoder(SCHEMA)(shared)
    found = redecoded(SCHEMA, live, shared)
    at_once = merged_decoded(SCHEMA, live, config)
    if unknown:
        assert found is None
        assert at_once is None
    else:
        assert json.dumps(found) == json.dumps(decoded)
        assert json.dumps(at_once) == json.dumps(decoded)
    assert live == before
