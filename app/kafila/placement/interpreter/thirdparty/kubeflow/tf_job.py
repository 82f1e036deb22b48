"""kubeflow.org/v1 TFJob."""

from __future__ import annotations

from typing import Any, Final

from kafila.core.values import nested
from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import stamped
from kafila.placement.interpreter.thirdparty.values import at, own_map, text, without_empty

from . import training

_SPECS: Final = "tfReplicaSpecs"
_ROLES: Final = ("PS", "Worker", "Chief", "Master", "Evaluator")
_STAMPS: Final = ("lastProbeTime", "lastTransitionTime")


def _aggregate(obj: Any, items: Any) -> Any:
    """Failed when it is anywhere, succeeded when it is so everywhere."""
    before = nested(obj, "status", "conditions")
    status: dict[str, Any] = own_map(obj, "status") if at(obj, "status") is not None else {}
    if items is None:
        return {**status, "startTime": None, "completionTime": None, "replicaStatuses": {}, "conditions": []}
    members = [(at(item, "clusterName"), found) for item in items if (found := at(item, "status")) is not None]
    total = training.total([found for _, found in members], _ROLES)
    ended = total.pop("completionTime")
    results = [(cluster, _result(found)) for cluster, found in members]
    conditions = []
    failed = [cluster for cluster, result in results if result == "Failed"]
    if failed:
        message = f"TFJob executed failed in member clusters: {', '.join(map(text, failed))}"
        conditions.append({"type": "Failed", "status": "True", "reason": "TFJobFailed", "message": message})
    if 0 < sum(result == "Succeeded" for _, result in results) == len(items):
        message = "TFJob completed successfully"
        conditions.append({"type": "Succeeded", "status": "True", "reason": "Completed", "message": message})
        status["completionTime"] = ended
    total["conditions"] = [stamped(each, _of_type(before, each["type"]), *_STAMPS) for each in conditions]
    return without_empty({**status, **total})


def _result(status: Any) -> str:
    """ "Succeeded", "Failed", whichever the member says last, or ""."""
    found = ""
    for condition in training.conditions_of(status):
        if at(condition, "type") in ("Succeeded", "Failed") and at(condition, "status") == "True":
            found = str(condition["type"])
    return found


def _of_type(conditions: Any, type: str) -> Any:
    found = conditions if isinstance(conditions, list) else ()
    return next((each for each in found if isinstance(each, dict) and each.get("type") == type), None)


TF_JOB: Final = ThirdParty(
    components=training.components(_SPECS, _ROLES),
    aggregate=_aggregate,
    health=training.is_healthy,
    dependencies=training.dependencies(_SPECS, _ROLES),
)
