"""Discovery of this server and of extension servers in one. Pure functions on documents of :mod:`kafila.catalog.discovery`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .apiservices import APIService
from .documents import Said

Json = dict[str, Any]
# its priority among groups
Priority = Callable[[str], int]


def group_list(own: Sequence[Json], services: Sequence[APIService], priority: Priority) -> list[Json]:
    """``GET /apis``: the groups in order; ``own`` are as ``APIGroup`` without kind, and so is what comes back."""
    found = {group["name"]: group for group in own}
    for service in services:
        found[service.group] = group(found.get(service.group), service)
    return _ordered(found, services, priority)


def group(own: Json | None, service: APIService) -> Json:
    """``GET /apis/G`` with the version that ``service`` serves: the last, where there are others."""
    version = {"groupVersion": f"{service.group}/{service.version}", "version": service.version}
    versions = [*own["versions"], version] if own is not None and version not in own["versions"] else [version]
    if own is not None and version in own["versions"]:
        versions = own["versions"]
    return {**(own or {}), "name": service.group, "versions": versions, "preferredVersion": versions[0]}


def aggregated(
    own: Sequence[Json], services: Sequence[APIService], said: Callable[[APIService], Said], priority: Priority
) -> list[Json]:
    """The items of an ``APIGroupDiscoveryList``. What a server does not say at the moment is stale."""
    found = {item["metadata"].get("name", ""): item for item in own}
    for service in services:
        says = said(service)
        freshness = "Current" if says.fresh else "Stale"
        version = {"version": service.version, "resources": says.resources, "freshness": freshness}
        before = found.get(service.group)
        others = [v for v in before["versions"] if v["version"] != service.version] if before is not None else []
        found[service.group] = {"metadata": {"name": service.group}, "versions": [*others, version]}
    return _ordered(found, services, priority)


def _ordered(found: dict[str, Json], services: Sequence[APIService], priority: Priority) -> list[Json]:
    """Those of this server keep their order; another one stands before the first of less priority."""
    theirs: dict[str, int] = {}
    for service in services:
        theirs[service.group] = max(theirs.get(service.group, 0), service.group_priority)
    names = [name for name in found if name not in theirs]
    for name in sorted(theirs, key=lambda name: (-theirs[name], name)):
        at = next((i for i, other in enumerate(names) if theirs.get(other, priority(other)) < theirs[name]), len(names))
        names.insert(at, name)
    return [found[name] for name in names]
