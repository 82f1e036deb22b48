"""apps.kruise.io/v1alpha1 BroadcastJob."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import Needs, ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import added, reflecting
from kafila.placement.interpreter.thirdparty.values import at, numbered, own_map, same, text

from . import workloads

_COUNTERS: Final = ("active", "succeeded", "failed", "desired")


def _replicas(obj: Any, needs: Needs) -> tuple[Any, Any]:
    parallelism = at(obj, "spec", "parallelism")
    return 1 if parallelism is None else parallelism, needs(at(obj, "spec", "template"))


def _revise(obj: Any, replicas: int) -> Any:
    own_map(obj, "spec")["parallelism"] = replicas
    return obj


def _retain(desired: Any, observed: Any) -> Any:
    """The labels of pods that the member gave the job."""
    metadata = at(observed, "spec", "template", "metadata")
    labels = at(metadata, "labels") if metadata is not None else None
    if labels is not None:
        own_map(own_map(own_map(desired, "spec"), "template"), "metadata")["labels"] = labels
    return desired


def _is_healthy(obj: Any) -> bool:
    """Without a pod that failed, and with some that run or are done."""
    status = at(obj, "status")
    if same(at(status, "desired"), 0) or not same(at(status, "failed"), 0):
        return False
    return not (same(at(status, "succeeded"), 0) and same(at(status, "active"), 0))


def _aggregate(obj: Any, items: Any) -> Any:
    if items is None:
        return at(obj, "status")
    total: dict[str, Any] = dict.fromkeys(_COUNTERS, 0)
    phase: Any = ""
    result = ""  # Karmada's script keeps it from one cluster to the next
    failed, completed = [], 0
    for item in items:
        status = at(item, "status")
        if status is not None:
            for field in _COUNTERS:
                total[field] = added(total[field], status, field)
            found = at(status, "phase")
            phase = phase if found is None else found
            result = _result(at(status, "conditions")) or result
        completed += result == "Complete"
        if result == "Failed":
            failed.append(at(item, "clusterName"))
    old = own_map(obj, "status") if at(obj, "status") is not None else {}
    return {**old, **total, "phase": phase, "conditions": _conditions(failed, completed, len(items))}


def _result(conditions: Any) -> str:
    """ "Complete", "Failed" or ""."""
    for condition in numbered(conditions, "conditions") if conditions is not None else ():
        if at(condition, "type") in ("Complete", "Failed") and at(condition, "status") == "True":
            return str(condition["type"])
    return ""


def _conditions(failed: list[Any], completed: int, members: int) -> list[Any]:
    found = []
    if failed:
        message = f"Job executed failed in member clusters: {', '.join(map(text, failed))}"
        found.append({"type": "Failed", "status": "True", "reason": "JobFailed", "message": message})
    if 0 < completed == members:
        message = "Job completed"
        found.append({"type": "Completed", "status": "True", "reason": "Completed", "message": message})
    return found


BROADCAST_JOB: Final = ThirdParty(
    replicas=_replicas,
    revise=_revise,
    retain=_retain,
    aggregate=_aggregate,
    reflect=reflecting("conditions", "startTime", "completionTime", *_COUNTERS, "phase"),
    health=_is_healthy,
    dependencies=workloads.dependencies,
)
