"""What a cluster shows of a revision: whether it has it, and whether the object there is as the gate asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kafila.core.conditions import condition, find, with_condition
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.objects import annotations_of
from kafila.placement.types import Work

from .revision import REVISION
from .strategy import Gate

# Of a Work: which revision the status is of that is written with it. An earlier status may say that all is well, too.
COND_REVISION: Final = "kafila.io/RevisionObserved"
REASON_OBSERVED: Final = "Observed"


class Report(NamedTuple):
    """``message``: why the gate is not satisfied."""

    is_satisfied: bool
    message: str = ""


NOT_THERE: Final = Report(False, "it has not been applied there yet")


def with_observed_revision(conditions: list[Any], observed: AnyObject) -> list[Any]:
    """Conditions of a Work whose object is reported as it is now; the same list where no rollout has brought it."""
    revision = annotations_of(observed).get(REVISION)
    if isinstance(revision, str):
        return with_condition(conditions, condition(COND_REVISION, "True", REASON_OBSERVED, revision[:63]))
    kept = [each for each in conditions if each.get("type") != COND_REVISION]
    return conditions if len(kept) == len(conditions) else kept


def report(work: Work | None, revision: str, gate: Gate) -> Report:
    """``work``: as it is stored, of the cluster in question."""
    if work is None or _revision_in(work) != revision:
        return NOT_THERE
    status = work.get("status") or {}
    conditions = status.get("conditions")
    applied = find(conditions, constants.COND_APPLIED) or {}
    if applied.get("status") != "True":
        return Report(
            False, f"it is not applied: {applied['message']}" if applied.get("message") else NOT_THERE.message
        )
    if (find(conditions, COND_REVISION) or {}).get("message") != revision:
        return Report(False, "nothing is known of this revision there yet")
    found: Mapping[str, object] = next(iter(status.get("manifestStatuses") or ()), {})
    health = found.get("health") or constants.UNKNOWN
    if gate.is_healthy and health != constants.HEALTHY:
        return Report(
            False, f"it is {str(health).lower()}" if health != constants.UNKNOWN else "its health is not known"
        )
    return _conditions(found.get("status"), gate)


def _revision_in(work: Work) -> str:
    for manifest in (work["spec"].get("workload") or {}).get("manifests") or ():
        return annotations_of(manifest).get(REVISION, "")
    return ""


def _conditions(status: object, gate: Gate) -> Report:
    """What members report is anybody's: nothing of it need have the form that it should."""
    listed = status.get("conditions") if isinstance(status, dict) else None
    found = {
        str(each.get("type")): each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and not _is_dated(each, status)
    }
    for wanted, value in gate.conditions:
        seen = found.get(wanted)
        have = str(seen.get("status")) if seen is not None else "Unknown"
        if have != value:
            return Report(False, f"condition {wanted} is {have[:32]}, not {value}")
    return Report(True)


def _is_dated(condition: Object, status: object) -> bool:
    """Is it about an earlier generation of the object than the status is?"""
    seen = condition.get("observedGeneration")
    newest = status.get("generation") or status.get("observedGeneration") if isinstance(status, dict) else None
    return isinstance(seen, int) and isinstance(newest, int) and seen < newest
