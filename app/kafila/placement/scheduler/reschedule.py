"""Must a binding be scheduled now, and why: the questions in the order in which Karmada asks them."""

from __future__ import annotations

import json
from collections.abc import Container
from enum import StrEnum
from typing import cast

from kafila.core.feature_gates import DEFAULT_GATES, MULTIPLE_POD_TEMPLATES_SCHEDULING, Gates
from kafila.placement import constants
from kafila.placement.applied_placement import placement_text, same_outside_affinities, term_text
from kafila.placement.objects import annotations_of, labels_of
from kafila.placement.placement_annotations import APPLIED, digest
from kafila.placement.scheduler.assign import reschedule_required
from kafila.placement.spec import is_workload, replicas, scheduling_type, target_names, targets, total_replicas
from kafila.placement.types import Binding, ClusterAffinityTerm, Placement, ResourceBindingSpec


class RescheduleReason(StrEnum):
    """The reason to schedule. The first three are none: nothing is to be done, or only something else."""

    NONE = ""
    DELETING = "Deleting"
    OBSERVE = "Observe"  # only status.schedulerObservedGeneration is brought up to date
    PLACEMENT_CHANGED = "PlacementChanged"
    REPLICAS_CHANGED = "ReplicasChanged"
    RESCHEDULE = "RescheduleTriggered"
    ALWAYS = "Always"  # no replicas, or Duplicated: cheap enough to be decided every time
    CLUSTER_TERMINATING = "ClusterTerminating"
    NOT_ALLOWED = "ClusterNotAllowed"  # ours: the namespace may not use a cluster any more

    @property
    def schedules(self) -> bool:
        return self not in (RescheduleReason.NONE, RescheduleReason.DELETING, RescheduleReason.OBSERVE)


def is_for_scheduler(binding: Binding, scheduler: str = constants.DEFAULT_SCHEDULER) -> bool:
    """Is this binding ours to schedule? Bindings made for dependencies only have no policy, and follow their parents."""
    spec = binding.get("spec") or {}
    if (spec.get("schedulerName") or constants.DEFAULT_SCHEDULER) != scheduler:
        return False
    if (spec.get("suspension") or {}).get("scheduling"):
        return False
    labels = labels_of(binding)
    return any(
        labels.get(key) for key in (constants.PP_PERMANENT_ID, constants.CPP_PERMANENT_ID, constants.BINDING_MANAGED_BY)
    )


def should_schedule(
    binding: Binding,
    terminating: Container[str] = (),
    gates: Gates = DEFAULT_GATES,
    allowed: frozenset[str] | None = None,
) -> RescheduleReason:
    """``terminating``: names of the clusters that are being removed; ``allowed``: of those that the namespace may use, None for all. Raises ValueError when the binding has no placement."""
    meta, spec, status = binding["metadata"], binding.get("spec") or {}, binding.get("status") or {}
    if meta.get("deletionTimestamp"):
        return RescheduleReason.DELETING
    placement = spec.get("placement")
    if placement is None:
        where = meta.get("namespace")
        what = f"resourceBinding({where}/" if where else "clusterResourceBinding("
        raise ValueError(f"failed to get placement from {what}{meta.get('name', '')})")
    annotations = annotations_of(binding)
    applied = annotations.get(constants.APPLIED_PLACEMENT) or ""
    if placement_changed(placement, applied, status.get("schedulerObservingAffinityName") or ""):
        return RescheduleReason.PLACEMENT_CHANGED
    if digest(annotations) != annotations.get(APPLIED, ""):
        return RescheduleReason.PLACEMENT_CHANGED
    if replicas_changed(spec, gates):
        return RescheduleReason.REPLICAS_CHANGED
    if reschedule_required(spec, status):
        return RescheduleReason.RESCHEDULE
    if not is_workload(spec) or scheduling_type(placement) == constants.DUPLICATED:
        return RescheduleReason.ALWAYS
    if any(cluster in terminating for cluster in target_names(spec)):
        return RescheduleReason.CLUSTER_TERMINATING
    if allowed is not None and not target_names(spec) <= allowed:
        return RescheduleReason.NOT_ALLOWED
    if (meta.get("generation") or 0) != (status.get("schedulerObservedGeneration") or 0):
        return RescheduleReason.OBSERVE
    return RescheduleReason.NONE


def placement_changed(placement: Placement, applied: str, affinity: str) -> bool:
    """Does ``placement`` differ from the annotation in a part that matters? ``affinity``: the term in use.

    Terms of ``clusterAffinities`` that are not in use may change freely.
    """
    if not applied:
        return True
    if placement_text(placement) == applied:
        return False
    try:
        said = json.loads(applied)
    except ValueError:
        return False
    if not isinstance(said, dict):
        return False
    before = cast(Placement, said)  # nobody has checked it since it was written: every part is asked for with ``get``
    if placement_text(before) == placement_text(placement):
        return False
    if not same_outside_affinities(placement, before) or not affinity:
        return True
    new, old = _term(placement, affinity), _term(before, affinity)
    return new is None or old is None or term_text(new) != term_text(old)


def _term(placement: Placement, affinity: str) -> ClusterAffinityTerm | None:
    return next((t for t in placement.get("clusterAffinities") or () if t.get("affinityName") == affinity), None)


def replicas_changed(spec: ResourceBindingSpec, gates: Gates = DEFAULT_GATES) -> bool:
    strategy = (spec.get("placement") or {}).get("replicaScheduling")
    if strategy is None:
        return False
    if MULTIPLE_POD_TEMPLATES_SCHEDULING in gates and spec.get("components") and not targets(spec):
        return True
    kind, wanted = strategy.get("replicaSchedulingType"), replicas(spec)
    if kind == constants.DUPLICATED:
        return any((target.get("replicas") or 0) != wanted for target in targets(spec))
    return kind == constants.DIVIDED and total_replicas(targets(spec)) != wanted
