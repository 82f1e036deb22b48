"""Questions about the spec of a binding that several steps ask."""

from __future__ import annotations

from collections.abc import Iterable

from kafila.placement.constants import DUPLICATED, PURGE_NOW
from kafila.placement.types import ClusterAffinityTerm, Placement, ResourceBindingSpec, TargetCluster


def targets(spec: ResourceBindingSpec) -> list[TargetCluster]:
    """``spec.clusters``: a list of ``{"name": …, "replicas": …}``."""
    found: list[TargetCluster] = spec.get("clusters") or []
    return found


def target_names(spec: ResourceBindingSpec) -> frozenset[str]:
    return frozenset(target["name"] for target in targets(spec))


def assigned_replicas(spec: ResourceBindingSpec) -> dict[str, int]:
    return {target["name"]: target.get("replicas") or 0 for target in targets(spec)}


def total_replicas(clusters: Iterable[TargetCluster]) -> int:
    return sum(target.get("replicas") or 0 for target in clusters)


def replicas(spec: ResourceBindingSpec) -> int:
    return spec.get("replicas") or 0


def is_workload(spec: ResourceBindingSpec) -> bool:
    """Has it replicas? Zero replicas without any requirement look the same as no replicas at all, as in Karmada."""
    return bool(spec.get("replicas")) or spec.get("replicaRequirements") is not None or bool(spec.get("components"))


def scheduling_type(placement: Placement) -> str:
    strategy = placement.get("replicaScheduling")
    return DUPLICATED if strategy is None else strategy.get("replicaSchedulingType") or ""


def terms(placement: Placement) -> list[ClusterAffinityTerm]:
    """The ordered affinity groups in use: none when there is a single ``clusterAffinity``."""
    if placement.get("clusterAffinity") is not None:
        return []
    found: list[ClusterAffinityTerm] = placement.get("clusterAffinities") or []
    return found


def term_named(placement: Placement, affinity: str) -> ClusterAffinityTerm | None:
    return next((term for term in terms(placement) if term.get("affinityName") == affinity), None)


def evicting_clusters(spec: ResourceBindingSpec) -> frozenset[str]:
    return frozenset(task.get("fromCluster", "") for task in spec.get("gracefulEvictionTasks") or ())


def targets_of(binding_spec: ResourceBindingSpec) -> list[TargetCluster]:
    """Scheduled clusters, then those that parent bindings require; of two of one name the first counts."""
    found: dict[str, TargetCluster] = {target["name"]: target for target in binding_spec.get("clusters") or ()}
    for parent in binding_spec.get("requiredBy") or ():
        for target in parent.get("clusters") or ():
            found.setdefault(target["name"], target)
    return list(found.values())


def existing_clusters(spec: ResourceBindingSpec) -> frozenset[str]:
    """Where the resource may be now: scheduled, required by a parent binding, or leaving gracefully."""
    found = {target["name"] for target in targets(spec)}
    for parent in spec.get("requiredBy") or ():
        found.update(target["name"] for target in parent.get("clusters") or ())
    for task in spec.get("gracefulEvictionTasks") or ():
        if task.get("purgeMode") not in PURGE_NOW:
            found.add(task.get("fromCluster", ""))
    return frozenset(found)


def clusters_to_purge_now(spec: ResourceBindingSpec) -> frozenset[str]:
    """Clusters that must be empty before anything is placed anew (purge mode Directly)."""
    return frozenset(
        task.get("fromCluster", "")
        for task in spec.get("gracefulEvictionTasks") or ()
        if task.get("purgeMode") in PURGE_NOW
    )


def is_multi_component(spec: ResourceBindingSpec) -> bool:
    """Are its components placed together in exactly one cluster?"""
    if not spec.get("components"):
        return False
    return any(
        constraint.get("spreadByField") == "cluster"
        and constraint.get("minGroups") == 1
        and constraint.get("maxGroups") == 1
        for constraint in (spec.get("placement") or {}).get("spreadConstraints") or ()
    )


def same_targets(new: list[TargetCluster], old: list[TargetCluster]) -> bool:
    """In whatever order."""
    return len(new) == len(old) and all(target in old for target in new)
