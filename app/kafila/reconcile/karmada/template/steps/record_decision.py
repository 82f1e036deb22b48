"""What is kept about the decision, for ``kafila why``."""

from __future__ import annotations

from kafila.placement.detector.match import why_others_lost
from kafila.placement.generation import generation_of
from kafila.placement.scheduler.decision_record import decision_record, with_policy

from .facts import Facts
from .state import State


def record_decision(state: State, facts: Facts) -> State:
    if state.decision is None:
        return state
    binding, template, policy = state.binding, state.template, state.policy
    generation, before = generation_of(binding, state.before), facts.decision_record(binding)
    record = decision_record(binding, template, state.decision, state.reason, generation, before)
    if record is not None and policy is not None:
        own, cluster_wide = facts.candidates(template)
        lost = why_others_lost(template, policy, own, cluster_wide, claimed=state.before is not None)
        record = with_policy(record, policy, lost)
    return state._replace(record=record)
