"""A rollout from one look to the next, whatever has become of the template: it begins, goes on, or gives way to a newer one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import Cluster, RolloutControl, RolloutStatus, StagedRollout

from .advance import NO_CONTROL, Advance, Seen, advance
from .begin import adopted, begun, is_under_way
from .order import ordered
from .phases import EVENT_STARTED, EVENT_SUPERSEDED, SKIPPED
from .strategy import strategy_of

NOWHERE: Final[Mapping[str, bool]] = MappingProxyType({})


class Revised(NamedTuple):
    """The template as it is now. ``there``: by cluster that has a Work, whether that is made of it, before the first rollout."""

    revision: str
    generation: int
    there: Mapping[str, bool] = NOWHERE


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
        if template.there and all(template.there.values()):
            return Advance(adopted(template.revision, template.generation, now))
    events: tuple[Event, ...] = ()
    if rollout is None or _has_to_begin(rollout, template, seen):
        before, order = rollout, ordered(seen.targets, wanted, clusters)
        have = frozenset(cluster for cluster, is_of_it in template.there.items() if is_of_it)
        rollout = begun(before, order, template.revision, template.generation, now, have)
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
