from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import orjson
from structlog.testing import capture_logs

from kafila.members.client import MemberClient
from kafila.members.informer import Change, Informer
from kafila.members.transport import ASGITransport


class Member:
    """Serves one list, then keeps watches open."""

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if b"watch=true" in scope["query_string"]:
            await asyncio.Event().wait()
        item = {"metadata": {"namespace": "ns", "name": "web", "uid": "u", "resourceVersion": "3", "managedFields": []}}
        page = {
            "kind": "DeploymentList",
            "apiVersion": "apps/v1",
            "metadata": {"resourceVersion": "3"},
            "items": [item],
        }
        await send({"type": "http.response.body", "body": orjson.dumps(page)})


async def test_an_informer_outlives_faults_of_its_listener() -> None:
    calls = 0
    done = asyncio.Event()

    def listener(change: Change) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("fault")
        done.set()

    client = MemberClient("m", transport=ASGITransport(Member()))
    informer = Informer(client, "/x", listener, jitter=lambda: 0.0)
    task = asyncio.create_task(informer.run())
    with capture_logs() as logs:
        await asyncio.wait_for(done.wait(), 90)
    assert [(line["event"], line["member"]) for line in logs] == [("informer stumbled", "m")]
    task.cancel()


class Restored:
    """A member that is cut off, away for two tries, and back with an older state. It is silent to watches from the future."""

    def __init__(self) -> None:
        self.version, self.objects = 100, {"kept": 10, "changed": 90, "new": 95}
        self.away = 0
        self.cut = asyncio.Event()
        self.watched: list[str] = []

    def restore(self) -> None:
        self.version, self.objects = 50, {"kept": 10, "changed": 40, "old": 45}
        self.away = 2
        self.cut.set()

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if self.away:
            self.away -= 1
            raise ConnectionRefusedError
        query = dict(parse_qsl(scope["query_string"].decode()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if "watch" in query:
            self.watched.append(query["resourceVersion"])
            await self.cut.wait()
            self.cut.clear()
            raise ConnectionResetError
        items = [
            {"metadata": {"namespace": "ns", "name": name, "uid": name, "resourceVersion": str(version)}}
            for name, version in self.objects.items()
        ]
        page = {"metadata": {"resourceVersion": str(self.version)}, "items": items}
        await send({"type": "http.response.body", "body": orjson.dumps(page)})


async def test_a_member_that_was_away_may_be_back_with_an_older_state() -> None:
    member = Restored()
    client = MemberClient("m", transport=ASGITransport(member))
    changes: asyncio.Queue[Change] = asyncio.Queue()
    lists: list[int] = []
    informer = Informer(
        client, "/x", changes.put_nowait, jitter=lambda: 0.0, on_relist=lambda: lists.append(len(informer))
    )
    task = asyncio.create_task(informer.run())
    for _ in range(3):
        await asyncio.wait_for(changes.get(), 90)
    while not member.watched:
        await asyncio.sleep(0)
    member.restore()
    with capture_logs() as logs:
        told = [await asyncio.wait_for(changes.get(), 90) for _ in range(3)]
    before_and_after = {
        change.name.name: tuple(seen and seen.resource_version for seen in change[1:]) for change in told
    }
    assert before_and_after == {"changed": ("90", "40"), "old": (None, "45"), "new": ("95", None)}
    while len(member.watched) < 2:
        await asyncio.sleep(0)
    assert member.watched == ["100", "50"]
    assert set(lists) == {3}  # before anything of the new list was told
    assert [(line["event"], line["before"], line["now"]) for line in logs] == [
        ("resourceVersions went back", "100", "50")
    ]
    task.cancel()


async def test_a_cut_is_no_absence() -> None:
    """It goes on where it was: a list of everything is not needed each time a proxy cuts a quiet stream."""
    member = Restored()
    client = MemberClient("m", transport=ASGITransport(member))
    informer = Informer(client, "/x", lambda change: None, jitter=lambda: 0.0)
    task = asyncio.create_task(informer.run())
    while not member.watched:
        await asyncio.sleep(0)
    member.cut.set()
    while len(member.watched) < 2:
        await asyncio.sleep(0.01)
    assert member.watched == ["100", "100"]
    task.cancel()
