"""Two workers share the members out; one that is killed, stopped or asked to end leaves them to the other one."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from kafila.catalog.catalog import load_catalog
from kafila.workers.sharing import SHARDS, shard_of
from tests.waiting import eventually

from .http_members import HTTPMember, joined
from .processes import ControlPlane, Serve

pytestmark = pytest.mark.asyncio(loop_scope="package")
NAMES = ("east", "west", "north", "south")
REGISTERED, ENDED = "registered as a worker", "not registered as a worker any more"
DEPLOYMENTS = "/apis/apps/v1/namespaces/shared/deployments"
HOLDERS = """SELECT substr(name, 9)::int AS shard, holder, token FROM leases WHERE name LIKE 'members/%'"""
EXPIRED = "SELECT FROM leases WHERE name LIKE $1 AND expires < clock_timestamp()"


@pytest_asyncio.fixture(loop_scope="package")
async def members(plane: ControlPlane) -> AsyncIterator[dict[str, HTTPMember]]:
    await shared_out(plane)
    async with joined(plane, load_catalog(), *NAMES) as found:
        await plane.make_namespace("shared")
        await eventually(lambda: halves(plane), "each has half of them")
        await ask(plane, "POST", DEPLOYMENTS, deployment(1), 201)
        policies = "/apis/policy.karmada.io/v1alpha1/namespaces/shared/propagationpolicies"
        await ask(plane, "POST", policies, POLICY, 201)
        await eventually(lambda: applied(found, 1), "it is everywhere")
        yield found
        await plane.whole()
        await plane.api[1].request("DELETE", "/api/v1/namespaces/shared")


POLICY = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "PropagationPolicy",
    "metadata": {"name": "web"},
    "spec": {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}], "placement": {}},
}


def deployment(replicas: int) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "web"}, "spec": spec}


async def ask(plane: ControlPlane, verb: str, path: str, body: dict[str, Any], status: int = 200) -> None:
    answer = await plane.api[1].request(verb, path, body)
    assert answer.status == status, answer


async def scale(plane: ControlPlane, replicas: int) -> None:
    await ask(plane, "PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": replicas}})


def applied(members: dict[str, HTTPMember], replicas: int) -> bool:
    for member in members.values():
        registry = member.cluster.registry
        entry = registry.cache.get("deployments.apps", "shared", "web")
        if entry is None or entry.decode()["spec"]["replicas"] != replicas:
            return False
    return True


async def holders(plane: ControlPlane) -> dict[int, int]:
    """The process number that has each shard."""
    return {row["shard"]: int(row["holder"].split("_")[-3]) for row in await plane.sql(HOLDERS) if row["holder"]}


async def shared_out(plane: ControlPlane) -> None:
    async def among_both() -> bool:
        found = await holders(plane)
        return len(found) == SHARDS and set(found.values()) == {worker.pid for worker in plane.workers}

    await eventually(among_both, "both have shards")


async def halves(plane: ControlPlane) -> bool:
    found = await holders(plane)
    return sorted(found.get(shard_of(name), 0) for name in NAMES) == sorted(
        2 * [worker.pid for worker in plane.workers]
    )


async def has_all(plane: ControlPlane, worker: Serve) -> bool:
    return await holders(plane) == dict.fromkeys(range(SHARDS), worker.pid)


async def of(plane: ControlPlane, worker: Serve) -> list[str]:
    found = await holders(plane)
    return [name for name in NAMES if found[shard_of(name)] == worker.pid]


def writers(members: Iterable[HTTPMember], since: datetime) -> set[int]:
    return {write.pid for member in members for write in member.writes if write.at >= since}


def when(worker: Serve, event: str) -> datetime:
    """The last time that it said so."""
    return datetime.fromisoformat([line["timestamp"] for line in worker.lines() if line["event"] == event][-1])


async def test_both_write_to_their_own_members_and_a_killed_one_leaves_its_own_to_the_other(
    plane: ControlPlane, members: dict[str, HTTPMember]
) -> None:
    killed, other = plane.workers
    theirs = await of(plane, killed)
    began = datetime.now(UTC)
    await scale(plane, 2)
    await eventually(lambda: applied(members, 2), "it is everywhere")
    for name, member in members.items():
        assert writers([member], began) == {killed.pid if name in theirs else other.pid}, name
    killed.kill()
    began = datetime.now(UTC)
    await scale(plane, 3)
    await eventually(lambda: has_all(plane, other), "the other one has all")
    await eventually(lambda: applied(members, 3), "it is everywhere")
    assert writers(members.values(), began) == {other.pid}
    for name in NAMES:
        about = f"involvedObject.name={name},reason=WorkerDied"
        events = await plane.api[1].request("GET", "/api/v1/namespaces/default/events", fieldSelector=about)
        texts = [event["message"] for event in events.body["items"]]
        assert [f"process {killed.pid} on " in text for text in texts] == [True] * (name in theirs), texts


async def test_a_worker_that_is_asked_to_end_gives_its_members_back_at_once(
    plane: ControlPlane, members: dict[str, HTTPMember]
) -> None:
    ended, other = plane.workers
    ended.signal(signal.SIGTERM)
    await eventually(lambda: not ended.alive, "its end")
    assert ended.pid not in (await holders(plane)).values(), "nobody has to wait until its registration is over"
    began = datetime.now(UTC)
    await eventually(lambda: has_all(plane, other), "the other one has all")
    await scale(plane, 2)
    await eventually(lambda: applied(members, 2), "it is everywhere")
    assert writers(members.values(), began) == {other.pid}
    # one that comes back gets its share
    ended.launch()
    await ended.ready()
    for member in members.values():
        member.watched_by([ended.pid, other.pid])
    await shared_out(plane)
    await eventually(lambda: halves(plane), "each has half of them")


@pytest.mark.long
async def test_a_worker_that_was_stopped_writes_nothing_of_what_the_other_has_by_then(
    plane: ControlPlane, members: dict[str, HTTPMember]
) -> None:
    """It goes on in the middle of a write; the other one took over once its registration had ended, and not before."""
    stopped, other = plane.workers
    theirs = await of(plane, stopped)
    held = members[theirs[0]]
    held.hold()
    await scale(plane, 2)
    await held.held.wait()
    stopped.signal(signal.SIGSTOP)
    froze = datetime.now(UTC)
    try:
        await eventually(lambda: has_all(plane, other), "the other one has all")
        taken_over = when(other, "member clusters shared out")
        assert await plane.sql(EXPIRED, f"workers/%\\_{stopped.pid}\\_%")
        await scale(plane, 3)
        await eventually(lambda: applied(members, 3), "it is everywhere")
        spaces = [f"karmada-es-{name}" for name in theirs]
        meanwhile = "SELECT DISTINCT writer FROM log WHERE namespace = ANY($1) AND at > $2 AND at < $3"
        resumed = datetime.now(UTC)
        awake = {row["writer"] for row in await plane.sql(meanwhile, spaces, taken_over, resumed)}
        assert awake, "the other one reports"
    finally:
        held.release()
        resumed = datetime.now(UTC)
        stopped.signal(signal.SIGCONT)
    await eventually(lambda: when(stopped, REGISTERED) > froze, "it is registered anew")
    again = when(stopped, REGISTERED)
    assert resumed < when(stopped, ENDED) < again
    late = [write for member in members.values() for write in member.writes if write.pid == stopped.pid]
    offsets = [((write.at - froze).total_seconds(), (write.at - resumed).total_seconds(), write.what) for write in late]
    # what lay in a socket when it was stopped was sent while it still had the member
    assert [write for write in late if taken_over < write.at < again] == [], offsets
    assert {row["writer"] for row in await plane.sql(meanwhile, spaces, resumed, again)} <= awake
    await eventually(lambda: halves(plane), "it has a share again")
    assert applied(members, 3)
