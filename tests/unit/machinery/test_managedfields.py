from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.tables import schema_of
from kafila.machinery import managedfields
from kafila.machinery.compare import compare
from kafila.machinery.decode import compile_decoder
from kafila.machinery.managedfields import ManagedFieldsError

DEPLOYMENT = schema_of("io.k8s.api.apps.v1.Deployment")
CONFIG_MAP = schema_of("io.k8s.api.core.v1.ConfigMap")
T1, T2 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": "u"}, "data": data}


def tracked(old: Any, new: dict[str, Any], manager: str = "kubectl", time: str = T1, **more: Any) -> dict[str, Any]:
    before = copy.deepcopy((old, new))
    options = {"api_version": "v1", "subresource": "", "schema": CONFIG_MAP, **more}
    entries = managedfields.update(old, new, manager=manager, time=time, **options)
    assert (old, new) == before
    return {**new, "metadata": {**new["metadata"], "managedFields": entries}}


def entries(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return obj["metadata"]["managedFields"]


def owned(obj: dict[str, Any]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in entries(obj)}


def test_a_create_owns_what_it_sets_but_nothing_of_the_servers() -> None:
    new = config_map(a="1")
    new["metadata"] |= {"namespace": "n", "resourceVersion": "1", "creationTimestamp": T1, "labels": {"x": "y"}}
    assert entries(tracked(None, new)) == [
        {
            "manager": "kubectl",
            "operation": "Update",
            "apiVersion": "v1",
            "time": T1,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {".": {}, "f:a": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}},
        }
    ]


def test_what_every_deployment_has_is_nobodys() -> None:
    sent = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}}},
    }
    new = compile_decoder(DEPLOYMENT)(sent)[0]
    fields = owned(tracked(None, new, api_version="apps/v1", schema=DEPLOYMENT))["kubectl"]
    port = {".": {}, "f:containerPort": {}, "f:protocol": {}}
    container = {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}
    container["f:ports"] = {".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': port}
    assert fields == {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': container}}}}}


def test_a_change_takes_fields_from_others() -> None:
    first = tracked(None, config_map(a="1", b="1", c="1"))
    second = tracked(first, config_map(a="2", b="1", d="1"), "other", T2)
    assert owned(second) == {"kubectl": {"f:data": {".": {}, "f:b": {}}}, "other": {"f:data": {"f:a": {}, "f:d": {}}}}
    assert [entry["time"] for entry in entries(second)] == [T1, T2]


def test_who_is_left_with_nothing_disappears() -> None:
    first = tracked(None, config_map(a="1"))
    second = tracked(first, {**config_map(), "data": {}}, "other", T2)
    assert owned(second) == {"kubectl": {"f:data": {}}}
    third = config_map()
    del third["data"]
    assert entries(tracked(second, third, "other", T2)) == []


def test_nothing_changed_keeps_times_and_entries() -> None:
    first = tracked(None, config_map(a="1"))
    assert entries(tracked(first, config_map(a="1"), "kubectl", T2)) == entries(first)
    assert entries(tracked(first, config_map(a="1"), "other", T2)) == entries(first)


def test_the_same_manager_gathers_fields_and_gets_a_new_time() -> None:
    second = tracked(tracked(None, config_map(a="1")), config_map(a="1", b="1"), "kubectl", T2)
    assert owned(second) == {"kubectl": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}}
    assert entries(second)[0]["time"] == T2


@pytest.mark.parametrize("sent", [[], [{}]])
def test_an_empty_list_resets(sent: list[Any]) -> None:
    first = tracked(None, config_map(a="1"))
    new = config_map(a="2")
    new["metadata"]["managedFields"] = sent
    second = tracked(first, new)
    assert entries(second) == []
    assert entries(tracked(second, config_map(a="3"))) == []  # untracked from now on


def test_clients_may_write_entries_themselves() -> None:
    first = tracked(None, config_map(a="1"))
    new = config_map(a="1")
    mine = {"manager": "me", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    new["metadata"]["managedFields"] = [{**mine, "fieldsV1": {"f:data": {"f:a": {".": {}}}}}]
    assert entries(tracked(first, new)) == [{**mine, "fieldsV1": {"f:data": {"f:a": {}}}}]
    new["metadata"]["managedFields"] = [{**mine, "operation": "Bogus"}]
    assert entries(tracked(first, new)) == entries(first)


def test_a_subresource_cannot_write_entries() -> None:
    first = tracked(None, config_map(a="1"))
    new = config_map(a="1", b="1")
    new["metadata"]["managedFields"] = []
    second = tracked(first, new, "kubectl", T2, subresource="status")
    assert [entry.get("subresource") for entry in entries(second)] == [None, "status"]


def test_entries_are_ordered() -> None:
    one = tracked(None, config_map(a="1"), "z", T2)
    apply = {"manager": "z", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": T2}
    new = config_map(a="1", b="1")
    new["metadata"]["managedFields"] = [*entries(one), {**apply, "fieldsV1": {"f:data": {"f:a": {}}}}]
    two = tracked(one, new, "a", T1)
    assert [(e["operation"], e["manager"]) for e in entries(two)] == [("Apply", "z"), ("Update", "a"), ("Update", "z")]


def test_only_ten_updaters_are_remembered() -> None:
    obj = tracked(None, config_map(k0="1"), "m00", "2026-01-01T00:00:00Z")
    for i in range(1, 12):
        data = {f"k{j}": "1" for j in range(i + 1)}
        obj = tracked(obj, config_map(**data), f"m{i:02}", f"2026-01-01T00:00:{i:02}Z")
    names = [entry["manager"] for entry in entries(obj)]
    assert names == ["ancient-changes", *[f"m{i:02}" for i in range(3, 12)]]
    assert owned(obj)["ancient-changes"] == {"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}}}
    assert entries(obj)[0]["time"] == "2026-01-01T00:00:02Z"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"operation": "X"}, "operation must be `Apply` or `Update`"),
        ({"operation": "Apply"}, "apiVersion must not be empty"),
        ({"operation": "Apply", "apiVersion": "v1"}, "missing fieldsType in managed fields entry 0"),
        (
            {"operation": "Apply", "apiVersion": "v1", "fieldsType": "V2"},
            'invalid fieldsType "V2" in managed fields entry 0',
        ),
    ],
)
def test_malformed_entries(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ManagedFieldsError) as caught:
        managedfields.decode([entry])
    assert str(caught.value) == message


def test_a_repeated_write_keeps_its_times() -> None:
    old = tracked(None, config_map(a="1"))
    new = tracked(None, config_map(a="1"), time=T2)
    managedfields.keep_times_of_no_change(old, new)
    assert new == old
    changed = tracked(None, config_map(a="2"), time=T2)
    managedfields.keep_times_of_no_change(old, changed)
    assert entries(changed)[0]["time"] == T2


PODS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(st.sampled_from("ab"), st.sampled_from("12")),
        "finalizers": st.lists(st.sampled_from("xyz"), max_size=3),
        "ports": st.lists(
            st.fixed_dictionaries(
                {"containerPort": st.sampled_from([80, 81])}, optional={"protocol": st.sampled_from(["TCP", "UDP"])}
            ),
            max_size=3,
        ),
        "args": st.lists(st.sampled_from("xy"), max_size=2),
        "limits": st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from("12")),
    },
)


def deployment(parts: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: parts[key] for key in ("labels", "finalizers") if key in parts}
    container = {"name": "c"} | {key: parts[key] for key in ("ports", "args") if key in parts}
    if "limits" in parts:
        container["resources"] = {"limits": parts["limits"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "uid": "u", **metadata},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


@given(PODS, PODS, PODS)
def test_no_field_that_is_gone_is_owned_and_no_changed_field_has_two_owners(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"api_version": "apps/v1", "schema": DEPLOYMENT}
    obj = tracked(None, deployment(first), "m0", **options)
    for i, parts in enumerate((second, third), 1):
        old, obj = obj, tracked(obj, deployment(parts), f"m{i}", T2, **options)
        removed, changed = compare(DEPLOYMENT, old, obj)
        for entry in entries(obj):
            fields = entry["fieldsV1"]
            # an element that becomes a duplicate is both gone and new
            assert not managedfields.intersection(fields, managedfields.difference(removed, changed))
            if entry["manager"] != f"m{i}":
                assert not managedfields.intersection(fields, changed)


@given(PODS, PODS)
def test_comparing_is_symmetric(first: dict[str, Any], second: dict[str, Any]) -> None:
    a, b = deployment(first), deployment(second)
    assert compare(DEPLOYMENT, a, a) == ({}, {})
    removed, changed = compare(DEPLOYMENT, a, b)
    gone, fresh = compare(DEPLOYMENT, b, a)
    assert managedfields.union(removed, changed) == managedfields.union(gone, fresh)
