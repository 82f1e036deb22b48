"""Reading a CustomResourceDefinition (a decoded object)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafila.catalog.catalog import version_order
from kafila.core.conditions import conditions_of, is_true
from kafila.core.values import Object

RESOURCE: Final = "customresourcedefinitions.apiextensions.k8s.io"


def is_served(crd: Object) -> bool:
    """From the acceptance of its names on, also when a later change of them is in conflict."""
    return is_true(conditions_of(crd), "NamesAccepted") or is_true(conditions_of(crd), "Established")


def is_terminating(crd: Object) -> bool:
    return is_true(conditions_of(crd), "Terminating")


def accepted_names(crd: Object) -> Object:
    return (crd.get("status") or {}).get("acceptedNames") or {}


def versions(crd: Object) -> list[Object]:
    return (crd.get("spec") or {}).get("versions") or []


def storage_version(crd: Object) -> str:
    return next((v["name"] for v in versions(crd) if v.get("storage")), "")


def oldest_stored(crd: Object) -> str:
    """The version of bodies that do not say theirs: they were stored when there was no other one."""
    listed = (crd.get("status") or {}).get("storedVersions") or []
    known = {version["name"] for version in versions(crd)}
    return next((name for name in listed if name in known), storage_version(crd))


def conversion_webhook(crd: Object) -> Object | None:
    """``spec.conversion.webhook`` where that is the strategy."""
    conversion = (crd.get("spec") or {}).get("conversion") or {}
    return (conversion.get("webhook") or {}) if conversion.get("strategy") == "Webhook" else None


def schema_of_version(version: Object) -> Object | None:
    return (version.get("schema") or {}).get("openAPIV3Schema")


def selectable_fields(version: Object) -> dict[str, Callable[[Object], str]]:
    """What ``fieldSelector`` may name besides metadata, and how it is read."""
    paths = [field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or ()]
    return {path: _reader(path.split(".")) for path in paths}


def _reader(steps: list[str]) -> Callable[[Object], str]:
    def read(obj: Object) -> str:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    return read


def deprecation_warning(crd: Object, version: Object) -> str:
    """The warning for a client of a deprecated version, "" when it is not deprecated."""
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning") is not None:
        return str(version["deprecationWarning"])
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    text = f"{group}/{version['name']} {kind} is deprecated"
    better = [
        v["name"]
        for v in versions(crd)
        if v.get("served") and not v.get("deprecated") and version_order(v["name"]) < version_order(version["name"])
    ]
    return f"{text}; use {group}/{min(better, key=version_order)} {kind}" if better else text
