from __future__ import annotations

import pytest

from kafila.placement.detector.binding import OwnerMismatch
from kafila.reconcile.karmada.template.steps.build_binding import build_binding
from tests.unit.placement.objects import policy

from .given import Given, state


def test_a_new_binding_is_what_the_policy_asks_for() -> None:
    after = build_binding(state(policy=policy(preserveResourcesOnDeletion=True)), Given(called="a-name"))
    assert after.binding["metadata"]["name"] == "a-name"
    assert (after.binding["spec"]["replicas"], after.binding["spec"]["preserveResourcesOnDeletion"]) == (2, True)
    assert [event.reason for event in after.events] == ["GetReplicasSucceed", "ApplyPolicySucceed"]


def test_one_that_says_so_already_stays_the_same_object() -> None:
    before = build_binding(state(), Given()).binding
    after = build_binding(state(before), Given())
    assert after.binding is before
    assert after.events == ()


def test_without_a_policy_it_stays_as_it_is() -> None:
    before = build_binding(state(), Given()).binding
    asked = state(before, policy=None)
    assert build_binding(asked, Given()) is asked


@pytest.mark.parametrize(("keep_version", "version"), [(True, "6"), (False, "7")])
def test_which_version_of_the_template_it_names(keep_version: bool, version: str) -> None:
    built = build_binding(state(), Given()).binding
    resource = {**built["spec"]["resource"], "resourceVersion": "6"}
    before = {**built, "spec": {**built["spec"], "resource": resource}}
    after = build_binding(state(before, keep_version=keep_version), Given())
    assert after.binding["spec"]["resource"]["resourceVersion"] == version
    assert (after.binding is before) == keep_version


def test_the_binding_of_an_earlier_template_is_not_taken() -> None:
    before = build_binding(state(), Given()).binding
    (owner,) = before["metadata"]["ownerReferences"]
    metadata = {**before["metadata"], "ownerReferences": [{**owner, "uid": "another"}]}
    with pytest.raises(OwnerMismatch):
        build_binding(state({**before, "metadata": metadata}), Given())
