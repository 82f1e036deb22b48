"""Kinds of others in a lab: their definitions, here and in the members, and objects of them."""

from __future__ import annotations

from typing import Any

from kafila.catalog.kind import Kind
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.registry import Options, Registry
from kafila.registry.codec import decode_entry
from kafila.registry.decoding import decode_object
from tests.definitions import definition, properties, version

Lab = Any  # of conftest
OPERATOR = Options(manager="operator")


async def know(lab: Lab, api_version: str, kind: str) -> None:
    """Defines the kind, here and in every member; any field may have any value."""
    group, name = split_api_version(api_version)
    anything = {"x-kubernetes-preserve-unknown-fields": True}
    schema = properties(spec=anything, status=anything)
    crd = definition(group, kind, version(name, schema, subresources={"status": {}}))
    registries = [lab.registry, *(member.registry for member in lab.members.values())]
    for registry in registries:
        found = registry.kind("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        await registry.create(found, "", decode_object(found, crd, OPERATOR), OPERATOR)
    await lab.until(lambda: all(kind_of(each, api_version, kind) for each in registries), f"{kind} is known")
    await lab.until(lambda: all(_serves(lab, each, api_version, kind) for each in lab.members), f"{kind} is served")


def _serves(lab: Lab, cluster: str, api_version: str, kind: str) -> bool:
    """Does the Cluster's status say that the member has the kind?"""
    return any(
        group["groupVersion"] == api_version and any(each["kind"] == kind for each in group["resources"])
        for group in lab.get("Cluster", cluster)["status"].get("apiEnablements") or ()
    )


def kind_of(registry: Registry, api_version: str, kind: str) -> Kind | None:
    return registry.catalog.by_kind(*split_api_version(api_version), kind)


def _kind(registry: Registry, obj: Object) -> Kind:
    found = kind_of(registry, obj["apiVersion"], obj["kind"])
    assert found is not None, obj["kind"]
    return found


async def create(lab: Lab, obj: Object) -> None:
    kind = _kind(lab.registry, obj)
    await lab.registry.create(kind, "default", decode_object(kind, obj, OPERATOR), OPERATOR)


def stored(registry: Registry, obj: Object) -> Object:
    """The object as it is there now, {} when there is none."""
    kind = _kind(registry, obj)
    entry = registry.cache.get(kind.resource, "default", obj["metadata"]["name"])
    return decode_entry(kind, entry) if entry is not None else {}


async def write_status(lab: Lab, member: str, obj: Object, status: Any) -> None:
    """As the operator in that member does."""
    registry = lab.members[member].registry
    name = obj["metadata"]["name"]

    def changed(found: Object) -> Object:
        return {**found, "status": status}

    await registry.modify(_kind(registry, obj), "default", name, changed, OPERATOR, "status")


def object_of(api_version: str, kind: str, spec: Any, name: str = "it") -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
