"""Works that may not be written as they were built: neither the others nor the binding wait for them, these say why they are not there."""

from __future__ import annotations

from collections.abc import Mapping

from kafila.placement import constants
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.scheduler.schedule import Event
from kafila.placement.work.build import synced_event

from .aggregate_status import aggregate_status
from .state import State


def refuse_works(state: State, refused: Mapping[str, str]) -> State:
    """``refused``: by cluster, what was said."""
    if not refused:
        return state
    failures = {**state.failures, **refused}
    kept = tuple(event for event in state.events if event.reason != constants.EVENT_SYNC_WORK)
    event = Event(*synced_event(state.binding, aggregate_text(failures.values())))
    return aggregate_status(state._replace(failures=failures, events=(*kept, event), refused=True))
