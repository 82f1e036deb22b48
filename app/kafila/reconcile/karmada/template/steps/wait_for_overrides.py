"""A policy may ask to wait until the overrides it depends on are there."""

from __future__ import annotations

from .facts import PolicyFacts
from .template_state import Action, Stop, TemplateState


def wait_for_overrides(state: TemplateState, facts: PolicyFacts) -> TemplateState | Stop:
    if state.policy is None:
        return state
    namespace = state.policy["metadata"].get("namespace", "")
    wanted = (state.policy.get("spec") or {}).get("dependentOverrides") or ()
    if all(facts.override_exists(namespace, name) for name in wanted):
        return state
    return Stop(state, Action.WAIT_FOR_OVERRIDES)
