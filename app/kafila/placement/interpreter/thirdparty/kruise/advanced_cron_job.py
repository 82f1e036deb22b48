"""apps.kruise.io/v1alpha1 AdvancedCronJob."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.values import at, length, own_map

from .workloads import dependencies_of


def _aggregate(obj: Any, items: Any) -> Any:
    """The jobs that run anywhere; type and time are those of the last member that has them."""
    if items is None:
        return at(obj, "status")
    found: dict[str, Any] = {"active": [], "type": "", "lastScheduleTime": {}}
    for item in items:
        status = at(item, "status")
        if status is None:
            continue
        active = at(status, "active")
        if active is not None and length(active, "active"):
            found["active"].extend(active if isinstance(active, list) else [])
        for field in ("type", "lastScheduleTime"):
            value = at(status, field)
            if value is not None:
                found[field] = value
    old = own_map(obj, "status") if at(obj, "status") is not None else {}
    return {**old, **found}


def _dependencies(obj: Any) -> Any:
    """Of the pods of a Job or of a BroadcastJob."""
    template: Any = {}
    for field in ("jobTemplate", "broadcastJobTemplate"):
        job = at(obj, "spec", "template", field)
        if job is not None:
            template = at(job, "spec", "template")
    return dependencies_of(obj, template)


ADVANCED_CRON_JOB: Final = ThirdParty(aggregate=_aggregate, dependencies=_dependencies)
