from __future__ import annotations

import pytest

from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.steps.apply_policy import apply_policy
from kafila.reconcile.karmada.template.steps.template_state import Action, Stop

from .given_policies import GivenPolicies, selecting, state


@pytest.mark.parametrize(
    ("why", "lazy", "applied"),
    [
        (EnqueueReason.POLICY, False, True),
        (EnqueueReason.DEPENDENCY, False, True),
        (EnqueueReason.POLICY, True, False),
        (EnqueueReason.DEPENDENCY, True, False),
        (EnqueueReason.USER, True, True),
        (EnqueueReason.START, True, True),
    ],
)
def test_a_lazy_policy_waits_for_the_user(why: EnqueueReason, lazy: bool, applied: bool) -> None:
    asked = state(why, policy=selecting(**({"activationPreference": "Lazy"} if lazy else {})))
    assert apply_policy(asked, GivenPolicies()) == (Stop(asked, Action.APPLY_POLICY) if applied else asked)


def test_without_a_policy_there_is_none_to_apply() -> None:
    asked = state()
    assert apply_policy(asked, GivenPolicies()) is asked
