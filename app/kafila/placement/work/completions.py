"""Completions of a Job whose replicas are divided among clusters.

They cannot be changed of a Job that is in a cluster, so that each keeps what it was asked for; what a cluster that was lost has
not done goes to clusters that are new. Without any it is left over, which is said, and the Job is not complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kafila.core.values import Object, nested
from kafila.placement import constants
from kafila.placement.objects import (
    annotations_of,
    namespace,
    spec,
    uid,
)
from kafila.placement.scheduler.webster import Target, spread_by_targets
from kafila.placement.spec import replicas, scheduling_type, targets_of
from kafila.placement.types import ResourceBindingSpec, TargetCluster, Work


def completions_by_cluster(
    template: Object, binding_spec: ResourceBindingSpec, found: Sequence[TargetCluster], existing: Mapping[str, Work]
) -> dict[str, int] | None:
    """Of a divided Job, in proportion to the replicas; None where they stay as they are. ``existing``: Works by cluster."""
    total = _divided_total(template, binding_spec)
    if total is None:
        return None
    wanted = _in_proportion(total, found, template)
    there = _asked_before(template, found, existing)
    if _is_elastic(template) or all(wanted.get(cluster) == asked for cluster, asked in there.items()):
        return wanted or None
    new = [target for target in found if target["name"] not in there]
    return {**wanted, **there, **_in_proportion(max(total - sum(there.values()), 0), new, template)}


def left_over(template: Object, binding_spec: ResourceBindingSpec, asked: Mapping[str, int] | None) -> str:
    """Says how many completions no cluster is asked for; "" when all are."""
    total = _divided_total(template, binding_spec)
    missing = total - sum(asked.values()) if total is not None and asked else 0
    if missing <= 0:
        return ""
    return (
        f"{missing} of {total} completions are left over: every cluster chosen has a Job already, whose completions cannot "
        "be changed"
    )


def left_over_by(template: Object, binding_spec: ResourceBindingSpec, works: Iterable[Work]) -> str:
    """As ``left_over``, from the Works that are there. What an override asks for instead is as it shall be."""
    if _divided_total(template, binding_spec) is None:
        return ""
    asked: dict[str, int] = {}
    for work in works:
        if work["metadata"].get("deletionTimestamp"):
            continue
        if _is_overridden(work):
            return ""
        asked[constants.cluster_of(namespace(work))] = nested(_manifest(work), "spec", "completions") or 0
    return left_over(template, binding_spec, asked)


def are_asked(binding_spec: ResourceBindingSpec, works: Iterable[Work]) -> bool:
    """Has every target a Work? Otherwise more is to come."""
    there = {constants.cluster_of(namespace(work)) for work in works if not work["metadata"].get("deletionTimestamp")}
    return all(target["name"] in there for target in targets_of(binding_spec))


def _divided_total(template: Object, binding_spec: ResourceBindingSpec) -> int | None:
    placement = binding_spec.get("placement")
    if template.get("kind") != "Job" or not replicas(binding_spec) or placement is None:
        return None
    total = nested(template, "spec", "completions")
    return total if scheduling_type(placement) == constants.DIVIDED and isinstance(total, int) else None


def _is_elastic(template: Object) -> bool:
    """Completions of an indexed Job may change together with its parallelism."""
    asked = spec(template)
    return asked.get("completionMode") == "Indexed" and asked.get("completions") == asked.get("parallelism")


def _in_proportion(total: int, found: Sequence[TargetCluster], template: Object) -> dict[str, int]:
    weights = [Target(target["name"], target.get("replicas") or 0) for target in found]
    return dict(spread_by_targets(total, weights, uid(template)))


def _asked_before(template: Object, found: Sequence[TargetCluster], existing: Mapping[str, Work]) -> dict[str, int]:
    there: dict[str, int] = {}
    for target in found:
        work = existing.get(target["name"])
        if work is None or _is_overridden(work):
            continue
        manifest = _manifest(work)
        asked = nested(manifest, "spec", "completions")
        if isinstance(asked, int) and annotations_of(manifest).get(constants.TEMPLATE_UID) == uid(template):
            there[target["name"]] = asked
    return there


def _is_overridden(work: Work) -> bool:
    annotations = annotations_of(work)
    return any(
        "completions" in annotations.get(key, "")
        for key in (constants.APPLIED_OVERRIDES, constants.APPLIED_CLUSTER_OVERRIDES)
    )


def _manifest(work: Work) -> Object:
    manifests = (work["spec"].get("workload") or {}).get("manifests") or [{}]
    found: Object = manifests[0]
    return found
