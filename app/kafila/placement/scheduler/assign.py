"""Assignment of replicas to clusters: Karmada's strategies, on top of the Webster method."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from kafila.core.clock import parse_rfc3339
from kafila.placement import constants
from kafila.placement.cluster_affinity import matcher
from kafila.placement.scheduler import bounded
from kafila.placement.scheduler.bounded import Unschedulable
from kafila.placement.scheduler.select import Candidate
from kafila.placement.scheduler.webster import Target, spread_by_targets, webster
from kafila.placement.spec import replicas, scheduling_type, targets
from kafila.placement.types import ClusterPreferences, ResourceBindingSpec, ResourceBindingStatus

_NAME, _REPLICAS = itemgetter(0), itemgetter(1)
_ALLOCATABLE = itemgetter(Candidate._fields.index("allocatable"))


class UnsupportedStrategy(Exception):
    """The placement asks for a strategy that does not exist."""


def reschedule_required(spec: ResourceBindingSpec, status: ResourceBindingStatus) -> bool:
    """Was a fresh assignment asked for since the last time?"""
    triggered, last = spec.get("rescheduleTriggeredAt"), status.get("lastScheduledTime")
    if not triggered or not last:
        return False
    return parse_rfc3339(triggered) > parse_rfc3339(last)


def assign(
    candidates: Sequence[Candidate], spec: ResourceBindingSpec, status: ResourceBindingStatus, affinity: str
) -> list[Target]:
    """Replicas per cluster for a workload. Raises Unschedulable, UnsupportedStrategy.

    ``affinity``: the term of ``clusterAffinities`` in use; its overflow groups are filled one after the other.
    """
    fresh, remaining = reschedule_required(spec, status), replicas(spec)
    later = bounded.least(candidates, remaining)
    if not _has_overflow(spec, affinity):
        return _assign(candidates, spec, remaining, fresh)
    result: list[Target] = []
    for tier in sorted({candidate.overflow for candidate in candidates}):
        members = [candidate for candidate in candidates if candidate.overflow == tier]
        least = bounded.least(members, remaining)
        later -= least
        share = min(remaining - later, sum(candidate.available for candidate in members))
        if share < least:
            raise Unschedulable(f"Clusters available replicas {share} are fewer than their minimums, {least}.")
        result += _assign(members, spec, share, fresh)
        remaining -= share
        if remaining <= 0:
            return result
    raise Unschedulable("Clusters available replicas are not enough to schedule.")


def _has_overflow(spec: ResourceBindingSpec, affinity: str) -> bool:
    placement = spec.get("placement") or {}
    if not affinity or placement.get("clusterAffinity") is not None:
        return False
    return any(
        term.get("affinityName") == affinity and term.get("overflowAffinities")
        for term in placement.get("clusterAffinities") or ()
    )


def _assign(candidates: Sequence[Candidate], spec: ResourceBindingSpec, wanted: int, fresh: bool) -> list[Target]:
    placement = spec.get("placement") or {}
    kind = scheduling_type(placement)
    strategy = placement.get("replicaScheduling") or {}
    preference = strategy.get("replicaDivisionPreference") or ""
    uid = (spec.get("resource") or {}).get("uid") or ""
    if kind == constants.DUPLICATED:
        result = [Target(candidate.name, wanted) for candidate in candidates]
    elif kind == constants.DIVIDED and preference == constants.AGGREGATED:
        result = _dynamic(candidates, spec, wanted, fresh, uid, aggregated=True)
    elif kind == constants.DIVIDED and preference == constants.WEIGHTED:
        weights = strategy.get("weightPreference")
        if weights and weights.get("dynamicWeight"):
            result = _dynamic(candidates, spec, wanted, fresh, uid, aggregated=False)
        else:
            result = _static(candidates, weights, wanted, uid)
    else:
        raise UnsupportedStrategy(
            f"unsupported replica scheduling strategy, replicaSchedulingType: {kind}, replicaDivisionPreference: "
            f"{preference}, please try another scheduling strategy"
        )
    return [target for target in result if target.replicas > 0]


def _static(
    candidates: Sequence[Candidate], preference: ClusterPreferences | None, wanted: int, uid: str
) -> list[Target]:
    """By fixed weights, from scratch every time. Clusters that no rule names get nothing, unless no rule names any."""
    weights = {candidate.name: 1 for candidate in candidates}
    if preference is not None:
        rules = [
            (matcher(rule.get("targetCluster")), rule.get("weight") or 0)
            for rule in preference.get("staticWeightList") or ()
        ]
        ruled = {
            candidate.name: max((weight for test, weight in rules if test(candidate.cluster)), default=0)
            for candidate in candidates
        }
        weights = {cluster: weight for cluster, weight in ruled.items() if weight > 0} or weights
    if bounded.is_needed(candidates, wanted):
        return bounded.by_weights(candidates, weights, wanted, uid)
    return webster(wanted, weights, uid)


def _dynamic(
    candidates: Sequence[Candidate], spec: ResourceBindingSpec, wanted: int, fresh: bool, uid: str, *, aggregated: bool
) -> list[Target]:
    """By the replicas that clusters have available. What runs stays where it is, unless a fresh assignment was asked for."""
    present = {candidate.name for candidate in candidates}
    scheduled = [Target(t["name"], t.get("replicas") or 0) for t in targets(spec) if t["name"] in present]
    is_weighted = not aggregated and any(candidate.weight is not None for candidate in candidates)
    if is_weighted or bounded.is_needed(candidates, wanted):
        return bounded.by_room(candidates, scheduled, wanted, uid, aggregated=aggregated, fresh=fresh)
    assigned = sum(target.replicas for target in scheduled)
    allocatable = list(map(Target, map(_NAME, candidates), map(_ALLOCATABLE, candidates)))
    kept: list[Target]
    if fresh:
        before = dict(scheduled)
        available = [Target(target.name, target.replicas + before.get(target.name, 0)) for target in allocatable]
        step, share, kept = "do fresh scale", wanted, []
    elif assigned > wanted:
        available, step, share, kept = scheduled, "scale down", wanted, []
    elif assigned < wanted:
        available, step, share, kept = allocatable, "scale up", wanted - assigned, scheduled
    else:
        return scheduled
    available = sorted(available, key=_REPLICAS, reverse=True)
    try:
        return _by_available(available, share, kept, uid, aggregated)
    except Unschedulable as error:
        raise Unschedulable(f"failed to {step}: {error}") from None


def _by_available(available: list[Target], share: int, kept: list[Target], uid: str, aggregated: bool) -> list[Target]:
    total = sum(map(_REPLICAS, available))
    if total < share:
        raise Unschedulable(f"Clusters available replicas {total} are not enough to schedule.")
    if aggregated:
        available = _fewest(_used_first(available, kept), share)
    return _merged(kept, spread_by_targets(share, available, uid))


def _used_first(available: list[Target], kept: list[Target]) -> list[Target]:
    used = {target.name for target in kept if target.replicas > 0}
    return sorted(available, key=lambda target: target.name not in used) if used else available


def _fewest(available: list[Target], share: int) -> list[Target]:
    """The shortest beginning of the list that can take ``share``."""
    total = 0
    for index, target in enumerate(available):
        total += target.replicas
        if total >= share:
            return available[: index + 1]
    return available


def _merged(old: list[Target], new: list[Target]) -> list[Target]:
    """New replicas on top of the old ones; old clusters that get none come last."""
    if not old or not new:
        return new or old
    before = dict(old)
    added = [Target(target.name, target.replicas + before.pop(target.name, 0)) for target in new]
    return added + [target for target in old if target.name in before]
