"""FederatedResourceQuota: assignments, what members report, and enforcement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.core.values import Object


def quota(overall: Object, *assignments: tuple[str, Object]) -> Object:
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "FederatedResourceQuota",
        "metadata": {"name": "team", "namespace": "default"},
        "spec": {
            "overall": overall,
            "staticAssignments": [{"clusterName": cluster, "hard": hard} for cluster, hard in assignments],
        },
    }


@pytest.fixture
async def enforcing(make_lab: Any) -> AsyncIterator[Any]:
    async with make_lab.running("m1", "m2", feature_gates="FederatedQuotaEnforcement=true") as lab:
        yield lab


def status(lab: Any) -> Object:
    return lab.get("FederatedResourceQuota", "team").get("status") or {}


async def test_assignments_become_resource_quotas(two: Any) -> None:
    await two.create(quota({"cpu": "10"}, ("m1", {"cpu": "4"}), ("m2", {"cpu": "6"})))
    await two.until(lambda: two.in_clusters("ResourceQuota", "team") == ["m1", "m2"])
    copy = two.in_member("m1", "ResourceQuota", "team")
    assert copy["spec"] == {"hard": {"cpu": "4"}}
    (work,) = [w for w in two.list("Work") if w["metadata"]["namespace"] == "karmada-es-m1"]
    labels = work["metadata"]["labels"]
    assert labels["federatedresourcequota.karmada.io/namespace"] == "default"
    assert labels["federatedresourcequota.karmada.io/name"] == "team"
    text = "Sync works for FederatedResourceQuota(default/team) succeed."
    await two.until(lambda: text in [said for _, _, said, _ in two.events("FederatedResourceQuota", "team")])

    await two.change("FederatedResourceQuota", "team", lambda obj: obj["spec"]["staticAssignments"].pop())
    await two.until(lambda: two.in_clusters("ResourceQuota", "team") == ["m1"])
    await two.delete("FederatedResourceQuota", "team")
    await two.until(lambda: two.in_clusters("ResourceQuota", "team") == [])


async def test_a_cluster_that_joins_gets_its_part(two: Any) -> None:
    await two.create(quota({"cpu": "10"}, ("m3", {"cpu": "4"})))
    await two.rest()
    await two.join("m3")
    await two.until(lambda: two.in_clusters("ResourceQuota", "team") == ["m3"])


async def test_what_members_report_is_added_up(two: Any) -> None:
    await two.create(quota({"cpu": "10", "memory": "10Gi"}, ("m1", {"cpu": "4"}), ("m2", {"cpu": "6"})))
    await two.until(lambda: two.in_clusters("ResourceQuota", "team") == ["m1", "m2"])
    for member, used in (("m1", "1500m"), ("m2", "1")):
        kind = two.kind("ResourceQuota")

        def reported(obj: Object, used: str = used) -> Object:
            return {**obj, "status": {"hard": obj["spec"]["hard"], "used": {"cpu": used}}}

        await two.members[member].registry.modify(kind, "default", "team", reported, two.user, "status")
    enforced = "AllAlpha=true" in two.settings.feature_gates  # then what is used is what bindings take: nothing
    await two.until(lambda: len([item for item in status(two).get("aggregatedStatus", ()) if item.get("used")]) == 2)
    await two.rest()
    assert status(two) == {
        "overall": {"cpu": "10", "memory": "10Gi"},
        **({} if enforced else {"overallUsed": {"cpu": "2500m"}}),
        "aggregatedStatus": [
            {"clusterName": "m1", "hard": {"cpu": "4"}, "used": {"cpu": "1500m"}},
            {"clusterName": "m2", "hard": {"cpu": "6"}, "used": {"cpu": "1"}},
        ],
    }


async def test_what_is_too_much_is_not_scheduled(enforcing: Any) -> None:
    await enforcing.create(quota({"cpu": "1"}))
    await enforcing.create(enforcing.policy("policy", "m1"))
    await enforcing.create(enforcing.deployment(replicas=4, cpu="300m"))
    message = (
        'admission webhook "resourcebinding.karmada.io" denied the request: FederatedResourceQuota(default/team) exceeded '
        "for resource cpu: requested sum 1200m, limit 1."
    )

    def condition() -> Object:
        return enforcing.condition(enforcing.get("ResourceBinding", "web-deployment"), "Scheduled")

    await enforcing.until(lambda: condition().get("reason") == "QuotaExceeded")
    assert (condition()["status"], condition()["message"]) == ("False", message)
    assert enforcing.placed("web-deployment") == {}
    assert not status(enforcing).get("overallUsed")
    decision = enforcing.get("Decision", "web-deployment")
    assert decision["scheduling"]["result"] == "QuotaExceeded"

    await enforcing.change("FederatedResourceQuota", "team", lambda obj: obj["spec"].update(overall={"cpu": "2"}))
    await enforcing.until(lambda: enforcing.placed("web-deployment") == {"m1": 4})
    assert status(enforcing)["overallUsed"] == {"cpu": "1200m"}


async def test_bindings_are_counted_and_given_back(enforcing: Any) -> None:
    await enforcing.create(quota({"cpu": "2"}))
    await enforcing.create(enforcing.policy("policy", "m1"))
    await enforcing.create(enforcing.deployment(replicas=4, cpu="300m"))
    await enforcing.until(lambda: enforcing.placed("web-deployment") == {"m1": 4})
    assert status(enforcing)["overallUsed"] == {"cpu": "1200m"}
    await enforcing.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=9))
    await enforcing.until(
        lambda: (
            enforcing.condition(enforcing.get("ResourceBinding", "web-deployment"), "Scheduled")["reason"]
            == "QuotaExceeded"
        )
    )
    assert enforcing.placed("web-deployment") == {"m1": 4}, "what was placed stays"
    await enforcing.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=5))
    await enforcing.until(lambda: enforcing.placed("web-deployment") == {"m1": 5})
    assert status(enforcing)["overallUsed"] == {"cpu": "1500m"}
    await enforcing.delete("Deployment", "web")
    await enforcing.until(lambda: not status(enforcing).get("overallUsed"))
