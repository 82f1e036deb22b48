"""Scheduling and quotas over 200 members. They are simulated, and joined once for all tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from .conftest import Lab

SMALL = [f"small{number:03}" for number in range(100)]  # with a node of 8 cpus
LARGE = [f"large{number:03}" for number in range(100)]  # with two
DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}
on_module_loop = pytest.mark.asyncio(loop_scope="module")


def region_of(cluster: str) -> str:
    return f"region{int(cluster[-3:]) % 10}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fleet() -> AsyncIterator[Lab]:
    lab = await Lab(feature_gates="FederatedQuotaEnforcement=true", cluster_status_frequency=5.0).start()
    try:
        for number in range(10):
            for nodes, names in ((1, SMALL), (2, LARGE)):
                await lab.join(*names[number::10], nodes=nodes, cpu="8", region=f"region{number}")
        yield lab
    finally:
        await lab.close()


async def place(lab: Lab, name: str, replicas: int, cpu: str = "1", **placement: Any) -> dict[str, int]:
    """A Deployment with a policy of its own -> its replicas by cluster once all are ready."""
    select = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}]
    await lab.create(lab.policy(name, select=select, placement={"replicaScheduling": DYNAMIC, **placement}))
    await lab.create(lab.deployment(name, replicas=replicas, cpu=cpu))

    def ready() -> bool:
        return lab.get("Deployment", name).get("status", {}).get("readyReplicas") == replicas

    await lab.until(ready, f"{name} is ready")
    return {cluster: count or 0 for cluster, count in lab.placed(f"{name}-deployment").items()}


async def take_away(lab: Lab, name: str) -> None:
    await lab.delete("Deployment", name)
    await lab.delete("PropagationPolicy", name)
    await lab.until(lambda: not lab.get("ResourceBinding", f"{name}-deployment"))


def is_empty(lab: Lab, cluster: str) -> bool:
    """As its status says, which follows its pods only every few seconds."""
    allocated = lab.get("Cluster", cluster)["status"]["resourceSummary"].get("allocated") or {}
    return allocated.get("cpu", "0") == "0"


@on_module_loop
async def test_replicas_follow_the_available_replicas(fleet: Lab) -> None:
    placed = await place(fleet, "wide", 300)
    assert placed == {**dict.fromkeys(SMALL, 1), **dict.fromkeys(LARGE, 2)}
    await fleet.change("Deployment", "wide", lambda obj: obj["spec"].update(replicas=310))
    await fleet.until(lambda: fleet.get("Deployment", "wide").get("status", {}).get("readyReplicas") == 310)
    grown = fleet.placed("wide-deployment")
    moved = {cluster: grown[cluster] - count for cluster, count in placed.items() if grown[cluster] != count}
    assert sum(moved.values()) == 10
    assert all(count > 0 for count in moved.values()), "nothing that runs is moved"
    await take_away(fleet, "wide")


@on_module_loop
async def test_spread_over_regions(fleet: Lab) -> None:
    constraints = [
        {"spreadByField": "region", "minGroups": 3, "maxGroups": 3},
        {"spreadByField": "cluster", "minGroups": 6, "maxGroups": 9},
    ]
    placed = await place(fleet, "spread", 90, spreadConstraints=constraints)
    assert sum(placed.values()) == 90
    assert 6 <= len(placed) <= 9
    assert len(Counter(map(region_of, placed))) == 3
    await take_away(fleet, "spread")


@on_module_loop
async def test_aggregated_in_as_few_as_possible(fleet: Lab) -> None:
    aggregated = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}
    await fleet.until(lambda: all(is_empty(fleet, cluster) for cluster in LARGE), "what the other tests left is gone")
    placed = await place(fleet, "few", 40, replicaScheduling=aggregated)
    assert sum(placed.values()) == 40
    assert len(placed) == 3
    assert set(placed) <= set(LARGE)
    await take_away(fleet, "few")


@on_module_loop
async def test_a_quota_holds_however_many_ask_at_once(fleet: Lab) -> None:
    quota = {"apiVersion": "policy.karmada.io/v1alpha1", "kind": "FederatedResourceQuota"}
    await fleet.create({**quota, "metadata": {"name": "team"}, "spec": {"overall": {"cpu": "100"}}})
    select = [{"apiVersion": "apps/v1", "kind": "Deployment"}]
    await fleet.create(fleet.policy("team", select=select, scheduling=DYNAMIC))
    names = [f"job{number}" for number in range(10)]
    for name in names:
        await fleet.create(fleet.deployment(name, replicas=30, cpu="1"))

    def reasons() -> Counter[str]:
        found = [fleet.get("ResourceBinding", f"{name}-deployment") for name in names]
        return Counter(fleet.condition(binding, "Scheduled").get("reason", "") for binding in found)

    await fleet.until(lambda: reasons() == {"Success": 3, "QuotaExceeded": 7}, "three have room in the quota")
    assert fleet.get("FederatedResourceQuota", "team")["status"]["overallUsed"] == {"cpu": "90"}
    placed = [name for name in names if fleet.placed(f"{name}-deployment")]
    await fleet.delete("Deployment", placed[0])
    names.remove(placed[0])
    await fleet.until(lambda: reasons() == {"Success": 3, "QuotaExceeded": 6}, "one more has room now")
    for record in fleet.database.log:
        if record.key.resource == "federatedresourcequotas.policy.karmada.io" and record.body:
            used = (json.loads(record.body).get("status") or {}).get("overallUsed") or {}
            assert int(used.get("cpu", "0")) <= 100
    for name in names:
        await fleet.delete("Deployment", name)
    await fleet.until(lambda: not fleet.list("ResourceBinding"))
    await fleet.delete("PropagationPolicy", "team")
    await fleet.delete("FederatedResourceQuota", "team")


@on_module_loop
async def test_every_member_gets_its_part_of_a_quota(fleet: Lab) -> None:
    quota = {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "FederatedResourceQuota",
        "metadata": {"name": "parts"},
    }
    parts = [{"clusterName": name, "hard": {"cpu": "2"}} for name in (*SMALL, *LARGE)]
    await fleet.create({**quota, "spec": {"overall": {"cpu": "400"}, "staticAssignments": parts}})
    await fleet.until(lambda: len(fleet.in_clusters("ResourceQuota", "parts")) == 200, "all members have it")
    assert fleet.in_member("large007", "ResourceQuota", "parts")["spec"] == {"hard": {"cpu": "2"}}
    await fleet.delete("FederatedResourceQuota", "parts")
    await fleet.until(lambda: not fleet.in_clusters("ResourceQuota", "parts"), "it is gone everywhere")
