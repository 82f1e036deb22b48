"""kubeflow.org/v1 PyTorchJob."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.values import at, own_map, text, without_empty

from . import training

_SPECS: Final = "pytorchReplicaSpecs"
_ROLES: Final = ("Master", "Worker")


def _aggregate(obj: Any, items: Any) -> Any:
    """Created when it is so anywhere, failed when it is anywhere, succeeded when it is so everywhere."""
    status: dict[str, Any] = own_map(obj, "status") if at(obj, "status") is not None else {}
    if not items:
        return {**status, "startTime": None, "completionTime": None, "replicaStatuses": {}, "conditions": []}
    members = [(at(item, "clusterName"), found) for item in items if (found := at(item, "status")) is not None]
    total = training.total([found for _, found in members], _ROLES)
    ended = total.pop("completionTime")
    failed = [cluster for cluster, found in members if _has(found, "Failed")]
    succeeded = sum(_has(found, "Succeeded") and not _has(found, "Failed") for _, found in members) == len(items)
    conditions = [
        *_created([found for _, found in members], total["startTime"]),
        *_running([found for _, found in members], is_over=bool(failed) or succeeded),
        *_final(failed, succeeded, ended),
    ]
    if succeeded and not failed:
        status["completionTime"] = ended
    return without_empty({**status, **total, "conditions": conditions})


def _has(status: Any, type: str) -> bool:
    return any(training.is_condition(each, type) for each in training.conditions_of(status))


def _condition(type: str, reason: str, message: str, updated: Any, changed: Any, status: str = "True") -> Any:
    return {
        "type": type,
        "status": status,
        "lastUpdateTime": updated,
        "lastTransitionTime": changed,
        "reason": f"PyTorchJob{reason}",
        "message": f"PyTorchJob {message}",
    }


def _created(statuses: list[Any], started: Any) -> list[Any]:
    if not any(_has(status, "Created") for status in statuses):
        return []
    return [_condition("Created", "Created", "is created.", started, started)]


def _running(statuses: list[Any], *, is_over: bool) -> list[Any]:
    found = [c for status in statuses for c in training.conditions_of(status) if at(c, "type") == "Running"]
    if not found:
        return []
    times = at(found[-1], "lastUpdateTime"), at(found[-1], "lastTransitionTime")
    return [_condition("Running", "Running", "is running.", *times, status="False" if is_over else "True")]


def _final(failed: list[Any], succeeded: bool, ended: Any) -> list[Any]:
    """The last condition is the one that `kubectl get` shows."""
    if failed:
        message = f"executed failed in member clusters: {', '.join(map(text, failed))}"
        return [_condition("Failed", "Failed", message, ended, ended)]
    if succeeded:
        return [_condition("Succeeded", "Succeeded", "is successfully completed.", ended, ended)]
    return []


PYTORCH_JOB: Final = ThirdParty(
    components=training.components(_SPECS, _ROLES),
    aggregate=_aggregate,
    health=training.is_healthy,
    dependencies=training.dependencies(_SPECS, _ROLES),
)
