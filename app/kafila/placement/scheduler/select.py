"""Which of the feasible clusters are used: order, overflow groups, and spread over clusters and regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from kafila.placement import constants
from kafila.placement.cluster_affinity import matcher
from kafila.placement.cluster_scores import Weighting
from kafila.placement.replica_bounds import NO_BOUNDS, Bounds
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo
from kafila.placement.scheduler.plugins import SchedulerPlugin, asked_to_score
from kafila.placement.scheduler.regions import Region, choose_regions, region_score
from kafila.placement.scheduler.score import locality_score
from kafila.placement.spec import assigned_replicas, replicas, scheduling_type, term_named, terms
from kafila.placement.types import Cluster, Placement, ResourceBindingSpec, SpreadConstraint

IGNORE_RESOURCES: Final = -1
NONE: Final[Mapping[str, Bounds]] = {}
_NO_TERM: Final = 1000


class SelectionError(Exception):
    """The spread constraints cannot be met now; it is tried again."""


class Candidate(NamedTuple):
    """A feasible cluster. ``available`` counts the replicas that it already has, ``allocatable`` does not.

    ``available`` is not more than ``bounds`` let it have; ``allocatable`` tells of free room alone.
    """

    name: str
    cluster: Cluster
    score: int
    overflow: int
    available: int
    allocatable: int
    bounds: Bounds = NO_BOUNDS
    weight: int | None = None  # its share of what is divided by free room; None: that room itself


def candidates(
    spec: ResourceBindingSpec,
    affinity: str,
    fit: Sequence[ClusterInfo],
    available: Mapping[str, int],
    plugins: Sequence[SchedulerPlugin] = (),
    bounds: Mapping[str, Bounds] = NONE,
    weighting: Weighting | None = None,
) -> list[Candidate]:
    """Feasible clusters in order of preference; ``available`` is how many replicas each can still take.

    ``bounds``: of replicas, by cluster, where there are any; ``weighting``: by scores, where the policy names some.
    """
    assigned = assigned_replicas(spec)
    placement = spec.get("placement") or {}
    if not assigned and not plugins and not terms(placement):
        found = [Candidate(m.name, m.cluster, 0, 0, available[m.name], available[m.name]) for m in fit]
    else:
        found = _compared(fit, assigned, _overflow_order(placement, affinity), available)
    if plugins:
        found = [
            each._replace(score=each.score + sum(asked_to_score(plugin, spec, each.cluster) for plugin in plugins))
            for each in found
        ]
    if bounds:
        found = [_bounded(each, bounds.get(each.name, NO_BOUNDS)) for each in found]
    if weighting is not None:
        found = [each._replace(weight=weighting.of(each.name)) for each in found]
    return in_order(found)


def _bounded(candidate: Candidate, bounds: Bounds) -> Candidate:
    return candidate._replace(available=min(candidate.available, bounds.maximum), bounds=bounds)


def _compared(
    fit: Sequence[ClusterInfo],
    assigned: Mapping[str, int],
    overflow: Callable[[Cluster], int],
    available: Mapping[str, int],
) -> list[Candidate]:
    present = frozenset(assigned)
    found = []
    for member in fit:
        mine = member.name
        free = available[mine]
        score, order = locality_score(mine, present), overflow(member.cluster)
        found.append(Candidate(mine, member.cluster, score, order, free + assigned.get(mine, 0), free))
    return found


_NAME, _SCORE, _OVERFLOW, _AVAILABLE = (
    itemgetter(Candidate._fields.index(f)) for f in ("name", "score", "overflow", "available")
)


def in_order(found: Iterable[Candidate]) -> list[Candidate]:
    """By overflow group, then score, then available replicas, then name. Sorting by one key after the other stays in C."""
    ordered = sorted(found, key=_NAME)
    ordered.sort(key=_AVAILABLE, reverse=True)
    ordered.sort(key=_SCORE, reverse=True)
    ordered.sort(key=_OVERFLOW)
    return ordered


def _overflow_order(placement: Placement, affinity: str) -> Callable[[Cluster], int]:
    if not terms(placement):
        return lambda cluster: 0
    term = term_named(placement, affinity)
    if term is None:
        return lambda cluster: _NO_TERM
    tests = [matcher(each) for each in (term, *(term.get("overflowAffinities") or ()))]
    return lambda cluster: next((order for order, test in enumerate(tests) if test(cluster)), _NO_TERM)


def select(found: Sequence[Candidate], spec: ResourceBindingSpec, need: int) -> list[Candidate]:
    """The clusters that the spread constraints leave; ``need``: replicas that must be available. Raises SelectionError."""
    placement = spec.get("placement") or {}
    constraints = placement.get("spreadConstraints") or []
    if not constraints or _ignores_constraints(placement):
        return list(found)
    strategy = placement.get("replicaScheduling")
    if strategy is None or strategy.get("replicaSchedulingType") == constants.DUPLICATED:
        need = IGNORE_RESOURCES
    by_field = {constraint.get("spreadByField") or "": constraint for constraint in constraints}
    if "region" in by_field:
        return _by_region(found, spec, by_field["region"], by_field.get("cluster") or {})
    if "cluster" in by_field:
        return _by_cluster(found, by_field["cluster"], need)
    raise SelectionError("just support cluster and region spread constraint")


def _ignores_constraints(placement: Placement) -> bool:
    """Fixed weights name the clusters themselves."""
    strategy = placement.get("replicaScheduling")
    if strategy is None or strategy.get("replicaSchedulingType") != constants.DIVIDED:
        return False
    if strategy.get("replicaDivisionPreference") != constants.WEIGHTED:
        return False
    weights = strategy.get("weightPreference")
    return weights is None or (bool(weights.get("staticWeightList")) and not weights.get("dynamicWeight"))


def _by_cluster(found: Sequence[Candidate], constraint: SpreadConstraint, need: int) -> list[Candidate]:
    if len(found) < (constraint.get("minGroups") or 0):
        raise SelectionError("the number of feasible clusters is less than spreadConstraint.MinGroups")
    count = min(len(found), constraint.get("maxGroups") or 0)
    if need == IGNORE_RESOURCES:
        return list(found[:count])
    chosen = _with_room(list(found[:count]), list(found[count:]), need)
    if not chosen:
        raise SelectionError(f"no enough resource when selecting {count} clusters")
    return chosen


def _with_room(chosen: list[Candidate], rest: list[Candidate], need: int) -> list[Candidate]:
    """Exchange the least preferred clusters for roomier ones, until ``need`` fits; empty when it never does."""
    total = sum(candidate.available for candidate in chosen)
    for index in reversed(range(len(chosen))):
        if total >= need:
            break
        best = max(range(len(rest)), key=lambda other: rest[other].available, default=None)
        if best is None or rest[best].available <= chosen[index].available:
            continue
        total += rest[best].available - chosen[index].available
        chosen[index], rest[best] = rest[best], chosen[index]
    return chosen if total >= need else []


def _by_region(
    found: Sequence[Candidate],
    spec: ResourceBindingSpec,
    region_constraint: SpreadConstraint,
    cluster_constraint: SpreadConstraint,
) -> list[Candidate]:
    members: dict[str, list[Candidate]] = {}
    for candidate in found:
        region = (candidate.cluster.get("spec") or {}).get("region")
        if region:
            members.setdefault(region, []).append(candidate)
    fewest = region_constraint.get("minGroups") or 0
    if len(members) < fewest:
        raise SelectionError("the number of feasible region is less than spreadConstraint.MinGroups")
    duplicated = scheduling_type(spec.get("placement") or {}) == constants.DUPLICATED
    fewest_clusters = cluster_constraint.get("minGroups") or 0
    regions = [
        Region(
            region,
            len(inside),
            region_score(
                [(c.available, c.score) for c in inside],
                replicas(spec),
                duplicated,
                fewest,
                max(fewest, fewest_clusters),
            ),
        )
        for region, inside in members.items()
    ]
    chosen = choose_regions(regions, fewest, region_constraint.get("maxGroups") or 0, fewest_clusters)
    if not chosen:
        raise SelectionError("the number of clusters is less than the cluster spreadConstraint.MinGroups")
    selected = [members[region.name][0] for region in chosen]
    others = in_order(c for region in chosen for c in members[region.name][1:])
    count = min(len(selected) + len(others), cluster_constraint.get("maxGroups") or 0)
    return selected + others[: max(count - len(selected), 0)]
