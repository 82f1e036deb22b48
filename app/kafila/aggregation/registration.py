"""The APIServices of what is served here, as kube-apiserver's autoregister controller makes them. Pure functions.

Those of the server's own groups are made or mended once, when it starts; those of CustomResourceDefinitions always. An APIService
that has no such label is somebody else's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kafila.catalog.catalog import REPLACEABLE, Catalog
from kafila.catalog.priorities import KARMADA, KARMADAS_EXTENSIONS, builtin_priorities, priority_of
from kafila.core.values import Object

API_VERSION: Final = "apiregistration.k8s.io/v1"
LABEL: Final = "kube-aggregator.kubernetes.io/automanaged"


class Managed(StrEnum):
    ON_START = "onstart"
    ALWAYS = "true"


class Step(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


def local(group: str, version: str, managed: Managed) -> Object:
    priority = priority_of(group, version)
    return {
        "apiVersion": API_VERSION,
        "kind": "APIService",
        "metadata": {"name": name_of(group, version), "labels": {LABEL: managed.value}},
        "spec": {
            **({"group": group} if group else {}),
            "version": version,
            "groupPriorityMinimum": priority.group,
            "versionPriority": priority.version,
        },
    }


def name_of(group: str, version: str) -> str:
    return f"{version}.{group}"


def served_by(catalog: Catalog) -> dict[str, Object]:
    """The APIServices of the server's own groups, by name."""
    found = {}
    for group in catalog.groups():
        for version in group.versions:
            if all(kind.definition for kind in version.kinds):
                continue
            managed = _managed(group.name, version.name)
            if managed is not None:
                made = local(group.name, version.name, managed)
                found[made["metadata"]["name"]] = made
    return found


def _managed(group: str, version: str) -> Managed | None:
    """Karmada's are custom kinds in Karmada, but for those of its extension servers. None: no APIService is made."""
    if group in REPLACEABLE:
        return None
    if group.endswith(KARMADA):
        return Managed.ON_START if group in KARMADAS_EXTENSIONS else Managed.ALWAYS
    if group.endswith(".kafila.io") or (group, version) in builtin_priorities():
        return Managed.ON_START
    return None  # of the aggregation layer itself


def step(wanted: Object | None, current: Object | None, synced: bool, was_there: bool) -> Step | None:
    """What must be done about one of them. ``synced``: it was looked at since the start; ``was_there``: it existed at the start."""
    if wanted is not None and _label(wanted) == Managed.ON_START and synced:
        return None
    if current is None:
        return Step.CREATE if wanted is not None else None
    label = _label(current)
    if label not in (Managed.ON_START, Managed.ALWAYS):
        return None
    if label == Managed.ON_START and (synced or not was_there):
        return None
    if wanted is None:
        return Step.DELETE
    return None if _set(current["spec"]) == _set(wanted["spec"]) else Step.UPDATE


def _set(spec: Object) -> Object:
    return {field: value for field, value in spec.items() if value}


def _label(obj: Object) -> str | None:
    value: str | None = (obj["metadata"].get("labels") or {}).get(LABEL)
    return value
