"""Two processes with controllers over one database: they share the members out, and work on them together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from kafila.core.values import Object
from kafila.store.interface import LeaseLost
from kafila.workers import shards
from kafila.workers.sharing import SHARDS, shard_of
from kafila.workers.worker import Worker
from tests.waiting import eventually

from .conftest import Lab
from .test_federated_hpas import Scaled, autoscaler

MEMBERS = tuple(f"m{number}" for number in range(1, 5))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PERIOD", 0.02)


@pytest.fixture
async def workers() -> AsyncIterator[tuple[Lab, Lab]]:
    """The first leads."""
    async with contextlib.AsyncExitStack() as stack:
        one = await Lab(worker=True).start()
        stack.push_async_callback(one.close)
        await one.join(*MEMBERS)
        other = await Lab(like=one).start()
        stack.push_async_callback(other.close)
        await eventually(lambda: len(connected(one)) == len(connected(other)) == len(MEMBERS) // 2, "shared out")
        yield one, other


def worker_of(lab: Lab) -> Worker:
    assert lab.worker is not None
    return lab.worker


def held(lab: Lab) -> set[int]:
    found = worker_of(lab).shards
    assert found is not None
    return set(found.leases)


def connected(lab: Lab) -> list[str]:
    return [name for name in MEMBERS if lab.controllers.member_manager.get(name) is not None]


async def has_no_members(lab: Lab) -> None:
    registration = worker_of(lab)._registration
    assert registration is not None
    await registration.stop()


def applied(lab: Lab, replicas: int) -> bool:
    copies = [lab.in_member(name, "Deployment", "web") for name in MEMBERS]
    return all(copy and copy["spec"]["replicas"] == replicas for copy in copies)


def reported(lab: Lab, replicas: int) -> bool:
    return (lab.get("Deployment", "web").get("status") or {}).get("readyReplicas") == replicas


async def test_each_has_a_share_and_templates_reach_all_members(workers: tuple[Lab, Lab]) -> None:
    one, other = workers
    assert held(one) | held(other) == set(range(SHARDS))
    assert not held(one) & held(other)
    assert {shard_of(name) for name in connected(other)} <= held(other)
    await one.create(one.policy("policy", *MEMBERS))
    await one.create(one.deployment(replicas=2))
    await one.until(lambda: applied(one, 2) and reported(one, 2 * len(MEMBERS)))
    assert [worker_of(lab).leader.leading for lab in workers] == [True, False]
    await one.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=1))
    await one.until(lambda: applied(one, 1) and reported(one, len(MEMBERS)))
    # drift is repaired by whoever has the member
    for name in MEMBERS:
        member = one.members[name].registry
        kind = one.kind("Deployment")
        await member.modify(kind, "default", "web", scaled_to(5), one.user)
    await one.until(lambda: applied(one, 1), "repaired")


def scaled_to(replicas: int):  # type: ignore[no-untyped-def]
    def changed(obj: Object) -> Object:
        obj["spec"]["replicas"] = replicas
        return obj

    return changed


async def test_whoever_ends_gives_its_share_back_at_once(workers: tuple[Lab, Lab]) -> None:
    one, other = workers
    await one.create(one.policy("policy", *MEMBERS))
    await one.create(one.deployment())
    await one.until(lambda: applied(one, 2))
    await worker_of(one).stop()
    leases = {lease.name: lease.holder for lease in await one.store.leases().held()}
    assert worker_of(one).leader.identity not in leases.values(), "nobody has to wait until a lease is over"
    await eventually(lambda: connected(other) == list(MEMBERS), "the other one has all")
    assert held(other) == set(range(SHARDS))
    assert connected(one) == []
    await other.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await other.until(lambda: applied(other, 3) and reported(other, 3 * len(MEMBERS)))
    assert not [event for name in MEMBERS for event in other.events("Cluster", name) if event[1] == "WorkerDied"]


async def test_who_leads_need_not_have_a_member(workers: tuple[Lab, Lab]) -> None:
    one, other = workers
    await has_no_members(one)
    await eventually(lambda: connected(other) == list(MEMBERS), "the other one has all")
    await one.create(one.policy("policy", *MEMBERS))
    await one.create(one.deployment())
    await one.until(lambda: applied(one, 2) and reported(one, 2 * len(MEMBERS)))
    # a template that goes takes its copies along, and a Cluster that goes its Works
    await one.delete("Cluster", "m1")
    await one.until(lambda: not one.get("Cluster", "m1") and not one.get("Namespace", "karmada-es-m1"))
    await one.delete("Deployment", "web")
    await one.until(lambda: one.in_clusters("Deployment", "web") in ([], ["m1"]))
    await eventually(lambda: connected(other) == list(MEMBERS[1:]), "nobody is connected to what left")


async def test_nobody_writes_what_is_anothers(workers: tuple[Lab, Lab]) -> None:
    one, other = workers
    [theirs, *_] = connected(other)
    mine = connected(one)[0]
    for lab, cluster in ((one, theirs), (other, mine)):
        found = worker_of(lab).shards
        assert found is not None
        fence = found.registry(cluster).transactions.fence
        assert fence is not None
        with pytest.raises(LeaseLost):
            fence()
    connection = one.controllers.member_manager.get(mine)
    assert connection is not None
    await has_no_members(one)
    with pytest.raises(LeaseLost):
        await connection.client.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "late"}})


async def test_who_does_not_share_has_all_while_it_leads(workers: tuple[Lab, Lab]) -> None:
    """A version that does not know of sharing, before or after this one."""
    one, other = workers
    for lab in workers:
        await worker_of(lab).leader.stop()
    leases = one.store.leases()
    assert await leases.acquire(shards.CONTROLLERS, "host_place_1_1_abc", 3600) is not None
    await eventually(lambda: not any((*held(one), *held(other), *connected(one), *connected(other))), "both have none")
    await leases.release([shards.CONTROLLERS], "host_place_1_1_abc")
    await eventually(lambda: sorted(connected(one) + connected(other)) == list(MEMBERS), "shared out again")


async def test_a_share_that_was_lost_is_worked_on_no_more(workers: tuple[Lab, Lab]) -> None:
    """Its row names another process: whatever happened, the row is right."""
    one, other = workers
    [theirs, *_] = connected(other)
    lease = f"members/{shard_of(theirs)}"
    database = one.database.leases
    before = database[lease]
    database[lease] = before._replace(token=before.token + 1)
    await eventually(
        lambda: held_under(other, theirs) == before.token + 1, "it began anew, under the lease that counts"
    )
    await eventually(lambda: theirs in connected(other))


def held_under(lab: Lab, cluster: str) -> int:
    found = worker_of(lab).shards
    assert found is not None
    lease = found.leases.get(shard_of(cluster))
    return lease.token if lease is not None else 0


async def test_autoscalers_see_the_pods_of_members_that_another_has() -> None:
    async with contextlib.AsyncExitStack() as stack:
        one = await Lab(worker=True).start()
        stack.push_async_callback(one.close)
        await one.join("m1", "m2")
        other = await Lab(like=one).start()
        stack.push_async_callback(other.close)
        await has_no_members(one)
        await eventually(lambda: len(held(other)) == SHARDS, "the other one has all")
        scaled = Scaled(one)
        await scaled.deployed()
        scaled.cpu = "200m"
        await one.create(autoscaler())
        await one.until(lambda: scaled.replicas() == 8, "twice as many as there were")


async def test_search_follows_members_that_another_has(workers: tuple[Lab, Lab]) -> None:
    one, other = workers
    spec = {"targetCluster": {}, "resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]}
    head = {"apiVersion": "search.karmada.io/v1alpha1", "kind": "ResourceRegistry", "metadata": {"name": "maps"}}
    await one.create({**head, "spec": spec})
    await one.until(lambda: one.is_true(one.get("ResourceRegistry", "maps"), "Cached"), "all are followed")
    cached = {each.cluster for each in await one.store.search.resources()}
    assert cached == set(MEMBERS)
    await has_no_members(one)  # what it had, too
    await eventually(lambda: connected(other) == list(MEMBERS))
    await one.until(lambda: one.is_true(one.get("ResourceRegistry", "maps"), "Cached"), "all are followed again")


async def test_a_work_outside_of_every_cluster_harms_nobody(workers: tuple[Lab, Lab]) -> None:
    """Users may make one, and delete it: its namespace is no cluster's."""
    one, other = workers
    work = {
        "apiVersion": "work.karmada.io/v1alpha1",
        "kind": "Work",
        "metadata": {"name": "odd", "namespace": "default", "finalizers": ["example.org/kept"]},
        "spec": {"workload": {"manifests": []}},
    }
    await one.create(work)
    await one.delete("Work", "odd")
    await one.until(lambda: one.get("Work", "odd")["metadata"].get("deletionTimestamp"))
    await has_no_members(one)
    await eventually(lambda: connected(other) == list(MEMBERS))
    for lab in workers:
        assert lab.get("Work", "odd")
