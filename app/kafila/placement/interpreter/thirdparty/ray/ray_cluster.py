"""ray.io/v1 RayCluster."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter import kube
from kafila.placement.interpreter.thirdparty.calls import Needs, ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import added
from kafila.placement.interpreter.thirdparty.values import at, find, is_empty, items, less, number, own_map, text

from . import clusters

_COUNTERS: Final = (
    "readyWorkerReplicas",
    "availableWorkerReplicas",
    "maxWorkerReplicas",
    "minWorkerReplicas",
    "desiredWorkerReplicas",
)
_AMOUNTS: Final = ("desiredCPU", "desiredMemory")
_DEVICES: Final = ("desiredGPU", "desiredTPU")


def _components(obj: Any, needs: Needs) -> Any:
    return clusters.components(at(obj, "spec"), needs)


def _is_healthy(obj: Any) -> bool:
    """The head is ready, all pods were made, and none is missing now."""
    conditions = find(obj, "status", "conditions")
    if conditions is None:
        return False
    true = {
        kind
        for condition in items(conditions, "conditions")
        for kind in ("HeadPodReady", "RayClusterProvisioned", "RayClusterReplicaFailure")
        if at(condition, "type") == kind and at(condition, "status") == "True"
    }
    return true == {"HeadPodReady", "RayClusterProvisioned"}


def _aggregate(obj: Any, members: Any) -> Any:
    """Of one member its status; of several the sums, and head, endpoints and state of the first that has them."""
    if members is None:
        return at(obj, "status")
    if len(members) == 1:
        return at(members[0], "status")
    found: dict[str, Any] = {
        **dict.fromkeys(_COUNTERS, 0),
        **dict.fromkeys(_AMOUNTS, "0"),
        **dict.fromkeys(_DEVICES, 0),
        **dict.fromkeys(("lastUpdateTime", "endpoints", "head", "state", "stateTransitionTimes")),
        "conditions": [],
    }
    for member in members:
        status = at(member, "status")
        if status is not None:
            _add(found, status)
    for field in _DEVICES:
        found[field] = text(found[field])
    old = own_map(obj, "status") if at(obj, "status") is not None else {}
    return {**old, **found}


def _add(found: dict[str, Any], status: Any) -> None:
    conditions = at(status, "conditions")
    found["conditions"] += items(conditions, "conditions") if conditions is not None else []
    for field in _COUNTERS:
        found[field] = added(found[field], status, field)
    for field in (*_AMOUNTS, *_DEVICES):
        amount = at(status, field)
        if not is_empty(amount):
            is_amount = field in _AMOUNTS
            found[field] = (
                kube.resource_add(found[field], amount) if is_amount else found[field] + number(amount, field)
            )
    time = at(status, "lastUpdateTime")
    if time is not None and (found["lastUpdateTime"] is None or less(found["lastUpdateTime"], time)):
        found["lastUpdateTime"] = time
    for field in ("endpoints", "head"):
        if found[field] is None:
            found[field] = at(status, field)
    if found["state"] is None and at(status, "state") is not None:
        for field in ("state", "stateTransitionTimes"):
            found[field] = at(status, field)


RAY_CLUSTER: Final = ThirdParty(components=_components, aggregate=_aggregate, health=_is_healthy)
