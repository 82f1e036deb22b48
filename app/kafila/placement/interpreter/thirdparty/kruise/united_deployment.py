"""apps.kruise.io/v1alpha1 UnitedDeployment."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import begun, has_seen_newest, reflecting
from kafila.placement.interpreter.thirdparty.values import as_key, at, counted, is_true, items, pairs, same

from . import workloads

_COUNTERS: Final = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


def _aggregate(obj: Any, members: Any) -> Any:
    """Numbers are summed; of each type the condition of the last member that has it counts."""
    status, generation = begun(obj)
    total: dict[str, Any] = dict.fromkeys(_COUNTERS, 0)
    if not members:
        return {**status, **total, "observedGeneration": generation}
    conditions: dict[Any, Any] = {}
    settled = 0
    for member in members:
        found = at(member, "status")
        if found is None:
            continue
        for field in _COUNTERS:
            total[field] += counted(found, field)
        conditions.update(_by_type(at(found, "conditions")))
        settled += has_seen_newest(_without_false(found), generation)
    if settled == len(members):
        status["observedGeneration"] = generation
    status.update(total)
    if conditions:
        status["conditions"] = [condition for _, condition in pairs(conditions)]
    return status


def _by_type(conditions: Any) -> dict[Any, Any]:
    if conditions is None:
        return {}
    found = {}
    for condition in items(conditions, "conditions"):
        found[as_key(at(condition, "type"))] = condition
    return found


def _without_false(status: Any) -> Any:
    fields = ("resourceTemplateGeneration", "generation", "observedGeneration")
    return {field: found for field in fields if is_true(found := at(status, field))}


def _is_healthy(obj: Any) -> bool:
    if any(at(obj, field) is None for field in ("status", "metadata", "spec")):
        return False
    if not same(at(obj, "status", "observedGeneration"), at(obj, "metadata", "generation")):
        return False
    return workloads.is_rolled_out(obj)


UNITED_DEPLOYMENT: Final = ThirdParty(
    replicas=workloads.replicas,
    revise=workloads.revise,
    aggregate=_aggregate,
    reflect=reflecting(*_COUNTERS, "observedGeneration", "conditions", with_generations=True),
    health=_is_healthy,
    dependencies=workloads.dependencies,
)
