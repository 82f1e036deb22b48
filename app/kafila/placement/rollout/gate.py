"""What a cluster shows of a revision: whether it has it, and whether the object there is as the gate asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.conditions import condition, find, with_condition
from kafila.core.resources import gvk_of
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.objects import annotations_of, metadata
from kafila.placement.types import ManifestStatus, Work

from .revision import REVISION
from .strategy import Gate

# Of a Work: which revision the status is of that is written with it, and which generation of the object in the member. Its time is
# when the member was given the revision. An earlier status may say that all is well, too.
COND_REVISION: Final = "kafila.io/RevisionObserved"
REASON_OBSERVED: Final = "Observed"
MOST_CONDITIONS: Final = 64  # of an object that are taken along for the gate
_OF_CONDITION: Final = ("type", "status", "observedGeneration", "lastTransitionTime")
# By group: the conditions that `status.observedGeneration` speaks for. Others in the same status are somebody else's, who may not
# have seen that generation. Of other groups it speaks for all of them.
_SPEAKS_FOR: Final[Mapping[str, frozenset[str]]] = {"apps": frozenset(("Available", "Progressing", "ReplicaFailure"))}


class Report(NamedTuple):
    """``message``: why the gate is not satisfied."""

    is_satisfied: bool
    message: str = ""


def _never() -> bool:
    return False


NOT_THERE: Final = Report(False, "it has not been applied there yet")


class _Newest(NamedTuple):
    """What a condition has to be of. ``generation``: of the object in the member, 0 where it has none; ``since``: Unix seconds."""

    group: str
    generation: int
    since: float


def with_observed_revision(conditions: list[Any], observed: AnyObject, applied: float | None) -> list[Any]:
    """Conditions of a Work whose object is reported as it is now; the same list where no rollout has brought it.

    ``applied``: when the member began to be given what the Work says now, Unix seconds; None while that is not known. Then nothing
    is said of a revision that is new.
    """
    revision = annotations_of(observed).get(REVISION)
    kept = [each for each in conditions if each.get("type") != COND_REVISION]
    if not isinstance(revision, str):
        return conditions if len(kept) == len(conditions) else kept
    generation = metadata(observed).get("generation") or 0
    made = condition(COND_REVISION, "True", REASON_OBSERVED, revision[:63], generation)
    if (find(conditions, COND_REVISION) or {}).get("message") == made["message"]:
        return with_condition(conditions, made)
    if applied is None:
        return conditions
    return [*kept, {"lastTransitionTime": rfc3339(applied), **made}]


def with_observed_conditions(reported: ManifestStatus, observed: Object) -> ManifestStatus:
    """With the conditions of an object that a rollout has brought, where what is reflected of its kind leaves them out."""
    if REVISION not in annotations_of(observed):
        return reported
    status, shown = reported.get("status"), observed.get("status")
    listed = shown.get("conditions") if isinstance(shown, dict) else None
    if not isinstance(listed, list) or not isinstance(status or {}, dict) or "conditions" in (status or {}):
        return reported
    found = [
        {field: each[field] for field in _OF_CONDITION if field in each}
        for each in listed[:MOST_CONDITIONS]
        if isinstance(each, dict) and isinstance(each.get("type"), str) and isinstance(each.get("status"), str)
    ]
    return {**reported, "status": {**(status or {}), "conditions": found}} if found else reported


def report(work: Work | None, revision: str, gate: Gate, is_told_by_generation: Callable[[], bool] = _never) -> Report:
    """``work``: as it is stored, of the cluster in question. ``is_told_by_generation``: whether the generation of the template that a
    report is of tells the revision from the one before: agents that are not ours say nothing else."""
    if work is None or _revision_in(work) != revision:
        return NOT_THERE
    status = work.get("status") or {}
    conditions = status.get("conditions")
    applied = find(conditions, constants.COND_APPLIED) or {}
    if applied.get("status") != "True":
        return Report(
            False, f"it is not applied: {applied['message']}" if applied.get("message") else NOT_THERE.message
        )
    observed = find(conditions, COND_REVISION) or {}
    found: Mapping[str, object] = next(iter(status.get("manifestStatuses") or ()), {})
    newest = _newest(work, observed)
    if observed.get("message") != revision:
        generation = _generation_told(work, found.get("status"))
        if not generation or not is_told_by_generation():
            return Report(False, "nothing is known of this revision there yet")
        newest = newest._replace(generation=generation, since=math.inf)
    health = found.get("health") or constants.UNKNOWN
    if gate.is_healthy and health != constants.HEALTHY:
        return Report(
            False, f"it is {str(health).lower()}" if health != constants.UNKNOWN else "its health is not known"
        )
    return _conditions(found.get("status"), gate, newest)


def _generation_told(work: Work, status: object) -> int:
    """Of the object in the member, where its status is of the manifest as it is now, and by a controller that has seen it; else 0."""
    status = status if isinstance(status, dict) else {}
    fields = ("resourceTemplateGeneration", "observedGeneration", "generation")
    of, observed, generation = (found if isinstance(found := status.get(each), int) else 0 for each in fields)
    for manifest in (work["spec"].get("workload") or {}).get("manifests") or ():
        is_of_it = annotations_of(manifest).get(constants.TEMPLATE_GENERATION) == str(of)
        return generation if is_of_it and observed >= generation else 0
    return 0


def _revision_in(work: Work) -> str:
    for manifest in (work["spec"].get("workload") or {}).get("manifests") or ():
        return annotations_of(manifest).get(REVISION, "")
    return ""


def _newest(work: Work, observed: AnyObject) -> _Newest:
    manifests: Sequence[Object] = (work["spec"].get("workload") or {}).get("manifests") or ({},)
    try:
        since = parse_rfc3339(str(observed.get("lastTransitionTime")))
    except (ValueError, OverflowError):  # somebody wrote into the Work
        since = 0.0
    return _Newest(gvk_of(manifests[0]).group, observed.get("observedGeneration") or 0, since)


def _conditions(status: object, gate: Gate, newest: _Newest) -> Report:
    """What members report is anybody's: nothing of it need have the form that it should."""
    status = status if isinstance(status, dict) else {}
    listed = status.get("conditions")
    found = {
        str(each.get("type")): each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)
    }
    for wanted, value in gate.conditions:
        seen = found.get(wanted)
        have = str(seen.get("status")) if seen is not None else "Unknown"
        if have != value:
            return Report(False, f"condition {wanted} is {have[:32]}, not {value}")
        if seen is not None and not _is_of_newest(seen, status, newest):
            return Report(False, f"condition {wanted} is {value}, and nothing says that it is of this revision")
    return Report(True)


def _is_of_newest(condition: Object, status: Object, newest: _Newest) -> bool:
    """Was it set by somebody who had seen the object as it is now? The generation says that, or else a transition since it came."""
    kinds = _SPEAKS_FOR.get(newest.group)
    speaks = kinds is None or condition.get("type") in kinds
    told = condition.get("observedGeneration") or (status.get("observedGeneration") if speaks else None)
    if newest.generation and isinstance(told, int):
        return told >= newest.generation
    try:
        return parse_rfc3339(str(condition.get("lastTransitionTime"))) >= newest.since
    except (ValueError, OverflowError):
        return False
