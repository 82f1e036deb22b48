"""What OpenKruise's workloads have in common: replicas, pods, and statuses that are summed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kafila.placement.interpreter import kube
from kafila.placement.interpreter.thirdparty.calls import Needs
from kafila.placement.interpreter.thirdparty.statuses import added, begun, has_seen_newest, newest
from kafila.placement.interpreter.thirdparty.values import at, less, own_map, same


def replicas(obj: Any, needs: Needs) -> tuple[Any, Any]:
    return at(obj, "spec", "replicas"), needs(at(obj, "spec", "template"))


def revise(obj: Any, replicas: int) -> Any:
    own_map(obj, "spec")["replicas"] = replicas
    return obj


def dependencies(obj: Any) -> Any:
    """Karmada's scripts fail where there are none; here nothing is nothing."""
    return dependencies_of(obj, at(obj, "spec", "template"))


def dependencies_of(obj: Any, template: Any) -> Any:
    return kube.get_pod_dependencies(template, at(obj, "metadata", "namespace")) or []


def summed(
    counters: tuple[str, ...], texts: Mapping[str, Any], *, when_nowhere: Mapping[str, Any]
) -> Callable[[Any, Any], Any]:
    """``texts``: fields whose newest text counts, and what they are when no member has one.

    ``when_nowhere``: what else the status says when the workload is in no cluster.
    """

    def aggregate(obj: Any, items: Any) -> Any:
        status, generation = begun(obj)
        if not items:
            status.update(dict.fromkeys(counters, 0), **when_nowhere, observedGeneration=generation)
            return status
        total: dict[str, Any] = {**dict.fromkeys(counters, 0), **texts}
        settled = 0
        for item in items:
            member = at(item, "status")
            for field in counters:
                total[field] = added(total[field], member, field)
            for field in texts:
                total[field] = newest(total[field], member, field)
            settled += has_seen_newest(member, generation)
        if settled == len(items):
            status["observedGeneration"] = generation
        status.update(total)
        return status

    return aggregate


def is_rolled_out(obj: Any) -> bool:
    """All replicas updated, and all updated ones available."""
    status = at(obj, "status")
    if not same(at(status, "observedGeneration"), at(obj, "metadata", "generation")):
        return False
    wanted, updated = at(obj, "spec", "replicas"), at(status, "updatedReplicas")
    if wanted is not None and less(updated, wanted):
        return False
    return not less(at(status, "availableReplicas"), updated)
