from __future__ import annotations

from typing import Any

import pytest

from kafila.core.feature_gates import DEFAULT_GATES, POLICY_PREEMPTION
from kafila.core.values import Object
from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.steps.select_policy import select_policy
from tests.unit.placement.objects import policy, selector

from .given_policies import GivenPolicies, selecting, state

ELSEWHERE = policy("pp", resourceSelectors=[selector("ConfigMap", "v1")])


def test_an_unclaimed_template_gets_the_best_that_selects_it() -> None:
    after = select_policy(state(), GivenPolicies([selecting("cluster-wide", ""), selecting("own")]))
    assert after.policy is not None
    assert (after.policy["metadata"]["name"], after.claim_is_over) == ("own", False)


def test_where_none_selects_it_the_claim_is_over() -> None:
    after = select_policy(state(), GivenPolicies())
    assert (after.policy, after.claim_is_over) == (None, True)


def test_the_one_that_has_claimed_it_keeps_it_from_one_that_is_better() -> None:
    claiming = selecting("claiming", priority=0)
    after = select_policy(state(claimed_by=claiming), GivenPolicies([claiming, selecting("better", priority=9)]))
    assert after.policy is claiming


def test_one_that_may_preempt_takes_it_and_says_so() -> None:
    claiming = selecting("claiming", priority=0)
    taking = policy("taking", resourceSelectors=[selector(name="nginx")], priority=9, preemption="Always")
    facts = GivenPolicies([claiming, taking], gates=DEFAULT_GATES | {POLICY_PREEMPTION})
    after = select_policy(state(claimed_by=claiming), facts)
    assert after.policy is taking
    assert [event.reason for event in after.events] == ["PreemptPolicySucceed"]
    without = select_policy(state(claimed_by=claiming), GivenPolicies([claiming, taking], gates=frozenset()))
    assert (without.policy, without.events) == (claiming, ())


@pytest.mark.parametrize(
    ("why", "is_over"),
    [
        (EnqueueReason.USER, False),
        (EnqueueReason.DEPENDENCY, False),
        (EnqueueReason.CLAIMING_POLICY, True),
        (EnqueueReason.START, True),
    ],
)
def test_what_its_policy_no_longer_selects_stays_claimed_until_that_is_enqueued(
    why: EnqueueReason, is_over: bool
) -> None:
    after = select_policy(state(why, claimed_by=ELSEWHERE), GivenPolicies([ELSEWHERE]))
    assert (after.policy, after.claim_is_over) == (None, is_over)


def deleting(one: Object) -> Object:
    return {**one, "metadata": {**one["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def recreated(one: Object) -> Object:
    return {**one, "metadata": {**one["metadata"], "labels": {"propagationpolicy.karmada.io/permanent-id": "other"}}}


@pytest.mark.parametrize("change", [deleting, recreated])
def test_a_policy_that_goes_or_is_another_by_now_keeps_nothing(change: Any) -> None:
    claiming, better = selecting("claiming"), selecting("better", priority=9)
    after = select_policy(state(claimed_by=claiming), GivenPolicies([change(claiming), better]))
    assert after.policy is better
