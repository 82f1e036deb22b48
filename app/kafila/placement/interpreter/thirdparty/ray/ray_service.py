"""ray.io/v1 RayService."""

from __future__ import annotations

import math
from typing import Any, Final

from kafila.placement.interpreter import kube
from kafila.placement.interpreter.thirdparty.calls import Needs, ThirdParty
from kafila.placement.interpreter.thirdparty.references import References
from kafila.placement.interpreter.thirdparty.statuses import added
from kafila.placement.interpreter.thirdparty.values import (
    at,
    counted,
    find,
    items,
    length,
    less,
    own_map,
    own_maps,
    pairs,
)

from . import clusters

_RESOURCES: Final = ("cpu", "memory")
# of several members the worst counts
_APPLICATION: Final = {
    "RUNNING": 0,
    "NOT_STARTED": 1,
    "DEPLOYING": 2,
    "DELETING": 3,
    "UNHEALTHY": 4,
    "DEPLOY_FAILED": 5,
}


def _replicas(obj: Any, needs: Needs) -> tuple[Any, Any]:
    """Head and workers, as if each needed as much as the largest, and a node such as the head's."""
    cluster = find(obj, "spec", "rayClusterConfig")
    head = find(cluster, "headGroupSpec", "template")
    if head is None:
        return 0, None
    replicas: Any = 1
    requirements = needs(head)
    requests = [(requirements or {}).get("resourceRequest") or {}]
    groups = at(cluster, "workerGroupSpecs")
    for group in items(groups, "workerGroupSpecs") if groups is not None else ():
        replicas += counted(group, "replicas")
        template = at(group, "template")
        if template is not None:
            requests.append((needs(template) or {}).get("resourceRequest") or {})
    largest = {resource: amount for resource in _RESOURCES if (amount := _largest(resource, requests)) is not None}
    if requirements is not None and largest:
        requirements["resourceRequest"] = {**requests[0], **largest}
    return replicas, requirements


def _largest(resource: str, requests: list[dict[str, str]]) -> str | None:
    asked = [request[resource] for request in requests if resource in request]
    return max(asked, key=kube.get_resource_quantity, default=None)


def _revise(obj: Any, replicas: int) -> Any:
    """The head stays; groups of workers share the rest as they did before, evenly when there were none."""
    cluster = find(obj, "spec", "rayClusterConfig")
    found = at(cluster, "workerGroupSpecs") if cluster is not None else None
    if found is None or length(found, "workerGroupSpecs") == 0:
        return obj
    groups = own_maps(items(found, "workerGroupSpecs"), "a group of workers")
    if len(groups) > 1:
        before = [counted(group, "replicas") for group in groups]
    else:
        before = [0]
    for group, share in zip(groups, _shares(max(0, replicas - 1), before), strict=True):
        group["replicas"] = share
    return obj


def _shares(total: int, before: list[Any]) -> list[int]:
    """``total`` in the proportions of ``before``. Rounding does not give out more than there is (Karmada's script does)."""
    count, sum_before = len(before), sum(before)
    shares: list[int] = []
    left = total
    for index, weight in enumerate(before):
        if index == count - 1:
            share = left
        elif not sum_before:
            share = total // count + (index < total % count)
        else:
            share = math.floor(total * (weight / sum_before) + 0.5)
        shares.append(min(share, left))
        left -= shares[-1]
    return shares


def _is_healthy(obj: Any) -> bool:
    conditions = find(obj, "status", "conditions")
    return conditions is not None and any(
        at(condition, "type") == "Ready" and at(condition, "status") == "True"
        for condition in items(conditions, "conditions")
    )


def _aggregate(obj: Any, members: Any) -> Any:
    """Of one member its status; of several the sums, of each application the worst."""
    if members is None:
        return at(obj, "status")
    if len(members) == 1:
        return at(members[0], "status")
    found: dict[str, Any] = {
        "conditions": [],
        "numServeEndpoints": 0,
        "lastUpdateTime": None,
        "observedGeneration": 0,
        "serviceStatus": "Running",
    }
    applications: dict[Any, Any] = {}
    for member in members:
        status = at(member, "status")
        if status is not None:
            _add(found, status)
            _add_services(found, applications, status)
    if found.get("activeServiceStatus") is not None:
        own_map(found, "activeServiceStatus")["applicationStatuses"] = applications
    old = own_map(obj, "status") if at(obj, "status") is not None else {}
    return {**old, **found}


def _add(found: dict[str, Any], status: Any) -> None:
    conditions = at(status, "conditions")
    found["conditions"] += items(conditions, "conditions") if conditions is not None else []
    found["numServeEndpoints"] = added(found["numServeEndpoints"], status, "numServeEndpoints")
    for field in ("lastUpdateTime", "observedGeneration"):
        value = at(status, field)
        if value is not None and (found[field] is None or less(found[field], value)):
            found[field] = value
    if at(status, "serviceStatus") == "":  # it does not run
        found["serviceStatus"] = ""


def _add_services(found: dict[str, Any], applications: dict[Any, Any], status: Any) -> None:
    """The services are those of the first member that has them, but for the states of their applications."""
    for field in ("activeServiceStatus", "pendingServiceStatus"):
        value = at(status, field)
        if value is not None:
            found.setdefault(field, value)
    states = find(status, "activeServiceStatus", "applicationStatuses")
    for name, state in pairs(states, "applicationStatuses") if states is not None else ():
        if name not in applications or _rank(state) > _rank(applications[name]):
            applications[name] = state


def _rank(state: Any) -> int:
    status = at(state, "status")
    return _APPLICATION.get(status, 0) if isinstance(status, str) else 0


def _dependencies(obj: Any) -> Any:
    found = References()
    clusters.add_cluster(found, find(obj, "spec", "rayClusterConfig"))
    return found.of(obj)


RAY_SERVICE: Final = ThirdParty(
    replicas=_replicas,
    revise=_revise,
    aggregate=_aggregate,
    health=_is_healthy,
    dependencies=_dependencies,
)
