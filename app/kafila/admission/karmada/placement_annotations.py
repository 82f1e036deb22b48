"""Annotations of policies that add to their placement, ours: what is wrong with them is said to whoever writes them."""

from __future__ import annotations

from collections.abc import Iterator

from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.errors import FieldError
from kafila.core.values import Object
from kafila.placement import cluster_expression, cluster_scores, constants, replica_bounds
from kafila.placement.placement_annotations import carried
from kafila.placement.replica_bounds import BoundsError, rules_of


def admit_placement_annotations(kind: Kind, new: Object, old: Object | None) -> None:
    """Raises StatusError 422. What was stored before and has not changed is not asked about again."""
    annotations, placement = new["metadata"].get("annotations") or {}, new["spec"].get("placement") or {}
    added = carried(annotations)
    if not added:
        return
    if old is not None and added == carried(old["metadata"].get("annotations") or {}):
        if placement == (old["spec"].get("placement") or {}):
            return
    if found := list(_problems(added, placement)):
        raise errors.invalid(kind.group, kind.kind, new["metadata"].get("name") or "", found)


def _problems(added: dict[str, str], placement: Object) -> Iterator[FieldError]:
    if cluster_expression.ANNOTATION in added:
        yield from cluster_expression.problems(added[cluster_expression.ANNOTATION])
    if replica_bounds.ANNOTATION in added:
        yield from _bounds(added[replica_bounds.ANNOTATION], placement)
    yield from cluster_scores.problems(added, _is_by_room(placement.get("replicaScheduling") or {}))


def _is_by_room(strategy: Object) -> bool:
    if strategy.get("replicaSchedulingType") != constants.DIVIDED:
        return False
    weights = strategy.get("weightPreference") or {}
    return strategy.get("replicaDivisionPreference") == constants.WEIGHTED and bool(weights.get("dynamicWeight"))


def _bounds(text: str, placement: Object) -> Iterator[FieldError]:
    try:
        rules_of(text)
    except BoundsError as error:
        yield from error.found
    if (placement.get("replicaScheduling") or {}).get("replicaSchedulingType") != constants.DIVIDED:
        why = (
            "only replicas that are divided have bounds: spec.placement.replicaScheduling.replicaSchedulingType Divided"
        )
        yield FieldError.forbidden(replica_bounds.PATH, why)
