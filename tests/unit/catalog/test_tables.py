"""The generated tables say of Kubernetes' types what its API does."""

from __future__ import annotations

import pytest

from kafila.catalog.tables import (
    definition_name,
    definition_names,
    has_definition,
    load_descriptions,
    read_table,
    schema_of,
)
from kafila.machinery.schema import Schema

CORE, APPS, META = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1."


def at(name: str, path: str) -> Schema:
    node = schema_of(name)
    for step in path.split(".") if path else ():
        node = node.fields[step] if step != "[]" else node.items  # type: ignore[assignment]
    return node


@pytest.mark.parametrize(
    ("name", "path", "keys", "strategy", "merge_key"),
    [
        (APPS + "Deployment", "spec.template.spec.containers", ("name",), ("merge",), "name"),
        (APPS + "Deployment", "spec.template.spec.containers.[].ports", ("containerPort", "protocol"), ("merge",), "containerPort"),
        (APPS + "Deployment", "spec.template.spec.volumes", ("name",), ("merge", "retainKeys"), "name"),
        (APPS + "Deployment", "spec.template.spec.topologySpreadConstraints", ("topologyKey", "whenUnsatisfiable"), ("merge",), "topologyKey"),
        (CORE + "Service", "spec.ports", ("port", "protocol"), ("merge",), "port"),
        (CORE + "Pod", "status.conditions", ("type",), ("merge",), "type"),
        (META + "ObjectMeta", "ownerReferences", ("uid",), ("merge",), "uid"),
    ],
)  # fmt: skip
def test_list_maps(name: str, path: str, keys: tuple[str, ...], strategy: tuple[str, ...], merge_key: str) -> None:
    node = at(name, path)
    assert (node.kind, node.list_type, node.list_map_keys) == ("list", "map", keys)
    assert (node.patch_strategy, node.patch_merge_key) == (strategy, merge_key)


def test_sets_and_atomic_types() -> None:
    assert at(META + "ObjectMeta", "finalizers").list_type == "set"
    assert at(META + "ObjectMeta", "finalizers").patch_strategy == ("merge",)
    assert at(CORE + "Container", "args").list_type == "atomic"
    assert schema_of(META + "LabelSelector").atomic
    assert at(CORE + "ServiceSpec", "selector").atomic
    assert not at(CORE + "ConfigMap", "data").atomic
    # The type is atomic, this field that points to it is not.
    assert schema_of(CORE + "ObjectReference").atomic
    assert not at(CORE + "PersistentVolumeSpec", "claimRef").atomic


@pytest.mark.parametrize(
    ("name", "field", "kind", "format"),
    [
        (APPS + "DeploymentSpec", "replicas", "integer", "int32"),
        (META + "ObjectMeta", "creationTimestamp", "time", ""),
        (META + "ObjectMeta", "generation", "integer", "int64"),
        (CORE + "ServicePort", "targetPort", "int-or-string", ""),
        (CORE + "Event", "eventTime", "micro-time", ""),
        (CORE + "EmptyDirVolumeSource", "sizeLimit", "quantity", ""),
        (CORE + "SecretSpec", "", "", ""),
        (META + "ManagedFieldsEntry", "fieldsV1", "any", ""),
        (APPS + "ControllerRevision", "data", "any", ""),
    ],
)
def test_scalars(name: str, field: str, kind: str, format: str) -> None:
    if not field:
        assert not has_definition(name)
        return
    node = at(name, field)
    assert (node.kind, node.format) == (kind, format)


def test_bytes_are_the_values_of_a_secret() -> None:
    data = at(CORE + "Secret", "data")
    assert data.kind == "map"
    assert data.items is not None
    assert (data.items.kind, data.items.format) == ("bytes", "byte")


def test_what_go_always_writes_and_what_it_leaves_out() -> None:
    deployment = schema_of(APPS + "Deployment")
    assert deployment.always["status"] == {}
    assert schema_of(APPS + "DeploymentSpec").always["strategy"] == {}
    assert schema_of(CORE + "Container").always == {"name": "", "resources": {}}
    assert schema_of(CORE + "ServiceStatus").always == {"loadBalancer": {}}
    metadata = schema_of(META + "ObjectMeta")
    assert not metadata.always  # since 1.34 not even creationTimestamp
    assert {"labels", "creationTimestamp", "generation"} <= metadata.drop_zero
    assert "deletionGracePeriodSeconds" not in metadata.drop_zero  # a pointer: 0 is kept
    assert "replicas" not in schema_of(APPS + "DeploymentSpec").drop_zero


def test_fields_stand_in_wire_order() -> None:
    assert list(schema_of(APPS + "Deployment").fields) == ["kind", "apiVersion", "metadata", "spec", "status"]
    assert list(schema_of(APPS + "DeploymentSpec").fields)[:4] == ["replicas", "selector", "template", "strategy"]


def test_defaults_belong_to_the_field() -> None:
    assert at(CORE + "ContainerPort", "protocol").default == "TCP"
    assert at(CORE + "Container", "name").default == ""
    assert at(CORE + "Container", "image").default is None


def test_types_are_shared_and_may_refer_to_themselves() -> None:
    template = at(APPS + "Deployment", "spec.template.spec")
    assert template is at(CORE + "Pod", "spec")
    props = schema_of("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    assert props.fields["properties"].items is props
    # A field with semantics of its own is a copy that shares the fields.
    claim = at(CORE + "PersistentVolumeSpec", "claimRef")
    assert claim.fields is schema_of(CORE + "ObjectReference").fields


def test_every_definition_builds_and_every_struct_field_has_a_schema() -> None:
    names = definition_names()
    assert len(names) > 550
    for name in names:
        schema = schema_of(name)
        assert schema is schema_of(name)
        assert schema.required <= schema.fields.keys()
        assert schema.always.keys() <= schema.fields.keys()
        assert schema.drop_zero <= schema.fields.keys()
        assert not schema.drop_zero & schema.always.keys()
        for field in schema.fields.values():
            assert (field.items is not None) == (field.kind in ("list", "map"))


def test_names_of_kinds() -> None:
    assert definition_name("apps", "v1", "Deployment") == APPS + "Deployment"
    assert definition_name("autoscaling", "v1", "Scale") == "io.k8s.api.autoscaling.v1.Scale"
    assert definition_name("apps", "v1", "Nothing") is None
    with pytest.raises(KeyError):
        schema_of("io.k8s.api.core.v1.Nothing")


def test_descriptions() -> None:
    describe = load_descriptions()
    assert describe(CORE + "Pod", "").startswith("Pod is a collection of containers")
    assert describe(CORE + "Pod", "kind") == describe(APPS + "Deployment", "kind") != ""
    assert describe(CORE + "Pod", "nothing") == describe("nothing", "") == ""


def test_bootstrap_roles() -> None:
    objects = read_table("bootstrap_roles.json")["objects"]
    names = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects}
    assert len(names) == len(objects)
    assert {
        ("ClusterRole", "", "cluster-admin"),
        ("ClusterRole", "", "system:public-info-viewer"),
        ("ClusterRoleBinding", "", "cluster-admin"),
        ("ClusterRole", "", "system:controller:generic-garbage-collector"),
        ("Role", "kube-system", "extension-apiserver-authentication-reader"),
    } <= names
