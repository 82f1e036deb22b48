"""The decision record: what an attempt to schedule saw and did, kept so that people can ask why.

It names clusters and reasons, not the facts they came from. Long lists are cut: of a thousand clusters that an affinity leaves
out the first hundred are named and the rest counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kafila.core.clock import rfc3339
from kafila.core.values import Object
from kafila.placement.detector.binding import controller_reference
from kafila.placement.objects import metadata, name, namespace, status
from kafila.placement.scheduler.cluster_snapshot import ENDLESS
from kafila.placement.scheduler.filters import Rejection
from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.placement.scheduler.schedule import Attempt, Decision
from kafila.placement.scheduler.select import Candidate
from kafila.placement.types import Binding, PropagationPolicy, TargetCluster

GROUP: Final = "placement.kafila.io"
API_VERSION: Final = f"{GROUP}/v1alpha1"
KEPT_NAMES: Final = 100  # clusters that are named per reason, and per list of candidates
KEPT_HISTORY: Final = 5
_NOT_SELECTED: Final = "left out by the spread constraints"
_NO_REPLICAS: Final = "got no replicas"


def decision_record(
    binding: Binding,
    template: Object,
    decision: Decision,
    trigger: RescheduleReason,
    generation: int,
    before: Object | None,
    now: float | None = None,
) -> Object | None:
    """The record to be stored, None when ``before`` already says so. The policy is the caller's to add (``with_policy``).

    ``generation``: of the binding that was decided about. Available replicas change all the time; that alone is no new outcome.
    """
    made = _scheduling(decision, trigger, generation, now)
    old = (before or {}).get("scheduling")
    if old is not None and _essence(old) == _essence(made):
        return None
    where = namespace(binding)
    record: Object = {
        "apiVersion": API_VERSION,
        "kind": "Decision" if where else "ClusterDecision",
        "metadata": {**metadata(before or {}), "name": name(binding)},
    }
    if where:
        record["metadata"]["namespace"] = where
    # It goes with the template, as the binding does; the binding's uid is not known before it is stored.
    owner = {key: value for key, value in controller_reference(template).items() if key != "controller"}
    record["metadata"]["ownerReferences"] = [{**owner, "blockOwnerDeletion": False}]
    record["scheduling"] = made
    history = ([_in_short(old)] if old is not None else []) + list((before or {}).get("history") or ())
    if history:
        record["history"] = history[:KEPT_HISTORY]
    return record


def with_policy(record: Object, policy: PropagationPolicy | None, lost: Iterable[tuple[str, str]]) -> Object:
    if policy is None:
        return record
    said: Object = {"kind": policy["kind"], "name": name(policy)}
    if namespace(policy):
        said["namespace"] = namespace(policy)
    if beaten := [{"policy": other, "reason": reason} for other, reason in lost][:KEPT_NAMES]:
        said["lost"] = beaten
    return {**record, "policy": said}


def _scheduling(decision: Decision, trigger: RescheduleReason, generation: int, now: float | None) -> Object:
    said: Object = {
        "time": rfc3339(now),
        "trigger": str(trigger),
        "bindingGeneration": generation,
        "result": decision.condition["reason"],
        "message": decision.condition["message"],
        "attempts": [_attempt(attempt) for attempt in decision.attempts],
    }
    placed = placed_text(decision.clusters or ())
    if placed:
        said["placed"] = placed
    if decision.weighting is not None:
        told = {"weightedBy": list(decision.weighting.by), "notUsed": list(decision.weighting.not_used)}
        said.update({field: names for field, names in told.items() if names})
    return said


def placed_text(clusters: Sequence[TargetCluster]) -> str:
    """``member1:2 member2:1``, as the column shows it; without numbers where there are no replicas."""
    shown = [f"{c['name']}:{c['replicas']}" if c.get("replicas") else c["name"] for c in clusters[:KEPT_NAMES]]
    if len(clusters) > KEPT_NAMES:
        shown.append(f"and {len(clusters) - KEPT_NAMES} more")
    return " ".join(shown)


def _attempt(attempt: Attempt) -> Object:
    said: Object = {}
    if attempt.affinity:
        said["affinity"] = attempt.affinity
    if attempt.failure is not None:
        said["failure"] = attempt.failure.message
    replicas = {target["name"]: target.get("replicas") or 0 for target in attempt.clusters}
    if attempt.candidates:
        said["clusters"] = [_candidate(each, attempt, replicas) for each in attempt.candidates[:KEPT_NAMES]]
        if len(attempt.candidates) > KEPT_NAMES:
            said["moreClusters"] = len(attempt.candidates) - KEPT_NAMES
    if attempt.rejected:
        said["rejected"] = _rejected(attempt.rejected)
    return said


def _candidate(candidate: Candidate, attempt: Attempt, replicas: Mapping[str, int]) -> Object:
    said: Object = {"name": candidate.name, "score": candidate.score}
    if (available := _available(candidate)) is not None:
        said["available"] = available
    if candidate.overflow:
        said["overflow"] = candidate.overflow
    if candidate.name in replicas:
        if replicas[candidate.name]:
            said["replicas"] = replicas[candidate.name]
        said["chosen"] = True
    elif attempt.selected and candidate.name not in attempt.selected:
        said["note"] = _NOT_SELECTED
    elif attempt.failure is None:
        said["note"] = _NO_REPLICAS
    return said


def _available(candidate: Candidate) -> int | None:
    """None: nobody knew it, or nobody counts it, for what has no replicas takes none."""
    if candidate.allocatable >= ENDLESS:
        return None
    unknown = not candidate.allocatable and status(candidate.cluster).get("resourceSummary") is None
    return None if unknown else candidate.allocatable


def _rejected(rejected: Mapping[str, Rejection]) -> list[Object]:
    by_reason: dict[Rejection, list[str]] = {}
    for cluster, rejection in rejected.items():
        by_reason.setdefault(rejection, []).append(cluster)
    return [
        {"filter": called, "reason": reason, "count": len(clusters), "clusters": clusters[:KEPT_NAMES]}
        for (called, reason), clusters in by_reason.items()
    ]


def _essence(said: Object) -> Any:
    """What makes two attempts different for a reader."""
    attempts = [
        (
            attempt.get("affinity"),
            attempt.get("failure"),
            sorted(
                (c["name"], c.get("replicas"), c.get("chosen"), c.get("note")) for c in attempt.get("clusters") or ()
            )
            if not attempt.get("failure")
            else (),
            attempt.get("rejected"),
        )
        for attempt in said.get("attempts") or ()
    ]
    return said.get("result"), said.get("message"), attempts, said.get("weightedBy"), said.get("notUsed")


def _in_short(said: Object) -> Object:
    return {key: said[key] for key in ("time", "trigger", "result", "placed") if said.get(key)}
