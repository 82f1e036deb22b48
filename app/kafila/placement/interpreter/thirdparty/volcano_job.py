"""batch.volcano.sh/v1alpha1 Job: several tasks that run together or not at all."""

from __future__ import annotations

import re
from typing import Any, Final

from kafila.core.values import nested

from .calls import Needs, ThirdParty
from .statuses import stamped
from .values import (
    as_key,
    at,
    counted,
    find,
    is_empty,
    is_table,
    is_true,
    items,
    less,
    number,
    number_or,
    pairs,
    text,
    without_empty,
)

_HEALTHY: Final = frozenset(
    {
        "Running",
        "Completed",
        "Pending",
        "Aborting",
        "Aborted",
        "Restarting",
        "Completing",
        "Terminating",
        "Terminated",
    }
)
_FAILED: Final = frozenset({"Failed", "Aborted", "Aborting", "Terminated", "Terminating"})
_COUNTERS: Final = (
    "minAvailable",
    "pending",
    "running",
    "succeeded",
    "failed",
    "terminating",
    "unknown",
    "retryCount",
)
_DURATION: Final = re.compile(r"([0-9.]+)([hms])")
_LONGEST: Final = 64  # characters of a duration
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}


def _is_healthy(obj: Any) -> bool:
    phase = find(obj, "status", "state", "phase")
    return isinstance(phase, str) and phase in _HEALTHY


def _components(obj: Any, needs: Needs) -> Any:
    """One of each task, with as many pods as it needs to start."""
    tasks = find(obj, "spec", "tasks")
    if tasks is None:
        return []
    return [
        {
            "name": f"task-{index}" if is_empty(at(task, "name")) else at(task, "name"),
            "replicas": number_or(at(task, "minAvailable"), 1),
            "replicaRequirements": needs(at(task, "template")),
        }
        for index, task in enumerate(items(tasks, "spec.tasks"))
    ]


def _reflect(obj: Any) -> Any:
    status = at(obj, "status")
    if status is None:
        return {}
    found = {field: at(status, field) for field in (*_COUNTERS, "version", "runningDuration", "state")}
    for field in ("taskStatusCount", "controlledResources"):
        value = at(status, field)
        found[field] = dict(pairs(value, field)) if value is not None else None
    conditions = at(status, "conditions")
    found["conditions"] = items(conditions) if is_table(conditions) else None
    return found


def _aggregate(obj: Any, members: Any) -> Any:
    """Of one member its status; of several the sums, and a state once one has failed or all are complete."""
    if members is None:
        return at(obj, "status")
    if len(members) == 1:
        return at(members[0], "status")
    status: dict[str, Any] = {
        **dict.fromkeys(_COUNTERS, 0),
        "version": 0,
        "runningDuration": "0s",
        "taskStatusCount": {},
        "controlledResources": {},
    }
    failed, completed = [], 0
    for member in members:
        found = at(member, "status")
        if found is None:
            continue
        _add(status, found)
        state = at(found, "state")
        phase = at(state, "phase") if state is not None else None
        completed += phase == "Completed"
        if phase in ("Failed", "Aborted"):
            failed.append(text(at(member, "clusterName")))
    status["state"] = _state(failed, 0 < completed == len(members), nested(obj, "status", "state"))
    status["conditions"] = _conditions([at(each, "status") for each in members])
    return without_empty(status) or {}


def _add(status: dict[str, Any], found: Any) -> None:
    for field in _COUNTERS:
        status[field] += counted(found, field)
    status["version"] = max(status["version"], counted(found, "version"))
    lasted = at(found, "runningDuration")
    if _seconds(lasted) > _seconds(status["runningDuration"]):
        status["runningDuration"] = lasted
    tasks = at(found, "taskStatusCount")
    for task, counts in pairs(tasks, "taskStatusCount") if tasks is not None else ():
        phases = status["taskStatusCount"].setdefault(task, {"phase": {}})["phase"]
        there = at(counts, "phase")
        for phase, count in pairs(there, "phase") if there is not None else ():
            phases[phase] = phases.get(phase, 0) + number(count, "a count of tasks")
    resources = at(found, "controlledResources")
    if is_true(resources):
        status["controlledResources"].update(pairs(resources, "controlledResources"))


def _seconds(duration: Any) -> float:
    """Of a duration as Go writes it, 0 for what is none."""
    if not isinstance(duration, str) or len(duration) > _LONGEST:
        return number_or(duration, 0)
    found = sum(number(amount, "a duration") * _SECONDS[unit] for amount, unit in _DURATION.findall(duration))
    return found if found > 0 else number_or(duration, 0)


def _state(failed: list[str], is_complete: bool, before: Any) -> Any:
    if failed:
        message = f"Job failed in clusters: {','.join(failed)}"
        state = {"phase": "Failed", "reason": "VolcanoJobFailed", "message": message}
    elif is_complete:
        state = {"phase": "Completed", "reason": "Completed", "message": "Job completed successfully"}
    else:
        return {}
    return stamped(state, before, "lastTransitionTime")


def _conditions(statuses: list[Any]) -> list[Any]:
    """Those of the first member that has failed, or of each phase the latest."""
    latest: dict[Any, Any] = {}
    failures: Any = []
    for status in statuses:
        found = at(status, "conditions") if status is not None else None
        has_failed = False
        for condition in items(found, "conditions") if is_true(found) else ():
            phase = at(condition, "status")
            has_failed = has_failed or (isinstance(phase, str) and phase in _FAILED)
            if not has_failed:
                _keep_latest(latest, phase, condition)
        if has_failed and not failures:
            failures = found
    return failures or [condition for _, condition in pairs(latest)]


def _keep_latest(latest: dict[Any, Any], phase: Any, condition: Any) -> None:
    key = as_key(phase)
    if key not in latest or less(at(latest[key], "lastTransitionTime"), at(condition, "lastTransitionTime")):
        latest[key] = condition


JOB: Final = ThirdParty(components=_components, aggregate=_aggregate, reflect=_reflect, health=_is_healthy)
