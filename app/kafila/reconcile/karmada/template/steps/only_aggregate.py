"""Where nothing but what members report has changed, nothing is decided."""

from __future__ import annotations

from kafila.reconcile.karmada.template.changes import EnqueueReason

from .facts import PolicyFacts
from .template_state import Action, Stop, StoredBinding, TemplateState


def only_aggregate(state: TemplateState, facts: PolicyFacts) -> TemplateState | Stop:
    if state.why != EnqueueReason.STATUS:
        return state
    return Stop(state, Action.AGGREGATE if state.binding is StoredBinding.OWN else Action.NOTHING)
