"""A binding that is being deleted is waited for: the next one may have its name."""

from __future__ import annotations

from .facts import PolicyFacts
from .template_state import Action, Stop, StoredBinding, TemplateState


def wait_for_deletion(state: TemplateState, facts: PolicyFacts) -> TemplateState | Stop:
    return Stop(state, Action.WAIT_FOR_DELETION) if state.binding is StoredBinding.DELETING else state
