"""One Work for each cluster of the binding (Karmada's binding controller)."""

from __future__ import annotations

from kafila.placement.constants import cluster_of
from kafila.placement.objects import namespace
from kafila.placement.scheduler.schedule import Event
from kafila.placement.work import build
from kafila.placement.work.build import Plan, blocking_works, synced_event
from kafila.placement.work.status import known_failures

from .facts import Facts
from .state import ChangedWork, State


def build_works(state: State, facts: Facts) -> State:
    binding = state.binding
    if blocking_works(binding, (work.obj for work in state.works)):
        return state._replace(failures=known_failures(binding))
    stored = {work.cluster: work for work in state.works}
    plan = planned(state, facts)
    changed = [
        ChangedWork(work, old)
        for work, old in ((work, stored.get(cluster_of(work["metadata"]["namespace"]))) for work in plan.works)
        if old is None or work is not old.obj
    ]
    return state._replace(
        changed=tuple(changed),
        interpreted=state.interpreted and plan.interpreted,
        failures=plan.errors,
        events=(*state.events, *_events(state, plan, bool(changed))),
    )


def planned(state: State, facts: Facts) -> Plan:
    binding, shares = state.binding, state.shares
    return build.build_works(
        binding,
        state.template,
        facts.clusters(),
        facts.overrides(state.template["metadata"].get("namespace", "")),
        {work.cluster: shares.trimmed(work.obj, binding) for work in state.works},
        leave=shares.left_to_others(binding) | state.waiting,
        taken=state.taken,
        allowed=facts.allowed_clusters(namespace(binding)),
        versions=state.versions,
        interpreter=facts.interpreter,
        gates=facts.gates,
    )


def _events(state: State, plan: Plan, is_changed: bool) -> list[Event]:
    is_new = state.before is None
    if not is_changed and not plan.error and not is_new:
        return []
    # a new binding is synced as soon as it is there, before it is scheduled
    errors = ("", plan.error) if plan.error and is_new else (plan.error,)
    events = [*plan.override_events, *(synced_event(state.binding, error) for error in errors)]
    return [Event(*each) for each in events]
