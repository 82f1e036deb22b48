from __future__ import annotations

import pytest

from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.steps.follow_binding import follow_binding
from kafila.reconcile.karmada.template.steps.template_state import Action, Stop, StoredBinding

from .given_policies import GivenPolicies, state

Why = EnqueueReason


@pytest.mark.parametrize(
    ("why", "action"),
    [
        (Why.USER, Action.NOTHING),
        (Why.POLICY, Action.NOTHING),
        (Why.DEPENDENCY, Action.FOLLOW_BINDING),
        (Why.DEPENDENCY | Why.START | Why.STATUS, Action.FOLLOW_BINDING),
        (Why.START | Why.STATUS, Action.FOLLOW_IF_BEHIND),
        (Why.USER | Why.STATUS, Action.AGGREGATE),
    ],
)
def test_what_happens_around_a_binding_does_not_wait_for_a_policy(why: EnqueueReason, action: Action) -> None:
    asked = state(why, StoredBinding.OWN)
    assert follow_binding(asked, GivenPolicies()) == Stop(asked, action)


def test_without_a_binding_there_is_nothing_to_follow() -> None:
    asked = state(Why.DEPENDENCY)
    assert follow_binding(asked, GivenPolicies()) == Stop(asked, Action.NOTHING)
