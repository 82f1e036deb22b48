"""An edit that takes much out of clusters waits until somebody approves of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.withdrawal import APPROVED, HELD, waiting
from kafila.reconcile.karmada.withdrawals import PolicyGuard

Lab = Any
SELECT = [{"apiVersion": "v1", "kind": "ConfigMap"}]
NAMES = ("a", "b", "c")
BOTH, ONE = ["m1", "m2"], ["m1"]


@contextlib.asynccontextmanager
async def claimed(make_lab: Any, **limits: int) -> AsyncIterator[Lab]:
    """Three objects in two clusters."""
    async with make_lab.running("m1", "m2", **limits) as lab:
        await lab.create(lab.policy("policy", *BOTH, select=SELECT))
        for name in NAMES:
            await lab.create(lab.config(name))
        await lab.until(lambda: all(lab.in_clusters("ConfigMap", name) == BOTH for name in NAMES))
        yield lab


@pytest.fixture
async def guarded(make_lab: Any) -> AsyncIterator[Any]:
    """Three objects, of which two may leave a cluster without a word."""
    async with claimed(make_lab, withdrawal_max_objects=2) as lab:
        yield lab


async def narrow(lab: Lab, *clusters: str) -> None:
    def change(obj: Object) -> None:
        obj["spec"]["placement"]["clusterAffinity"]["clusterNames"] = list(clusters)

    await lab.change("PropagationPolicy", "policy", change)


async def annotate(lab: Lab, key: str, value: str) -> None:
    await lab.change(
        "PropagationPolicy", "policy", lambda obj: obj["metadata"].setdefault("annotations", {}).update({key: value})
    )


def policy(lab: Lab) -> Object:
    found: Object = lab.get("PropagationPolicy", "policy")
    return found


def are_in(lab: Lab, clusters: list[str]) -> bool:
    return all(lab.in_clusters("ConfigMap", name) == clusters for name in NAMES)


async def test_it_waits_for_an_approval(guarded: Lab) -> None:
    await narrow(guarded, *ONE)
    await guarded.until(lambda: waiting(policy(guarded)))
    await guarded.rest()
    assert are_in(guarded, BOTH)
    assert waiting(policy(guarded)) == "3 objects leave 1 clusters: m2 (3)"
    generation = policy(guarded)["metadata"]["generation"]
    told = (
        "Warning",
        "WithdrawalHeld",
        "3 objects leave 1 clusters: m2 (3). Nothing is moved until it is approved (kafila approve propagationpolicy policy "
        f"-n default, or annotation {APPROVED}: {generation}) or taken back",
    )
    await guarded.until(lambda: told in [each[:3] for each in guarded.events("PropagationPolicy", "policy")])
    await annotate(guarded, APPROVED, str(generation))
    await guarded.until(lambda: are_in(guarded, ONE))
    approved = ("Normal", "WithdrawalApproved", "What waited is carried out")
    await guarded.until(lambda: approved in [each[:3] for each in guarded.events("PropagationPolicy", "policy")])


async def test_meanwhile_templates_and_what_is_new_go_on(guarded: Lab) -> None:
    await narrow(guarded, *ONE)
    await guarded.until(lambda: waiting(policy(guarded)))
    await guarded.change("ConfigMap", "a", lambda obj: obj["data"].update(a="2"))
    await guarded.until(lambda: guarded.in_member("m2", "ConfigMap", "a")["data"] == {"a": "2"})
    await guarded.create(guarded.config("new"))
    await guarded.until(lambda: guarded.in_clusters("ConfigMap", "new") == ONE)
    await guarded.rest()
    assert are_in(guarded, BOTH)


async def test_it_waits_for_whoever_leads_next_too(guarded: Lab) -> None:
    await narrow(guarded, *ONE)
    await guarded.until(lambda: waiting(policy(guarded)))
    await guarded.rest()
    await guarded.restart()
    await guarded.rest()
    assert are_in(guarded, BOTH)
    assert waiting(policy(guarded))


async def test_it_can_be_taken_back_and_made_smaller(guarded: Lab) -> None:
    await narrow(guarded, *ONE)
    await guarded.until(lambda: waiting(policy(guarded)))
    await narrow(guarded, *BOTH)
    await guarded.rest()
    assert are_in(guarded, BOTH)
    assert not waiting(policy(guarded))
    await guarded.delete("ConfigMap", "c")
    await guarded.until(lambda: guarded.in_clusters("ConfigMap", "c") == [])
    await narrow(guarded, *ONE)
    await guarded.until(lambda: guarded.in_clusters("ConfigMap", "a") == ONE == guarded.in_clusters("ConfigMap", "b"))


async def test_who_never_wants_to_be_asked_says_so(guarded: Lab) -> None:
    await annotate(guarded, APPROVED, "always")
    await narrow(guarded, *ONE)
    await guarded.until(lambda: are_in(guarded, ONE))
    assert HELD not in policy(guarded)["metadata"]["annotations"]


async def test_an_approval_of_another_generation_is_none(guarded: Lab) -> None:
    await annotate(guarded, APPROVED, "1")
    await narrow(guarded, *ONE)
    await guarded.until(lambda: waiting(policy(guarded)))
    await guarded.rest()
    assert are_in(guarded, BOTH)


async def test_what_is_preserved_waits_for_nobody(guarded: Lab) -> None:
    await guarded.change(
        "PropagationPolicy", "policy", lambda obj: obj["spec"].update(preserveResourcesOnDeletion=True)
    )
    await guarded.rest()
    await narrow(guarded, *ONE)
    await guarded.until(lambda: set(guarded.placed("a-configmap")) == set(ONE))
    assert not waiting(policy(guarded))


@pytest.mark.parametrize(
    ("limits", "passes"),
    [
        ({"withdrawal_max_objects": 0, "withdrawal_max_clusters": 0}, 0),  # nothing waits for an approval
        ({}, 0),  # it is far from any limit
        ({"withdrawal_max_objects": 2}, 1),
    ],
)
async def test_what_a_policy_has_claimed_is_gone_through_once_at_most(
    make_lab: Any, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], passes: int
) -> None:
    """And not once for each of its objects."""
    async with claimed(make_lab, **limits) as lab:
        bindings, asked = PolicyGuard._bindings, list[str]()

        def noted(self: PolicyGuard, policy: Any) -> Any:
            asked.append(policy["metadata"]["name"])
            return bindings(self, policy)

        monkeypatch.setattr(PolicyGuard, "_bindings", noted)
        await narrow(lab, *ONE)
        await lab.until(lambda: waiting(policy(lab)) if passes else are_in(lab, ONE))
        await lab.rest()
        assert len(asked) == passes
