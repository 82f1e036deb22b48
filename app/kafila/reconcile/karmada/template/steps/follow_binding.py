"""Without a policy to apply: what users change of the template waits for one, what happens around its binding does not."""

from __future__ import annotations

from kafila.placement.detector.binding import is_claimed_otherwise
from kafila.reconcile.karmada.template.changes import EnqueueReason

from .facts import PolicyFacts
from .template_state import Action, Stop, StoredBinding, TemplateState


def follow_binding(state: TemplateState, facts: PolicyFacts) -> Stop:
    why = state.why
    if is_claimed_otherwise(state.template) and why & EnqueueReason.START:
        why |= EnqueueReason.DEPENDENCY  # nobody but us schedules it, however long ago it was made
    return Stop(state, _action(why) if state.binding is StoredBinding.OWN else Action.NOTHING)


def _action(why: EnqueueReason) -> Action:
    if why & EnqueueReason.DEPENDENCY:
        return Action.FOLLOW_BINDING
    if why & EnqueueReason.START:
        return Action.FOLLOW_IF_BEHIND
    return Action.AGGREGATE if why & EnqueueReason.STATUS else Action.NOTHING
