"""A rollout from one look to the next, whatever has become of the template: it begins, goes on, or gives way to a newer one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import Cluster, RolloutControl, RolloutStatus, StagedRollout

from .advance import NO_CONTROL, Advance, Seen, advance
from .begin import adopted, begun, is_under_way
from .order import ordered
from .phases import EVENT_STARTED, EVENT_SUPERSEDED, SKIPPED
from .strategy import strategy_of


class Revised(NamedTuple):
    """The template as it is now. ``is_there``: do clusters have it, or an earlier one?"""

    revision: str
    generation: int
    is_there: bool


def follow(
    rollout: RolloutStatus | None,
    wanted: StagedRollout,
    template: Revised,
    seen: Seen,
    clusters: Mapping[str, Cluster],
    now: float,
    control: RolloutControl = NO_CONTROL,
) -> Advance | None:
    """None: it is to be nowhere yet. ``seen.reports``: of ``template.revision``."""
    if rollout is None:
        if not seen.targets:
            return None
        if template.is_there:
            return Advance(adopted(template.revision, template.generation, now))
    events: tuple[Event, ...] = ()
    if rollout is None or _has_to_begin(rollout, template, seen):
        before, rollout = (
            rollout,
            begun(rollout, ordered(seen.targets, wanted, clusters), template.revision, template.generation, now),
        )
        events = _beginning(before, rollout)
    elif rollout.get("observedGeneration", 0) != template.generation and template.generation:
        rollout = {**rollout, "observedGeneration": template.generation}
    found = advance(rollout, strategy_of(wanted), seen, now, control)
    return found._replace(events=(*events, *found.events))


def _has_to_begin(rollout: RolloutStatus, template: Revised, seen: Seen) -> bool:
    if rollout["revision"] != template.revision:
        return True
    # nobody has shown anything yet, and the object is to be elsewhere now
    rows = rollout.get("clusters") or ()
    return is_under_way(rollout) and bool(seen.targets) and bool(rows) and all(row["phase"] == SKIPPED for row in rows)


def _beginning(before: RolloutStatus | None, rollout: RolloutStatus) -> tuple[Event, ...]:
    revision, count = rollout["revision"], len(rollout.get("clusters") or ())
    started = Event(
        "Normal", EVENT_STARTED, f"Revision {revision} is rolled out to {count} clusters, one stage at a time"
    )
    if before is None or before["revision"] == revision or not is_under_way(before):
        return (started,)
    text = f"Revision {before['revision']} is not rolled out further: {revision} takes its place"
    return Event("Normal", EVENT_SUPERSEDED, text), started
