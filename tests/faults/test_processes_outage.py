"""The database cannot be reached: what goes on, what is refused, what nobody can know, and that everything recovers by itself."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.waiting import PATIENCE, eventually

from .process_load import Load, Watch
from .processes import Answer, ControlPlane, Serve

pytestmark = pytest.mark.asyncio(loop_scope="package")


def config_map(name: str, text: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"text": text}}


async def is_ready(server: Serve) -> bool:
    return (await server.request("GET", "/readyz")).status == 200


async def timed(answer: Any) -> tuple[Answer, float]:
    loop = asyncio.get_running_loop()
    start = loop.time()
    return await answer, loop.time() - start


async def test_one_process_loses_the_database(plane: ControlPlane) -> None:
    away, other = plane.api
    await plane.make_namespace("away")
    path = "/api/v1/namespaces/away/configmaps"
    first = await away.request("POST", path, config_map("first", "1"))
    known = first.body["metadata"]["resourceVersion"]
    watch = Watch([away], path)
    async with watch:
        await eventually(lambda: watch.started > 0, "the list")

        # the commit is on its way when the connection ends, and nobody is there to be asked what became of it
        plane.proxy.arm(b"precious", "answer")
        unknown = asyncio.create_task(away.request("POST", path, config_map("precious", "precious")))
        await asyncio.wait_for(plane.proxy.struck.wait(), PATIENCE)
        plane.proxy.refusing = True
        plane.proxy.cut()

        # what is known is served, also at a revision that is known
        for query in ({"resourceVersion": "0"}, {"resourceVersion": known}):
            answer = await away.request("GET", path, **query)
            assert answer.status == 200, answer
            assert [item["metadata"]["name"] for item in answer.body["items"]][:1] == ["first"]
        assert (await away.request("GET", f"{path}/first", resourceVersion="0")).status == 200

        # what asks for the newest state, and what was never sent, may be repeated; both wait a moment for the database first
        reads = [away.request("GET", path), away.request("GET", f"{path}/first"), away.request("GET", f"{path}/none")]
        writes = [
            away.request("POST", path, config_map("never", "never")),
            away.request("PATCH", f"{path}/first", {"data": {"text": "never"}}),
            away.request("DELETE", f"{path}/first"),
        ]
        for answer, seconds in await asyncio.gather(*(timed(each) for each in (*reads, *writes))):
            assert (answer.status, answer.body["reason"]) == (503, "ServiceUnavailable"), answer
            assert answer.retry_after == "1"
            assert seconds > 1.4
        answer = await asyncio.wait_for(unknown, PATIENCE)
        assert (answer.status, answer.body["reason"], answer.retry_after) == (504, "Timeout", None), answer

        assert (await away.request("GET", "/readyz")).status != 200
        assert (await away.request("GET", "/livez")).status == 200
        # nobody else is touched, and the running watch neither ended nor missed what happens meanwhile
        assert (await other.request("POST", path, config_map("meanwhile", "2"))).status == 201
        assert watch.reconnected == 0
        plane.proxy.heal()
        await eventually(lambda: len(watch.events) == 2, "what happened meanwhile")
        assert [(e.type, e.name) for e in watch.events] == [("ADDED", "precious"), ("ADDED", "meanwhile")]
        assert watch.reconnected == 0
        await eventually(lambda: is_ready(away), "it takes writes again")  # each connection comes back by itself
        answer = await away.request("POST", path, config_map("after", "3"))
        assert answer.status == 201, answer
        for server in plane.api:
            names = [item["metadata"]["name"] for item in (await server.request("GET", path)).body["items"]]
            assert names == ["after", "first", "meanwhile", "precious"]


async def test_every_process_loses_the_database_under_load(plane: ControlPlane) -> None:
    """Frozen, not gone: connections stay open and nothing answers. Then it is killed, and starts again."""
    async with Load(plane, "frozen") as load:
        await load.more(30, plane.api[0])
        before = plane.database.pid
        plane.signal_database(signal.SIGSTOP)
        answers = await asyncio.gather(*(server.request("GET", load.path) for server in plane.api))
        assert [answer.status for answer in answers] == [503, 503]
        for server in plane.api:
            answer = await server.request("GET", "/readyz/storage")
            assert (answer.status, "storage does not answer" in answer.body["text"]) == (500, True), answer
        answers = await asyncio.gather(*(server.request("GET", load.path, resourceVersion="0") for server in plane.api))
        assert [answer.status for answer in answers] == [200, 200]
        plane.signal_database(signal.SIGKILL)
        await eventually(lambda: plane.database.pid != before, "the next server")
        for server in plane.api:
            await load.more(30, server)


async def test_history_that_is_only_in_the_database_waits_for_it(plane: ControlPlane) -> None:
    """A process that has just started knows nothing of the past: without the database it can only ask for patience."""
    fresh, other = plane.api
    await plane.make_namespace("past")
    path = "/api/v1/namespaces/past/configmaps"
    old = (await other.request("POST", path, config_map("old", "1"))).body["metadata"]["resourceVersion"]
    assert (await other.request("PATCH", f"{path}/old", {"data": {"text": "2"}})).status == 200
    fresh.kill()
    fresh.launch()
    await fresh.ready()
    plane.proxy.refusing = True
    plane.proxy.cut()
    watch = Watch([fresh], path)
    watch.resume(int(old))
    async with watch:
        exact = {"resourceVersion": old, "resourceVersionMatch": "Exact"}
        answer = await fresh.request("GET", path, **exact)
        assert (answer.status, answer.retry_after) == (503, "1"), answer
        plane.proxy.heal()
        await eventually(lambda: len(watch.events) == 1, "the past")
        assert (watch.events[0].type, watch.events[0].text) == ("MODIFIED", "2")
        assert not watch.surprises
        answer = await fresh.request("GET", path, **exact)
        assert [item["data"]["text"] for item in answer.body["items"]] == ["1"]


async def test_a_read_does_not_notice_that_connections_were_cut(plane: ControlPlane) -> None:
    """The database is there: whatever asks it for something that changes nothing asks again, on another connection."""
    away, _ = plane.api
    await plane.make_namespace("cut")
    path, events = "/api/v1/namespaces/cut/configmaps", "/api/v1/namespaces/cut/events"
    old = (await away.request("POST", path, config_map("old", "1"))).body["metadata"]["resourceVersion"]
    assert (await away.request("PATCH", f"{path}/old", {"data": {"text": "2"}})).status == 200
    exact = {"resourceVersion": old, "resourceVersionMatch": "Exact"}
    for _ in range(5):
        # each has its connection, which is there for the next one
        await asyncio.gather(away.request("GET", events), away.request("GET", path, **exact))
        plane.proxy.cut()
        answers = await asyncio.gather(
            away.request("GET", path), away.request("GET", events), away.request("GET", path, **exact)
        )
        assert [answer.status for answer in answers] == [200, 200, 200], answers
        assert (await away.request("GET", "/readyz")).status == 200
