from __future__ import annotations

from kafila.reconcile.karmada.template.steps.template_state import Action, Stop
from kafila.reconcile.karmada.template.steps.wait_for_overrides import wait_for_overrides

from .given_policies import GivenPolicies, selecting, state


def test_a_policy_waits_for_the_overrides_that_it_names() -> None:
    asked = state(policy=selecting(dependentOverrides=["a", "b"]))
    assert wait_for_overrides(asked, GivenPolicies(overrides={("default", "a")})) == Stop(
        asked, Action.WAIT_FOR_OVERRIDES
    )
    assert wait_for_overrides(asked, GivenPolicies(overrides={("default", "a"), ("default", "b")})) is asked


def test_without_a_policy_or_names_there_is_nothing_to_wait_for() -> None:
    for asked in (state(), state(policy=selecting())):
        assert wait_for_overrides(asked, GivenPolicies()) is asked
