"""One of the workers leads; when it dies in the middle of its work the other one takes over and finishes it."""

from __future__ import annotations

import asyncio
import itertools
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.waiting import eventually

from .processes import ControlPlane, Serve

pytestmark = pytest.mark.asyncio(loop_scope="package")
OBJECTS = 150
TEMPLATES = 30
LED, ENDED = "leading", "not leading any more"
UNREGISTERED = "not registered as a worker any more"


def leads(worker: Serve) -> bool:
    said = [line["event"] for line in worker.lines() if line["event"] in (LED, ENDED, "ready")]
    return worker.alive and said[-1:] == [LED]


def leader_and_other(plane: ControlPlane) -> tuple[Serve, Serve]:
    first, second = plane.workers
    return (first, second) if leads(first) else (second, first)


async def one_leads(plane: ControlPlane) -> tuple[Serve, Serve]:
    await eventually(lambda: any(map(leads, plane.workers)), "a leader")
    assert sum(map(leads, plane.workers)) == 1
    return leader_and_other(plane)


async def lease(plane: ControlPlane) -> tuple[str, int]:
    [row] = await plane.sql("SELECT holder, token FROM leases WHERE name = 'controllers'")
    return row["holder"], row["token"]


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


def policy(name: str) -> dict[str, Any]:
    selector = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": name},
        "spec": {"resourceSelectors": [selector], "placement": {}},
    }


async def fill(plane: ControlPlane) -> None:
    """Work for three controllers: a namespace that ends, dependents of an owner that is gone, templates with policies."""
    for name in ("emptied", "orphans", "templates"):
        await plane.make_namespace(name)
    owner = await plane.api[0].request("POST", "/api/v1/namespaces/orphans/configmaps", {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.body["metadata"]["uid"]}
    servers = itertools.cycle(plane.api)

    async def create(path: str, body: dict[str, Any]) -> None:
        answer = await next(servers).request("POST", path, body)
        assert answer.status == 201, answer

    for number in range(0, OBJECTS, 25):
        work = []
        for i in range(number, number + 25):
            work.append(create("/api/v1/namespaces/emptied/configmaps", {"metadata": {"name": f"c{i}"}}))
            owned = {"metadata": {"name": f"c{i}", "ownerReferences": [reference]}}
            work.append(create("/api/v1/namespaces/orphans/configmaps", owned))
        await asyncio.gather(*work)


async def ask(plane: ControlPlane, first: int, last: int, *paths: str, space: str = "templates") -> None:
    """Deletes ``paths`` and creates templates with their policies, all at once and through both processes."""
    one, other = plane.api
    policies = f"/apis/policy.karmada.io/v1alpha1/namespaces/{space}/propagationpolicies"
    work = [one.request("DELETE", path) for path in paths]
    for i in range(first, last):
        work.append(one.request("POST", f"/apis/apps/v1/namespaces/{space}/deployments", deployment(f"d{i}")))
        work.append(other.request("POST", policies, policy(f"d{i}")))
    for answer in await asyncio.gather(*work):
        assert answer.status in (200, 201), answer


async def finished(plane: ControlPlane) -> bool:
    api = plane.api[0]
    bindings = "/apis/work.karmada.io/v1alpha2/namespaces/templates/resourcebindings"
    ended, orphans, bound = await asyncio.gather(
        api.request("GET", "/api/v1/namespaces/emptied"),
        api.request("GET", "/api/v1/namespaces/orphans/configmaps"),
        api.request("GET", bindings),
    )
    names = sorted(item["metadata"]["name"] for item in bound.body["items"])
    done = (ended.status, len(orphans.body["items"]), len(names)) == (404, 0, TEMPLATES)
    assert not done or names == sorted(f"d{i}-deployment" for i in range(TEMPLATES))
    return done


async def check_single_writes(plane: ControlPlane) -> None:
    """Nothing was done twice: each object was created and deleted once, though two processes worked on it."""
    rows, objects = await plane.log()
    assert not [found.key for found in objects if found.key.namespace == "emptied"]
    deleted = [row.key for row in rows if row.deleted and row.key.namespace in ("emptied", "orphans")]
    assert len(deleted) == len(set(deleted)) >= 2 * OBJECTS + 1
    created = [row.key for row in rows if row.key.namespace == "templates" and not row.previous]
    assert len(created) == len(set(created))


async def test_the_other_worker_finishes_what_a_killed_leader_began(plane: ControlPlane) -> None:
    leader, other = await one_leads(plane)
    holder, token = await lease(plane)
    assert f"_{leader.pid}_" in holder
    await fill(plane)
    await ask(plane, 0, 15, "/api/v1/namespaces/emptied")
    killed = datetime.now(UTC)
    leader.kill()  # somewhere in the middle of this
    await ask(plane, 15, TEMPLATES, "/api/v1/namespaces/orphans/configmaps/owner")
    await eventually(lambda: leads(other), "the other leads")
    began = [line["timestamp"] for line in other.lines() if line["event"] == LED][-1]
    assert datetime.fromisoformat(began) >= killed, "two led at the same time"
    taken, next_token = await lease(plane)
    assert f"_{other.pid}_" in taken
    assert next_token == token + 1, "somebody else held the lease in between"
    await eventually(lambda: finished(plane), "the work")
    await check_single_writes(plane)
    # the one that comes back stands by
    leader.launch()
    await leader.ready()
    await asyncio.sleep(3)  # it asks for the lease every 2 s
    assert [leads(leader), leads(other)] == [False, True]
    assert (await lease(plane))[1] == next_token


async def test_a_leader_that_is_asked_to_end_hands_over_at_once(plane: ControlPlane) -> None:
    leader, other = await one_leads(plane)
    leader.signal(signal.SIGTERM)
    await eventually(lambda: not leader.alive, "its end")
    said = [line["event"] for line in leader.lines()]
    assert said[-1] == UNREGISTERED, "in order, to the last word"
    assert ENDED in said[-said[::-1].index(LED) :]
    still = "SELECT FROM leases WHERE name = 'controllers' AND holder LIKE $1 AND expires > clock_timestamp()"
    assert not await plane.sql(still, f"%\\_{leader.pid}\\_%"), "nobody has to wait until its lease is over"
    await eventually(lambda: leads(other), "the other leads")


async def writer_of(plane: ControlPlane, binding: str) -> int:
    """Which process created it: only controllers create bindings."""
    return (await plane.sql("SELECT writer FROM log WHERE name = $1 ORDER BY revision LIMIT 1", binding))[0]["writer"]


@pytest.mark.long
async def test_a_leader_that_was_stopped_gives_up_when_it_goes_on(plane: ControlPlane) -> None:
    """It was stopped in the middle of its work. What the other took over it does not touch again."""
    leader, other = await one_leads(plane)
    _, token = await lease(plane)
    await plane.make_namespace("stopped-leader")
    bindings = "/apis/work.karmada.io/v1alpha2/namespaces/stopped-leader/resourcebindings"

    async def bound(number: int) -> bool:
        return len((await plane.api[0].request("GET", bindings)).body["items"]) >= number

    await ask(plane, 0, 60, space="stopped-leader")
    await eventually(lambda: bound(1), "it works")
    leader.signal(signal.SIGSTOP)
    try:
        await eventually(lambda: leads(other), "the other leads")
        await ask(plane, 60, 70, space="stopped-leader")
        await eventually(lambda: bound(70), "the other has finished")
    finally:
        leader.signal(signal.SIGCONT)
    await eventually(lambda: not leads(leader), "it gave up")
    assert leads(other)
    assert (await lease(plane))[1] == token + 1
    before, after = await writer_of(plane, "d0-deployment"), await writer_of(plane, "d69-deployment")
    [turn] = await plane.sql("SELECT min(revision) FROM log WHERE writer = $1 AND namespace = 'stopped-leader'", after)
    late = await plane.sql("SELECT name FROM log WHERE writer = $1 AND revision > $2", before, turn["min"])
    assert before != after
    assert late == []


@pytest.mark.long
async def test_a_leader_without_database_ends_its_work_before_another_may_begin(plane: ControlPlane) -> None:
    """The database is frozen for longer than a lease: the leader stops by its own clock, then one of them leads again."""
    leader, _ = await one_leads(plane)
    _, token = await lease(plane)
    [row] = await plane.sql("SELECT expires FROM leases WHERE name = 'controllers'")
    plane.signal_database(signal.SIGSTOP)
    try:
        await eventually(lambda: not leads(leader), "it gave up")
    finally:
        plane.signal_database(signal.SIGCONT)
    ended = [line["timestamp"] for line in leader.lines() if line["event"] == ENDED][-1]
    assert datetime.fromisoformat(ended) < row["expires"], "it worked on after its lease had ended"
    await eventually(lambda: any(map(leads, plane.workers)), "a leader")
    await asyncio.sleep(3)
    assert sum(map(leads, plane.workers)) == 1
    assert (await lease(plane))[1] >= token
