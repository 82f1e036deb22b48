"""A policy that takes too much out of clusters waits for an approval: until then a binding keeps the placement that it has."""

from __future__ import annotations

from kafila.placement.cluster_expression import ANNOTATION, expression_of
from kafila.placement.detector.binding import is_lazy
from kafila.placement.objects import annotations_of
from kafila.placement.types import PropagationPolicy
from kafila.placement.withdrawal import is_carried_out

from .facts import Facts
from .state import State


def hold_withdrawal(state: State, facts: Facts) -> State:
    """All else that the policy says goes on, and so does what follows from the template."""
    policy, before = state.policy, state.before
    if policy is None or before is None or is_lazy(policy):
        return state  # a lazy policy is applied object by object, when a user changes each
    kept = before["spec"].get("placement")
    if kept is None or is_carried_out(before, policy) or not facts.is_held(policy):
        return state
    held: PropagationPolicy = {**policy, "spec": {**policy["spec"], "placement": kept}}
    annotations = {key: value for key, value in annotations_of(policy).items() if key != ANNOTATION}
    if expression := expression_of(before):
        annotations[ANNOTATION] = expression
    if annotations != annotations_of(policy):
        held = {**held, "metadata": {**held["metadata"], "annotations": annotations}}
    return state._replace(policy=held)
