"""Remedies write into a Cluster's status what is to be done about it."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object
from kafila.placement.remedy import MOST_ACTIONS

Lab = Any


def remedy(name: str, *clusters: str, **spec: Any) -> Object:
    if clusters:
        spec["clusterAffinity"] = {"clusterNames": list(clusters)}
    metadata = {"name": name}
    spec.setdefault("actions", ["TrafficControl"])
    return {"apiVersion": "remedy.karmada.io/v1alpha1", "kind": "Remedy", "metadata": metadata, "spec": spec}


def asked(lab: Lab, cluster: str) -> list[str] | None:
    found: list[str] | None = lab.get("Cluster", cluster)["status"].get("remedyActions")
    return found


async def test_conditions_bring_actions_and_take_them_away(two: Lab) -> None:
    failing = {"conditionType": "ServiceDomainNameResolutionReady", "operator": "Equal", "conditionStatus": "False"}
    await two.create(remedy("names", decisionMatches=[{"clusterConditionMatch": failing}]))
    await two.rest()
    assert asked(two, "m1") is None

    async def resolves(status: str) -> None:
        def change(obj: Object) -> None:
            kept = [c for c in obj["status"]["conditions"] if c["type"] != "ServiceDomainNameResolutionReady"]
            new = {"type": "ServiceDomainNameResolutionReady", "status": status, "reason": "r", "message": ""}
            obj["status"]["conditions"] = [*kept, {**new, "lastTransitionTime": "2026-01-01T00:00:00Z"}]

        await two.change("Cluster", "m1", change, subresource="status")

    await resolves("False")
    await two.until(lambda: asked(two, "m1") == ["TrafficControl"])
    assert asked(two, "m2") is None
    told = ("Normal", "RemedyActionsChanged", "Remedies ask for: TrafficControl", 1)
    await two.until(lambda: told in two.events("Cluster", "m1"))
    await resolves("True")
    await two.until(lambda: asked(two, "m1") is None)


async def test_remedies_come_change_and_go(two: Lab) -> None:
    await two.create(remedy("one", "m1"))
    await two.create(remedy("all", actions=["Alarm"]))
    await two.until(lambda: asked(two, "m1") == ["Alarm", "TrafficControl"] and asked(two, "m2") == ["Alarm"])
    await two.change("Remedy", "one", lambda obj: obj["spec"].update(clusterAffinity={"clusterNames": ["m2"]}))
    await two.until(lambda: asked(two, "m1") == ["Alarm"] and asked(two, "m2") == ["Alarm", "TrafficControl"])
    await two.delete("Remedy", "all")
    await two.delete("Remedy", "one")
    await two.until(lambda: asked(two, "m1") is None and asked(two, "m2") is None)


async def test_too_many_actions_are_told(two: Lab) -> None:
    await two.create(remedy("much", "m1", actions=[f"a{number:04}" for number in range(MOST_ACTIONS + 1)]))
    await two.until(lambda: len(asked(two, "m1") or ()) == MOST_ACTIONS)
    text = "1 actions of remedies are left out: there are too many, or they are too long"
    await two.until(lambda: ("Warning", "RemedyActionsLeftOut", text, 1) in two.events("Cluster", "m1"))


async def test_what_a_probe_writes_leaves_them(two: Lab) -> None:
    await two.create(remedy("one", "m1"))
    await two.until(lambda: asked(two, "m1") == ["TrafficControl"])
    await two.create(two.deployment())
    await two.create(two.policy("policy", "m1"))
    await two.counted()
    assert asked(two, "m1") == ["TrafficControl"]
