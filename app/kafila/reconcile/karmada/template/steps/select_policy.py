"""Which policy a template follows (Karmada's detector)."""

from __future__ import annotations

from collections.abc import Sequence

from kafila.core import feature_gates as feature
from kafila.core.values import Object
from kafila.placement.detector import binding as bindings
from kafila.placement.detector.binding import is_claimed_otherwise
from kafila.placement.detector.match import choose_policy, preempting
from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import PropagationPolicy
from kafila.reconcile.karmada.template.changes import EnqueueReason

from .facts import PolicyFacts
from .template_state import TemplateState


def select_policy(state: TemplateState, facts: PolicyFacts) -> TemplateState:
    """The policy that has claimed the template, as long as it selects it, else the best that does; without one the claim may be
    over: a template that its policy no longer selects stays claimed until that policy is reconciled. What something else than a policy
    has claimed (a MultiClusterService) follows the binding that this has made."""
    template = state.template
    if is_claimed_otherwise(template):
        return state
    own, cluster_wide = facts.candidates(template)
    claimed = _claiming(template, facts)
    if claimed is not None:
        taking = _preempting(template, claimed, own, cluster_wide, facts)
        if taking is not None:
            events = Event(*bindings.preempted_event(taking, claimed))
            return state._replace(policy=taking, events=(*state.events, events))
        if bindings.still_matches(template, claimed):
            return state._replace(policy=claimed)
        if not state.why & (EnqueueReason.CLAIMING_POLICY | EnqueueReason.START):
            return state
    policy = choose_policy(template, own, cluster_wide).policy
    return state._replace(policy=policy, claim_is_over=policy is None)


def _claiming(template: Object, facts: PolicyFacts) -> PropagationPolicy | None:
    """The policy that has claimed the template, if there still is the same one."""
    claimed = bindings.claimed_by(template)
    if claimed is None:
        return None
    namespace, name, policy_id = claimed
    policy = facts.policy(namespace, name)
    if policy is None or policy["metadata"].get("deletionTimestamp"):
        return None
    return policy if policy_id in (policy["metadata"].get("labels") or {}).values() else None


def _preempting(
    template: Object,
    claimed: PropagationPolicy,
    own: Sequence[PropagationPolicy],
    cluster_wide: Sequence[PropagationPolicy],
    facts: PolicyFacts,
) -> PropagationPolicy | None:
    if feature.POLICY_PREEMPTION not in facts.gates:
        return None
    return preempting(template, claimed, own, cluster_wide)
