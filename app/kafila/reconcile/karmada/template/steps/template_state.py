"""What a template is reconciled for, and what the steps so far make of it. Nothing is written before the last of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

from kafila.core.values import Object
from kafila.placement.scheduler.schedule import Event
from kafila.placement.types import PropagationPolicy
from kafila.reconcile.karmada.template.changes import EnqueueReason

from .facts import PolicyFacts


class StoredBinding(Enum):
    NONE = 0  # or one that is another object's
    OWN = 1
    DELETING = 2


class Action(Enum):
    NOTHING = 0
    WAIT_FOR_DELETION = 1  # of the binding: whoever sees that it is gone looks again
    WAIT_FOR_OVERRIDES = 2
    APPLY_POLICY = 3  # to the binding, with everything that follows
    FOLLOW_BINDING = 4  # everything follows from the binding as it is stored
    FOLLOW_IF_BEHIND = 5  # the same, if Works are not as they are to be
    AGGREGATE = 6  # only what members report


class TemplateState(NamedTuple):
    template: Object
    why: EnqueueReason
    binding: StoredBinding
    policy: PropagationPolicy | None = None  # the one that the template follows; it claims it where it has not yet
    claim_is_over: bool = False  # the labels of a policy go off the template and its binding
    events: tuple[Event, ...] = ()  # on the template


class Stop(NamedTuple):
    """What is to be done is known; no further step is asked."""

    state: TemplateState
    action: Action


TemplateStep = Callable[[TemplateState, PolicyFacts], TemplateState | Stop]


def run_until_stop(steps: Iterable[TemplateStep], state: TemplateState, facts: PolicyFacts) -> Stop:
    for step in steps:
        outcome = step(state, facts)
        if isinstance(outcome, Stop):
            return outcome
        state = outcome
    return Stop(state, Action.NOTHING)
