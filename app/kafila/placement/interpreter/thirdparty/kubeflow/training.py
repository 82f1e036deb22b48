"""What Kubeflow's training jobs have in common: pods of several roles, each with a template of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from kafila.placement.interpreter import kube
from kafila.placement.interpreter.thirdparty.calls import Needs
from kafila.placement.interpreter.thirdparty.values import at, counted, find, items, less, number_or, numbered

_COUNTERS: Final = ("active", "failed", "succeeded")


def components(field: str, roles: Iterable[str]) -> Callable[[Any, Needs], Any]:
    """One of each role that the job has in `spec.<field>`."""

    def found(obj: Any, needs: Needs) -> Any:
        specs = ((role, find(obj, "spec", field, role)) for role in roles)
        return [_component(role, spec, needs) for role, spec in specs if spec is not None]

    return found


def _component(role: str, spec: Any, needs: Needs) -> Any:
    replicas, template = number_or(at(spec, "replicas"), 1), at(spec, "template")
    requirements = needs(template) if template is not None else None
    return {"name": role.lower(), "replicas": replicas, "replicaRequirements": requirements}


def dependencies(field: str, roles: Iterable[str]) -> Callable[[Any], Any]:
    """What the pods of all roles refer to."""

    def found(obj: Any) -> Any:
        references: list[Any] = []
        for role in roles if find(obj, "spec", field) is not None else ():
            template = find(obj, "spec", field, role, "template")
            if template is not None:
                references += kube.get_pod_dependencies(template, at(obj, "metadata", "namespace")) or []
        return references

    return found


def is_healthy(obj: Any) -> bool:
    """A job that has not failed."""
    conditions = find(obj, "status", "conditions")
    return conditions is not None and not any(
        is_condition(condition, "Failed") for condition in numbered(conditions, "conditions")
    )


def is_condition(condition: Any, type: str) -> bool:
    return at(condition, "type") == type and at(condition, "status") == "True"


def conditions_of(status: Any) -> list[Any]:
    found = at(status, "conditions")
    return items(found, "conditions") if found is not None else []


def total(statuses: list[Any], roles: Iterable[str]) -> dict[str, Any]:
    """Times and pods of all members: the earliest start, the latest end and look, `replicaStatuses` summed."""
    replicas: dict[str, dict[str, Any]] = {role: dict.fromkeys(_COUNTERS, 0) for role in roles}
    found: dict[str, Any] = {"startTime": None, "completionTime": None, "lastReconcileTime": None}
    for status in statuses:
        for field in found:
            found[field] = _chosen(found[field], at(status, field), is_earliest=field == "startTime")
        for role, counters in replicas.items():
            member = find(status, "replicaStatuses", role)
            for counter in _COUNTERS if member is not None else ():
                counters[counter] += counted(member, counter)
    return {**found, "replicaStatuses": replicas}


def _chosen(before: Any, time: Any, *, is_earliest: bool) -> Any:
    if time is None or before is None:
        return before if time is None else time
    is_better = less(time, before) if is_earliest else less(before, time)
    return time if is_better else before
