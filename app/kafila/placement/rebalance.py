"""WorkloadRebalancer: which workloads are still to be scheduled anew, and what its status says about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kafila.core.values import Object
from kafila.placement.objects import metadata, spec, status

SUCCESSFUL: Final = "Successful"
FAILED: Final = "Failed"
NOT_FOUND: Final = "ReferencedBindingNotFound"
_FIELDS: Final = ("apiVersion", "kind", "namespace", "name")
Workload = tuple[str, ...]


def identity(workload: Object) -> Workload:
    return tuple(workload.get(field) or "" for field in _FIELDS)


def observed_workloads(rebalancer: Object) -> list[Object]:
    """The status' list after a change of the spec: what was done successfully stays, what is new comes in."""
    wanted = {identity(workload): workload for workload in spec(rebalancer).get("workloads") or ()}
    kept = []
    for item in status(rebalancer).get("observedWorkloads") or ():
        if wanted.pop(identity(item["workload"]), None) is not None or item.get("result") == SUCCESSFUL:
            kept.append(item)
    kept += [{"workload": workload} for workload in wanted.values()]
    return sorted(kept, key=lambda item: _order(item["workload"]))


def _order(workload: Object) -> str:
    return " ".join(identity(workload))


def is_pending(item: Object) -> bool:
    return item.get("result") not in (SUCCESSFUL, FAILED)


def with_results(rebalancer: Object, items: list[Object], done: Mapping[Workload, str], now: str) -> Object:
    """The new status. ``done``: result by workload of those that were tried; the others are tried again."""
    observed = []
    for item in items:
        result = done.get(identity(item["workload"]), item.get("result"))
        found = {"workload": item["workload"]}
        if result:
            found["result"] = result
        if result == FAILED:
            found["reason"] = NOT_FOUND
        observed.append(found)
    made: Object = {"observedWorkloads": observed}
    if metadata(rebalancer).get("generation"):
        made["observedGeneration"] = metadata(rebalancer)["generation"]
    before = dict(status(rebalancer))
    finished = before.pop("finishTime", None)
    if before != made and not any(is_pending(item) for item in observed):
        finished = now
    return {**made, "finishTime": finished} if finished else made
