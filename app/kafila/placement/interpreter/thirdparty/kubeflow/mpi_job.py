"""kubeflow.org/v2beta1 MPIJob: a launcher and workers."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import Needs, ThirdParty
from kafila.placement.interpreter.thirdparty.values import (
    as_key,
    at,
    counted,
    find,
    is_empty,
    is_table,
    is_true,
    items,
    length,
    less,
    number_or,
    pairs,
    text,
    without_empty,
)

from . import training

_COUNTERS: Final = ("active", "succeeded", "failed")
_TIMES: Final = ("startTime", "completionTime", "lastReconcileTime")


def _is_healthy(obj: Any) -> bool:
    """A job that its controller has said something of, and that has not failed."""
    conditions = find(obj, "status", "conditions")
    return conditions is not None and length(conditions, "conditions") > 0 and training.is_healthy(obj)


def _components(obj: Any, needs: Needs) -> Any:
    """One of each role with a template; no workers when it does not say how many."""
    specs = find(obj, "spec", "mpiReplicaSpecs")
    return [
        {
            "name": role,
            "replicas": number_or(at(spec, "replicas"), 0 if text(role).lower() == "worker" else 1),
            "replicaRequirements": needs(at(spec, "template")),
        }
        for role, spec in (pairs(specs, "mpiReplicaSpecs") if specs is not None else ())
        if at(spec, "template") is not None
    ]


def _reflect(obj: Any) -> Any:
    status = at(obj, "status")
    if status is None:
        return {}
    roles, conditions = at(status, "replicaStatuses"), at(status, "conditions")
    return {
        "replicaStatuses": {
            role: {field: at(each, field) for field in (*_COUNTERS, "selector")}
            for role, each in (pairs(roles, "replicaStatuses") if roles is not None else ())
        },
        "conditions": items(conditions) if is_table(conditions) else None,
        **{field: at(status, field) for field in _TIMES},
    }


def _aggregate(obj: Any, members: Any) -> Any:
    """Of one member its status; of several the sums, and of each type the latest condition."""
    if members is None:
        return at(obj, "status")
    if len(members) == 1:
        return at(members[0], "status")
    replicas: dict[Any, Any] = {}
    times: dict[str, Any] = dict.fromkeys(_TIMES)
    latest: dict[Any, Any] = {}
    for member in members:
        status = at(member, "status")
        if status is None:
            continue
        _add_replicas(replicas, at(status, "replicaStatuses"))
        for field in _TIMES:
            times[field] = _chosen(times[field], at(status, field), is_earliest=field == "startTime")
        conditions = at(status, "conditions")
        for condition in items(conditions, "conditions") if is_true(conditions) else ():
            _keep_latest(latest, condition)
    conditions = [condition for _, condition in pairs(latest)]
    found = {"replicaStatuses": replicas, "conditions": conditions, **{k: v for k, v in times.items() if v is not None}}
    return without_empty(found, zeros=True) or {}


def _add_replicas(replicas: dict[Any, Any], roles: Any) -> None:
    for role, status in pairs(roles, "replicaStatuses") if roles is not None else ():
        counters = replicas.setdefault(role, dict.fromkeys(_COUNTERS, 0))
        for field in _COUNTERS:
            counters[field] += counted(status, field)


def _chosen(before: Any, time: Any, *, is_earliest: bool) -> Any:
    if is_empty(time) or before is None:
        return before if is_empty(time) else time
    is_better = less(time, before) if is_earliest else less(before, time)
    return time if is_better else before


def _keep_latest(latest: dict[Any, Any], condition: Any) -> None:
    time = _time_of(condition)
    if is_empty(time):
        return
    key = as_key(at(condition, "type"))
    if key not in latest or less(_time_of(latest[key]), time):
        latest[key] = condition


def _time_of(condition: Any) -> Any:
    updated = at(condition, "lastUpdateTime")
    return updated if is_true(updated) else at(condition, "lastTransitionTime")


MPI_JOB: Final = ThirdParty(components=_components, aggregate=_aggregate, reflect=_reflect, health=_is_healthy)
