"""Clusters and replicas, in the binding (Karmada's scheduler)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kafila.core.conditions import find
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.allowed_clusters import EVENT_NOT_ALLOWED, clusters_named, left_out_text
from kafila.placement.generation import generation_of, with_generation
from kafila.placement.objects import namespace
from kafila.placement.scheduler.decision_record import placed_text
from kafila.placement.scheduler.filters import ALLOWED
from kafila.placement.scheduler.reschedule import RescheduleReason, is_for_scheduler, should_schedule
from kafila.placement.scheduler.schedule import (
    Decision,
    Event,
    left_for_what_they_are,
    quota_exceeded,
    schedule,
    with_result,
    with_status,
)
from kafila.placement.spec import same_targets, targets
from kafila.placement.types import Binding, ResourceBindingStatus

from .facts import Facts
from .reserve_quota import quota_refusal
from .state import State


def schedule_binding(state: State, facts: Facts) -> State:
    binding, before = state.binding, state.before
    if not is_for_scheduler(binding):
        return state
    snapshot, allowed = facts.snapshot(), facts.allowed_clusters(namespace(binding))
    reason = should_schedule(with_generation(binding, before), snapshot.leaving(), facts.gates, allowed)
    if reason.schedules:
        context = facts.scheduling_context(binding, snapshot)
        decision = schedule(binding, snapshot, context)
        left = left_for_what_they_are(decision, binding, before)
        if left and (kept := facts.kept_in(left)):
            decision = schedule(binding, snapshot, replace(context, kept=kept))
        if decision.clusters and (refusal := quota_refusal(with_result(binding, decision), before, facts)):
            decision = quota_exceeded(decision, refusal)
        if allowed is not None:
            decision = _saying_who_is_left_out(decision, binding)
        return _decided(state._replace(decision=decision, reason=reason), decision, facts)
    if reason is RescheduleReason.OBSERVE:
        status: ResourceBindingStatus = {
            **(binding.get("status") or {}),
            "schedulerObservedGeneration": generation_of(binding, before),
        }
        binding = {**binding, "status": status}
    return state._replace(binding=binding, reason=reason)


def _saying_who_is_left_out(decision: Decision, binding: Binding) -> Decision:
    """Clusters that the placement means and the namespace may not use."""
    rejected = decision.attempts[-1].rejected if decision.attempts else {}
    left_out = [cluster for cluster, rejection in rejected.items() if rejection.filter == ALLOWED]
    if not left_out:
        return decision
    named = clusters_named(binding["spec"].get("placement") or {}).intersection(left_out)
    text = left_out_text(namespace(binding), named, len(left_out) - len(named))
    event = Event("Normal", EVENT_NOT_ALLOWED, text)
    return replace(decision, events=(*decision.events, event))


def _decided(state: State, decision: Decision, facts: Facts) -> State:
    """The binding with the decision in it. A decision that changes nothing is not recorded again."""
    binding = state.binding
    before_order = binding["spec"].get("clusters") or []
    if decision.clusters is not None and same_targets(decision.clusters, before_order):
        # which of two clusters has more available changes all the time: that alone is no new result
        decision = replace(decision, clusters=before_order)
    decided = with_result(binding, decision)
    old_status = binding.get("status") or {}
    status = with_status(decided, decision, generation_of(decided, state.before))
    is_same = decided is binding and _same_condition(old_status, status)
    if is_same and decision.failure is None and old_status.get("lastScheduledTime") and not _is_dated(state, facts):
        status["lastScheduledTime"] = old_status["lastScheduledTime"]
    events = () if is_same and not _is_new_outcome(decided, decision, facts) else decision.events
    return state._replace(binding={**decided, "status": status}, events=(*state.events, *events))


def _is_dated(state: State, facts: Facts) -> bool:
    """Does the binding say that it was decided about now? Not in a periodic run."""
    return state.reason is not RescheduleReason.ALWAYS or facts.is_asked_for(state.binding, state.before)


def _is_new_outcome(decided: Binding, decision: Decision, facts: Facts) -> bool:
    """Somebody else, who evicts, changed the clusters to what is decided now."""
    if decision.failure is not None:
        return False
    record = facts.decision_record(decided)
    return record is not None and _placed(record) != placed_text(targets(decided["spec"]))


def _placed(record: Object) -> str:
    return str((record.get("scheduling") or {}).get("placed") or "")


def _same_condition(old: ResourceBindingStatus, new: ResourceBindingStatus) -> bool:
    def scheduled(status: ResourceBindingStatus) -> tuple[Any, ...]:
        found = find(status.get("conditions"), constants.COND_SCHEDULED)
        return (found.get("status"), found.get("reason"), found.get("message")) if found else ()

    return scheduled(old) == scheduled(new)
