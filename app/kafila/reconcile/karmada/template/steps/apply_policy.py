"""Is what the policy says now to be in the binding? A lazy policy waits with it until the user changes the template."""

from __future__ import annotations

from kafila.placement.detector.binding import is_lazy
from kafila.reconcile.karmada.template.changes import EnqueueReason

from .facts import PolicyFacts
from .template_state import Action, Stop, TemplateState


def apply_policy(state: TemplateState, facts: PolicyFacts) -> TemplateState | Stop:
    if state.policy is None:
        return state
    if is_lazy(state.policy) and not state.why & (EnqueueReason.USER | EnqueueReason.START):
        return state
    return Stop(state, Action.APPLY_POLICY)
