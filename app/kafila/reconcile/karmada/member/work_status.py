"""What a Work's status is to be, from what came of applying it and what its member reports. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from kafila.core.conditions import conditions_of, with_condition
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.rollout.gate import with_observed_conditions, with_observed_revision
from kafila.placement.types import ManifestStatus, Work, WorkStatus
from kafila.placement.work.status import applied_condition, dispatching_condition


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of applying a Work at one generation."""

    generation: int
    total: int
    errors: tuple[str, ...]
    recreated: bool  # the object had gone from the member
    uid: str = ""  # of the Work: another one may follow with its name and its generation
    began: float = field(default=0.0, compare=False)  # Unix seconds

    def is_of(self, work: Work) -> bool:
        return self.uid == work["metadata"].get("uid", "")

    @property
    def condition(self) -> Object:
        return applied_condition(self.total, self.errors, self.recreated)

    def is_recorded(self, work: Work) -> bool:
        """Is it the one that is stored? Then whoever led before us has recorded it."""
        conditions = conditions_of(work)
        return bool(conditions) and with_condition(conditions, self.condition) == conditions


class Seen(NamedTuple):
    """What a member says of a Work's object: the object, and what is reflected of it."""

    observed: Object
    status: ManifestStatus


def work_status(
    work: Work, outcome: Outcome | None, seen: Seen | None, is_gone: Callable[[Object], bool]
) -> WorkStatus:
    """Without an outcome only whether it is being dispatched is known. ``is_gone``: from the member, a manifest."""
    status: WorkStatus = {**(work.get("status") or {})}
    suspended = bool(work["spec"].get("suspendDispatching"))
    made = with_condition(status.get("conditions"), dispatching_condition(suspended))
    if outcome is not None and not suspended:
        made = with_condition(made, outcome.condition)
        if seen is not None:
            status["manifestStatuses"] = [with_observed_conditions(seen.status, seen.observed)]
            is_newest = outcome.generation == work["metadata"].get("generation", 0)
            made = with_observed_revision(made, seen.observed, outcome.began if is_newest else None)
        elif outcome.errors and all(map(is_gone, manifests_of(work))):
            status.pop("manifestStatuses", None)
    status["conditions"] = made
    return status


def to_reflect(work: Work, outcome: Outcome | None, observed: Callable[[Object], Object | None]) -> Object | None:
    """The object in the member whose status the Work gets. ``observed``: what the member has of a manifest.

    Karmada keeps the status of one manifest only; Works have one. Also of a copy that does not take its newest manifest: it runs on.
    """
    if outcome is None or work["spec"].get("suspendDispatching"):
        return None
    for manifest in manifests_of(work):
        found = observed(manifest)
        if found is not None and (not outcome.errors or _is_copy_of(work, found)):
            return found
    return None


def manifests_of(work: Work) -> list[Object]:
    return (work["spec"].get("workload") or {}).get("manifests") or []


def work_of(obj: Object) -> tuple[str, str]:
    """Namespace and name of the Work that an object in a member says it comes from."""
    annotations = obj["metadata"].get("annotations") or {}
    return annotations.get(constants.WORK_NAMESPACE, ""), annotations.get(constants.WORK_NAME, "")


def _is_copy_of(work: Work, observed: Object) -> bool:
    return work_of(observed) == (work["metadata"]["namespace"], work["metadata"]["name"])
