"""What an agent keeps of the control plane, and what becomes of it when something fails."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from kafila.agent import mirror
from kafila.agent.mirror import Followed, Mirror
from kafila.agent.session import AgentOptions, Session
from kafila.catalog.catalog import load_catalog
from kafila.core.values import Object
from kafila.members.client import MemberClient
from kafila.members.transport import TLS, ASGITransport
from kafila.settings.federation import FederationOptions
from kafila.watch import Event

SERVICES = "services"


class Plane:
    """Has Services, whose watch says what is told to it; or answers nothing at all."""

    def __init__(self) -> None:
        self.silent = False
        self.told: asyncio.Queue[Object] = asyncio.Queue()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self.silent:
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if b"watch=true" in scope["query_string"]:
            while True:
                event = {"type": "MODIFIED", "object": await self.told.get()}
                await send({"type": "http.response.body", "body": orjson.dumps(event) + b"\n", "more_body": True})
        page = {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [service(1)]}
        await send({"type": "http.response.body", "body": orjson.dumps(page)})


def service(version: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": "web", "uid": "u", "resourceVersion": str(version)},
        "spec": {"ports": [{"port": version, "protocol": "TCP"}], "clusterIP": "10.0.0.1"},
    }


def made(plane: Plane) -> Mirror:
    client = MemberClient("plane", transport=ASGITransport(plane))
    return Mirror(client, load_catalog(), [Followed("", "v1", SERVICES)])


def written() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "Mirror._write" in repr(task.get_coro())]


async def test_whoever_follows_it_hears_of_a_listener_that_fails() -> None:
    plane = Plane()
    kept = made(plane)
    await kept.start()

    def listener(event: Event) -> None:
        raise RuntimeError("fault")

    kept.cache.listen(SERVICES, listener)
    following = asyncio.create_task(kept.follow())
    await plane.told.put(service(2))
    with pytest.raises(RuntimeError, match="fault"):
        await asyncio.wait_for(following, 30)
    await kept.stop()


async def test_it_keeps_what_there_is_and_no_history() -> None:
    plane = Plane()
    kept = made(plane)
    changed = asyncio.Event()
    await kept.start()
    kept.cache.listen(SERVICES, lambda event: changed.set())
    for version in range(2, 7):
        changed.clear()
        await plane.told.put(service(version))
        await asyncio.wait_for(changed.wait(), 30)
    entry = kept.cache.get(SERVICES, "shop", "web")
    assert entry is not None
    assert entry.decode()["spec"]["ports"] == [{"port": 6, "protocol": "TCP"}]
    assert kept._store.database.log == []
    assert kept.cache.resource(SERVICES).events == []
    await kept.stop()


async def test_a_session_that_is_ended_before_it_has_begun_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plane = Plane()
    plane.silent = True

    async def registered(session: Session) -> Object:
        return {}

    monkeypatch.setattr(Session, "_register", registered)
    monkeypatch.setattr(mirror, "PATIENCE", 0.1)
    client = MemberClient("plane", transport=ASGITransport(plane))
    options = AgentOptions("edge", "https://edge")
    session = Session(client, client, TLS(), options, FederationOptions(), lambda *pair: "")
    running = asyncio.create_task(session.run())
    async with asyncio.timeout(30):
        while not written():
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert written() == []
