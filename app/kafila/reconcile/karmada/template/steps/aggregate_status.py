"""What the members report, in the binding (Karmada's binding status controller)."""

from __future__ import annotations

from kafila.placement.rollout.begin import clusters_of
from kafila.placement.scheduler.schedule import Event
from kafila.placement.work.status import NoSuchManifest, aggregated_event, with_aggregated

from .facts import Facts
from .state import State


def aggregate_status(state: State, facts: Facts | None = None) -> State:
    state = _aggregated(state)
    if state.binding == state.before and state.before is not None:
        return state._replace(binding=state.before)  # there is nothing to write
    return state


def _aggregated(state: State) -> State:
    binding = state.binding
    to_come = clusters_of((binding.get("status") or {}).get("rollout"))
    try:
        status = with_aggregated(binding, state.reporting, state.failures, template=state.template, to_come=to_come)
    except NoSuchManifest:  # somebody wrote into a Work; the next run puts it right
        return state
    before = binding.get("status") or {}
    if status == before:
        return state
    is_new = before.get("aggregatedStatus") != status.get("aggregatedStatus")
    events = (Event(*aggregated_event(binding)),) if is_new else ()
    return state._replace(binding={**binding, "status": status}, events=(*state.events, *events))
