from __future__ import annotations

from kafila.placement.cluster_expression import ANNOTATION
from kafila.reconcile.karmada.template.steps.hold_withdrawal import hold_withdrawal
from tests.unit.placement.objects import policy

from .given import Given, placed, state

OLD = {"clusterAffinity": {"clusterNames": ["m1", "m2"]}}
NEW = {"clusterAffinity": {"clusterNames": ["m1"]}}


def test_a_held_policy_leaves_the_placement_as_it_is() -> None:
    asked = state(placed("m1", "m2", placement=OLD), policy=policy(placement=NEW, preserveResourcesOnDeletion=True))
    after = hold_withdrawal(asked, Given(held=True))
    assert after.policy is not None
    assert after.policy["spec"]["placement"] == OLD
    assert after.policy["spec"]["preserveResourcesOnDeletion"] is True, "all else goes on"
    assert hold_withdrawal(asked, Given(held=False)) is asked


def test_a_held_expression_is_the_one_before() -> None:
    before, now = placed("m1", "m2", placement=OLD), policy(placement=OLD)
    now["metadata"]["annotations"] = {ANNOTATION: "false", "note": "new"}
    after = hold_withdrawal(state(before, policy=now), Given(held=True))
    assert after.policy is not None
    assert after.policy["metadata"]["annotations"] == {"note": "new"}
    before["metadata"]["annotations"] = {ANNOTATION: "true"}
    after = hold_withdrawal(state(before, policy=now), Given(held=True))
    assert after.policy is not None
    assert after.policy["metadata"]["annotations"] == {ANNOTATION: "true", "note": "new"}


def test_what_is_not_asked_about() -> None:
    held = Given(held=True)
    before = placed("m1", placement=OLD)
    for asked in (
        state(None, policy=policy(placement=NEW)),  # it is new
        state(before, policy=None),
        state(before, policy=policy(placement=OLD)),  # carried out, or nothing to do with the placement
        state(before, policy=policy(placement=NEW, activationPreference="Lazy")),
    ):
        assert hold_withdrawal(asked, held) is asked
