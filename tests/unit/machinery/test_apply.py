from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.tables import schema_of
from kafila.core.errors import StatusError
from kafila.machinery import apply as server_side
from kafila.machinery import managedfields
from kafila.machinery.schema import Schema

DEPLOYMENT = schema_of("io.k8s.api.apps.v1.Deployment")
T1, T2, T3 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"
EMPTY = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    if containers:
        spec["template"] = {"spec": {"containers": list(containers)}}
    metadata = {"name": "d", "namespace": "n", **spec.pop("metadata", {})}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def applied(live: dict[str, Any], config: dict[str, Any], manager: str = "a", time: str = T1, **more: Any) -> Any:
    before = copy.deepcopy((live, config))
    options = {"api_version": "apps/v1", "schema": DEPLOYMENT, **more}
    out = server_side.apply(live, config, manager=manager, time=time, **options)
    assert (live, config) == before
    return out


def updated(live: dict[str, Any], new: dict[str, Any], manager: str = "u", time: str = T2) -> Any:
    new = copy.deepcopy(new)
    options: dict[str, Any] = {"api_version": "apps/v1", "schema": DEPLOYMENT, "subresource": ""}
    new["metadata"]["managedFields"] = managedfields.update(live, new, manager=manager, time=time, **options)
    return new


def refused(live: dict[str, Any], config: dict[str, Any], manager: str = "a", **more: Any) -> StatusError:
    with pytest.raises(StatusError) as caught:
        applied(live, config, manager, **more)
    return caught.value


def owners(obj: dict[str, Any]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", [])}


def test_first_apply_creates_and_owns_exactly_what_it_says() -> None:
    out = applied(EMPTY, deployment({"name": "c", "image": "i:1"}, replicas=2))
    assert out["spec"] == {"replicas": 2, "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}}
    (entry,) = out["metadata"]["managedFields"]
    container = {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}}
    assert entry == {
        "manager": "a",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": T1,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": container}}}},
    }


def test_what_is_no_longer_applied_goes() -> None:
    one = applied(
        EMPTY, deployment({"name": "c", "image": "i", "args": ["x"]}, {"name": "d", "image": "i"}, replicas=2)
    )
    two = applied(one, deployment({"name": "c", "image": "i"}), time=T2)
    assert two["spec"] == {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}
    assert [entry["time"] for entry in two["metadata"]["managedFields"]] == [T2]


def test_what_others_own_stays() -> None:
    one = applied(EMPTY, deployment({"name": "c", "image": "i"}, replicas=2))
    shared = applied(one, deployment(replicas=2), "b", T2)
    two = applied(shared, deployment({"name": "c", "image": "i"}), "a", T3)
    assert two["spec"]["replicas"] == 2
    assert owners(two)["b"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(two)["a"]["f:spec"]


def test_a_conflict_names_the_manager_and_the_field() -> None:
    live = updated(applied(EMPTY, deployment(replicas=2)), deployment(replicas=3))
    error = refused(live, deployment(replicas=2))
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == 'Apply failed with 1 conflict: conflict with "u" using apps/v1: .spec.replicas'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "u" using apps/v1', "field": ".spec.replicas"}
    assert error.details == {"causes": [cause]}


def test_several_conflicts_are_listed_by_manager() -> None:
    live = applied(EMPTY, deployment({"name": "c", "image": "i"}, metadata={"labels": {"l": "1"}}), "b")
    live = updated(live, {**live, "spec": {**live["spec"], "replicas": 1}})
    error = refused(live, deployment({"name": "c", "image": "j"}, replicas=2, metadata={"labels": {"l": "2"}}))
    assert error.message == (
        'Apply failed with 3 conflicts: conflicts with "b":\n- .metadata.labels.l\n'
        '- .spec.template.spec.containers[name="c"].image\nconflicts with "u" using apps/v1:\n- .spec.replicas'
    )


def test_force_takes_the_fields() -> None:
    live = applied(EMPTY, deployment(replicas=2, paused=True), "b")
    out = applied(live, deployment(replicas=3), "a", T2, force=True)
    assert out["spec"] == {"replicas": 3, "paused": True}
    assert owners(out) == {"a": {"f:spec": {"f:replicas": {}}}, "b": {"f:spec": {"f:paused": {}}}}


def test_equal_values_are_shared() -> None:
    out = applied(applied(EMPTY, deployment(replicas=2), "b"), deployment(replicas=2), "a", T2)
    assert set(owners(out)) == {"a", "b"}


def test_an_untracked_object_belongs_to_who_wrote_it_before() -> None:
    live = deployment(replicas=2)
    live["metadata"]["uid"] = "u"
    error = refused(live, deployment(replicas=3))
    assert error.message == (
        'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas'
    )


def test_nothing_to_do_keeps_the_object() -> None:
    one = applied(EMPTY, deployment(replicas=2))
    again = applied(one, deployment(replicas=2), time=T2)
    assert again == one


def test_a_subresource_has_its_own_entry_and_cannot_own_the_rest() -> None:
    config = {**deployment(replicas=5), "status": {"replicas": 1}}
    out = applied(EMPTY, config, subresource="status")
    assert owners(out) == {"a": {"f:status": {"f:replicas": {}}}}
    assert out["metadata"]["managedFields"][0]["subresource"] == "status"
    assert owners(applied(EMPTY, config)) == {"a": {"f:spec": {"f:replicas": {}}}}
    error = refused(out, {**config, "status": {"replicas": 2}}, "b", subresource="status")
    assert 'conflict with "a" with subresource "status": .status.replicas' in error.message


def test_order_of_lists() -> None:
    names = [{"name": name, "image": "i"} for name in "abc"]
    live = applied(EMPTY, deployment(*names), "b")
    out = applied(live, deployment({"name": "c"}, {"name": "x", "image": "i"}, {"name": "a"}), "a", T2)
    assert [c["name"] for c in out["spec"]["template"]["spec"]["containers"]] == ["b", "c", "x", "a"]


def test_ports_without_protocol_are_tcp() -> None:
    live = applied(EMPTY, deployment({"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}]}), "b")
    out = applied(live, deployment({"name": "c", "ports": [{"containerPort": 80, "name": "web"}]}), "a", T2)
    ports = out["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 80, "protocol": "TCP", "name": "web"}]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (deployment(foo=1), ".spec.foo: field not declared in schema"),
        (deployment(replicas="x"), ".spec.replicas: expected numeric (int or float), got string"),
        (deployment(template=[1]), ".spec.template: expected map, got &{[1]}"),
        (deployment(paused=1), ".spec.paused: expected boolean, got &{1}"),
        (
            deployment({"name": "c"}, {"name": "c"}),
            '.spec.template.spec.containers: duplicate entries for key [name="c"]',
        ),
    ],
)
def test_configurations_that_do_not_fit(config: dict[str, Any], message: str) -> None:
    error = refused(EMPTY, config)
    assert error.code == 500
    assert error.message == f"failed to create typed patch object (n/d; apps/v1, Kind=Deployment): {message}"


def test_elements_need_a_key() -> None:
    item = Schema("struct", fields={"name": Schema("string"), "x": Schema("string")})
    items = Schema("list", items=item, list_type="map", list_map_keys=("name",))
    schema = Schema("struct", fields={**DEPLOYMENT.fields, "items": items})
    error = refused(EMPTY, {**EMPTY, "items": [{"x": "1"}]}, schema=schema)
    assert error.message.endswith(
        '.items: element 0: associative list with keys has an element that omits all key fields ["name"]'
        " (and doesn't have default values for any key fields)"
    )


def test_wrong_types_and_managed_fields_are_bad_requests() -> None:
    assert refused(EMPTY, {**deployment(), "kind": "Pod"}).message == "invalid object type: apps/v1, Kind=Pod"
    assert refused(EMPTY, deployment(metadata={"managedFields": []})).message == "metadata.managedFields must be nil"


LAST = server_side.LAST_APPLIED


def test_kubectl_takes_over_what_it_had_applied_from_the_client() -> None:
    last = orjson.dumps(deployment(replicas=2)).decode()
    annotated = {"annotations": {LAST: last}}
    live = updated(EMPTY, deployment(replicas=2, metadata=annotated), "x")
    live["metadata"]["managedFields"] = managedfields.update(
        None,
        live,
        manager="kubectl-client-side-apply",
        api_version="apps/v1",
        subresource="",
        time=T1,
        schema=DEPLOYMENT,
    )
    out = applied(live, deployment(replicas=3), "kubectl", T2)
    assert out["spec"]["replicas"] == 3
    assert orjson.loads(out["metadata"]["annotations"][LAST]) == deployment(replicas=3)
    changed = updated(live, deployment(replicas=9, metadata=annotated), "hpa")
    assert '"hpa"' in refused(changed, deployment(replicas=3), "kubectl").message
    assert "conflict" in refused(live, deployment(replicas=3), "other").message


def test_types_without_a_schema_merge_maps_and_replace_lists() -> None:
    schema = Schema("struct", fields={"metadata": DEPLOYMENT.fields["metadata"]}, preserve_unknown=True)
    schema.fields |= {"apiVersion": Schema("string"), "kind": Schema("string")}
    base = {"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "d"}}
    options: dict[str, Any] = {"api_version": "x/v1", "schema": schema}
    one = applied(base, {**base, "spec": {"a": {"b": 1}, "l": [1, 2]}}, **options)
    two = applied(one, {**base, "spec": {"a": {"c": 1}}}, "b", T2, **options)
    assert two["spec"] == {"a": {"b": 1, "c": 1}, "l": [1, 2]}
    assert owners(one)["a"] == {"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:l": {}}}
    three = applied(two, {**base, "spec": {"l": [3]}}, "a", T3, **options)
    assert three["spec"] == {"a": {"c": 1}, "l": [3]}


def test_a_type_that_became_atomic_is_owned_as_a_whole() -> None:
    live = applied(EMPTY, deployment(selector={"matchLabels": {"a": "1"}}))
    live["metadata"]["managedFields"][0]["fieldsV1"] = {"f:spec": {"f:selector": {"f:matchLabels": {"f:a": {}}}}}
    out = applied(live, deployment(replicas=1), "b", T2)
    assert owners(out)["a"] == {"f:spec": {"f:selector": {}}}


# Empty lists and maps are left out: nobody can own them, and Kubernetes keeps or drops them by accident.
CONFIGS = st.builds(
    lambda spec, containers, labels: deployment(*containers, **spec, metadata={"labels": labels} if labels else {}),
    st.fixed_dictionaries({"replicas": st.integers(1, 2)}, optional={"paused": st.booleans()}),
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from("abc")},
            optional={
                "image": st.sampled_from(["i:1", "i:2"]),
                "args": st.lists(st.sampled_from("xy"), min_size=1, max_size=2),
                "env": st.lists(
                    st.fixed_dictionaries({"name": st.sampled_from("AB")}, optional={"value": st.sampled_from("12")}),
                    min_size=1,
                    max_size=2,
                    unique_by=lambda item: item["name"],
                ),
            },
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda item: item["name"],
    ),
    st.dictionaries(st.sampled_from("lm"), st.sampled_from("12")),
)


@given(CONFIGS, CONFIGS, CONFIGS)
def test_applying_twice_is_applying_once(first: Any, second: Any, third: Any) -> None:
    live = applied(applied(EMPTY, first, "a"), second, "b", T2, force=True)
    once = applied(live, third, "a", T3, force=True)
    assert applied(once, third, "a", "2026-01-01T00:00:04Z") == once


@given(CONFIGS, CONFIGS)
def test_one_applier_alone_gets_exactly_its_configuration(first: Any, second: Any) -> None:
    def content(obj: Any) -> Any:
        return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields" and v}}

    out = applied(applied(EMPTY, first), second, time=T2)
    assert _without_empty(content(out)) == _without_empty(content(second))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in ({}, [], None)}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("secrets", [None, [{"name": "a"}]])
def test_what_is_stored_may_not_fit_the_type(secrets: list[dict[str, str]] | None) -> None:
    """Kubernetes stores items without their key, and says so when somebody applies."""
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}
    live = {**config, "secrets": [{"kind": "x"}]}
    if secrets is not None:
        config = {**config, "secrets": secrets}
    schema = schema_of("io.k8s.api.core.v1.ServiceAccount")
    with pytest.raises(StatusError) as refused:
        server_side.apply(live, config, manager="m", api_version="v1", time="2026-01-01T00:00:00Z", schema=schema)
    assert refused.value.code == 500
    assert refused.value.message.startswith(
        "failed to create typed live object (/a; /v1, Kind=ServiceAccount): .secrets: "
    )
