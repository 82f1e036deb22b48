"""How many replicas a cluster can still take, by the resource summary in its status (Karmada's general estimator)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from kafila.core import feature_gates as feature
from kafila.core import quantity
from kafila.core.remembered import remembered
from kafila.core.values import AnyObject, Object
from kafila.placement.resources import Amounts, amounts, divided
from kafila.placement.scheduler.cluster_snapshot import ENDLESS, ClusterInfo, ClusterSnapshot, snapshot_of
from kafila.placement.spec import is_multi_component, replicas
from kafila.placement.types import Cluster, ResourceBindingSpec

MAX_INT32: Final = ENDLESS
UNAUTHENTIC: Final = -1  # an estimator that did not answer for a cluster
PODS_PER_NODE: Final = 110


class Assumed(NamedTuple):
    """Work that was placed in a cluster a moment ago and that its summary does not show yet."""

    components: Sequence[AnyObject]  # each {"replicas": …, "replicaRequirements": …}


def available_replicas(
    binding_spec: ResourceBindingSpec,
    clusters: Sequence[Cluster] | ClusterSnapshot,
    *,
    gates: feature.Gates = feature.DEFAULT_GATES,
    answers: Iterable[Mapping[str, int]] = (),
    assumed: Mapping[str, Sequence[Assumed]] | None = None,
) -> Mapping[str, int]:
    """Replicas (or full sets of components) that fit, per cluster: the least of all estimators. Not to be changed.

    ``answers`` are those of further estimators, by cluster name. Resources without replicas are not estimated at all.
    """
    snapshot = snapshot_of(clusters)
    components, wanted = binding_spec.get("components"), replicas(binding_spec)
    if not wanted and not components:
        return snapshot.remember("endless", lambda: {member.name: MAX_INT32 for member in snapshot.members})
    assumed = (assumed or {}) if feature.SCHEDULING_OVERCOMMIT_PROTECTION in gates else {}
    if feature.MULTIPLE_POD_TEMPLATES_SCHEDULING in gates and is_multi_component(binding_spec):
        parts = components or ()
        found = {m.name: max_component_sets(m.cluster, parts, gates, assumed.get(m.name, ())) for m in snapshot.members}
    else:
        found = _replicas_by_cluster(binding_spec, snapshot, gates, assumed)
    for answer in answers:
        for mine, other in answer.items():
            if other != UNAUTHENTIC and mine in found:
                found[mine] = min(found[mine], other)
    return {mine: wanted if fits >= MAX_INT32 else fits for mine, fits in found.items()}


def request_key(binding_spec: ResourceBindingSpec, gates: feature.Gates) -> tuple[Any, ...]:
    """The same for bindings whose replicas ask for the same resources."""
    models = feature.CUSTOMIZED_CLUSTER_RESOURCE_MODELING in gates
    return orjson.dumps(binding_spec.get("replicaRequirements")), models, bool(replicas(binding_spec))


def _replicas_by_cluster(
    binding_spec: ResourceBindingSpec,
    snapshot: ClusterSnapshot,
    gates: feature.Gates,
    assumed: Mapping[str, Sequence[Assumed]],
) -> dict[str, int]:
    requirements = binding_spec.get("replicaRequirements")
    key = ("available", *request_key(binding_spec, gates))
    found = dict(
        snapshot.remember(key, lambda: {m.name: member_replicas(m, requirements, gates, ()) for m in snapshot.members})
    )
    if assumed:
        for member in snapshot.members:
            if taken := assumed.get(member.name):
                found[member.name] = member_replicas(member, requirements, gates, taken)
    return found


def member_replicas(
    member: ClusterInfo, requirements: AnyObject | None, gates: feature.Gates, assumed: Sequence[Assumed]
) -> int:
    summary = member.summary
    if summary is None:
        return 0
    taken = _total_of(assumed)
    pods = member.free_pods - taken.get("pods", 0)
    if pods <= 0:
        return 0
    if requirements is None:
        return pods
    request = requirements.get("resourceRequest") or {}
    if feature.CUSTOMIZED_CLUSTER_RESOURCE_MODELING in gates and summary.get("allocatableModelings"):
        nodes = _model_nodes(member.cluster)
        if nodes is not None:
            return min(pods, _replicas_on_nodes(nodes, request, assumed))
    return min(pods, _replicas_by_summary(member.free, request, taken))


def _total_of(assumed: Sequence[Assumed]) -> dict[str, int]:
    """What assumed work takes: cpu in milli, everything else in whole units, and its pods."""
    taken: dict[str, int] = {}
    for work in assumed:
        for component in work.components:
            count = component.get("replicas") or 0
            if count <= 0:
                continue
            taken["pods"] = taken.get("pods", 0) + count
            for resource, amount in _request_of(component).items():
                each = quantity.to_milli(amount) if resource == "cpu" else quantity.to_int(amount)
                taken[resource] = taken.get(resource, 0) + each * count
    return taken


def _request_of(component: AnyObject) -> Object:
    return (component.get("replicaRequirements") or {}).get("resourceRequest") or {}


def _replicas_by_summary(free: Mapping[str, int], request: AnyObject, taken: Mapping[str, int]) -> int:
    fits = MAX_INT32
    for resource, whole, unit in _parsed(orjson.dumps(request)):
        if whole <= 0:
            continue
        if resource not in free:
            return 0
        available = free[resource] - taken.get(resource, 0)
        if available <= 0:
            return 0
        fits = min(fits, available // unit)
    return fits


@remembered(1024)
def _parsed(request: bytes) -> tuple[tuple[str, int, int], ...]:
    """(resource, in whole units, in the unit it is counted in) of each part of a request."""
    return tuple(
        (resource, quantity.to_int(amount), quantity.to_milli(amount) if resource == "cpu" else quantity.to_int(amount))
        for resource, amount in orjson.loads(request).items()
    )


class Nodes(NamedTuple):
    """Equal nodes of one grade: what each can hold, and how many there are."""

    capacity: Amounts
    number: int


def _model_nodes(cluster: Cluster) -> list[Nodes] | None:
    """The nodes that the models describe, each as small as its grade allows; None where the models cannot be used."""
    models = (cluster.get("spec") or {}).get("resourceModels")
    if not models:
        return None
    counts: dict[int, int] = {}
    for modeling in ((cluster.get("status") or {}).get("resourceSummary") or {}).get("allocatableModelings") or ():
        count = modeling.get("count") or 0
        if count < 0:
            return None
        grade = modeling.get("grade") or 0
        counts[grade] = counts.get(grade, 0) + count
    found = []
    for model in sorted(models, key=lambda model: model.get("grade") or 0):
        count = counts.get(model.get("grade") or 0, 0)
        if count:
            capacity = amounts({each.get("name", ""): each.get("min") or 0 for each in model.get("ranges") or ()})
            capacity["pods"] = PODS_PER_NODE
            found.append(Nodes(capacity, count))
    return found


def _replicas_on_nodes(nodes: Sequence[Nodes], request: AnyObject, assumed: Sequence[Assumed]) -> int:
    each = {**amounts(request), "pods": 1}
    if not assumed:
        return min(sum(divided(group.capacity, each) * group.number for group in nodes), MAX_INT32)
    single = _expanded(nodes)
    for work in assumed:
        _place_set(single, work.components)
    return min(sum(divided(node, each) for node in single), MAX_INT32)


def _expanded(nodes: Sequence[Nodes]) -> list[Amounts]:
    return [dict(group.capacity) for group in nodes for _ in range(group.number)]


def _place_set(nodes: Sequence[Amounts], components: Sequence[AnyObject]) -> bool:
    """Put one set of components on the nodes, first fit. A set that does not fit keeps what it took, as in Karmada."""
    for component in components:
        each = {**amounts(_request_of(component)), "pods": 1}
        remaining = component.get("replicas") or 0
        for node in nodes:
            if remaining <= 0:
                break
            fits = min(divided(node, each), remaining)
            if fits:
                for resource, amount in each.items():
                    if resource in node:
                        node[resource] = max(node[resource] - amount * fits, 0)
                remaining -= fits
        if remaining > 0:
            return False
    return True


def max_component_sets(
    cluster: Cluster,
    components: Sequence[AnyObject],
    gates: feature.Gates = feature.DEFAULT_GATES,
    assumed: Sequence[Assumed] = (),
) -> int:
    """How many complete sets of components fit into the cluster."""
    summary = (cluster.get("status") or {}).get("resourceSummary")
    if summary is None:
        return 0
    pods = ClusterInfo(cluster).free_pods - sum(c.get("replicas") or 0 for work in assumed for c in work.components)
    if pods <= 0:
        return 0
    pods_per_set = sum(component.get("replicas") or 0 for component in components)
    if pods_per_set <= 0:
        return pods
    sets = pods // pods_per_set
    available = _free_by_format(summary)
    for work in assumed:
        for resource, amount in _per_set(work.components).items():
            available[resource] = available.get(resource, 0) - amount
    for resource, wanted in _per_set(components).items():
        if wanted > 0:
            if available.get(resource, 0) <= 0:
                return 0
            sets = min(sets, available[resource] // wanted)
    if feature.CUSTOMIZED_CLUSTER_RESOURCE_MODELING in gates and summary.get("allocatableModelings"):
        nodes = _model_nodes(cluster)
        if nodes is not None:
            sets = min(sets, _sets_on_nodes(_expanded(nodes), components, assumed, sets))
    return sets


def _sets_on_nodes(
    nodes: Sequence[Amounts], components: Sequence[AnyObject], assumed: Sequence[Assumed], at_most: int
) -> int:
    for work in assumed:
        _place_set(nodes, work.components)
    placed = 0
    while placed < at_most and _place_set(nodes, components):
        placed += 1
    return placed


def _per_set(components: Sequence[AnyObject]) -> dict[str, int]:
    found: dict[str, int] = {}
    for component in components:
        count = component.get("replicas") or 0
        for resource, amount in _request_of(component).items():
            found[resource] = found.get(resource, 0) + _by_format(amount) * count
    return found


def _free_by_format(summary: AnyObject) -> dict[str, int]:
    found = {}
    used = [summary.get(part) or {} for part in ("allocated", "allocating")]
    for resource, amount in (summary.get("allocatable") or {}).items():
        free = quantity.of(amount)
        for part in used:
            if resource in part:
                free = free - quantity.of(part[resource])
        found[resource] = _by_format(free)
    return found


def _by_format(amount: Any) -> int:
    """Milli for decimal amounts, whole units for binary ones: Karmada compares sets in these units, whatever the resource."""
    amount = quantity.of(amount)
    return quantity.to_int(amount) if amount.format == "BinarySI" else quantity.to_milli(amount)
