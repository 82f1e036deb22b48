"""Clients of the api processes that keep books, and the judge that compares the books with the log.

Writers create, patch and delete a few ConfigMaps in competition; every write carries a text of its own. Watchers hop from
process to process and resume where they were.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections import defaultdict
from typing import Any, NamedTuple, final

import aiohttp

from kafila.core.resources import Key
from kafila.store.interface import Row
from tests.waiting import eventually

from .processes import Answer, ControlPlane, Serve

NAMES = [f"c{i}" for i in range(10)]
END = "end"


class Seen(NamedTuple):
    revision: int
    type: str
    name: str
    text: str


@final
class Books:
    """What writers were told. ``unknown``: the write may have been carried out or not."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, tuple[int, str]] = {}  # text -> revision, name
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.deleted: set[str] = set()  # uids
        self.surprises: list[str] = []
        self.through: dict[Serve, int] = defaultdict(int)


@final
class Watch:
    """Follows the ConfigMaps of a namespace through one process after the other."""

    def __init__(self, servers: list[Serve], path: str) -> None:
        self._servers = itertools.cycle(servers)
        self._path = path
        self.started = 0  # revision of the list
        self.listed: dict[str, str] = {}
        self.events: list[Seen] = []
        self.relisted = -1
        self.reconnected = 0
        self.surprises: list[str] = []
        self.read: dict[int, tuple[str, str, bool]] = {}  # revision -> name, text, deleted: also what was lost later
        self._position = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watch:
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def resume(self, revision: int) -> None:
        """It need not list: it was here before."""
        self._position = self.started = revision

    async def run(self) -> None:
        while True:
            server = next(self._servers)
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                if not self._position:
                    await self._list(server)
                if self._position:
                    await self._stream(server)
            self.reconnected += 1
            await asyncio.sleep(0.05)

    async def _list(self, server: Serve) -> None:
        answer = await server.request("GET", self._path)
        if answer.status == 200:
            self._position = self.started = int(answer.body["metadata"]["resourceVersion"])
            self.listed = state_of(answer.body)
            for item in answer.body["items"]:
                self._note(item, False)
            self.relisted += 1

    async def _stream(self, server: Serve) -> None:
        query = {"watch": "1", "resourceVersion": str(self._position), "allowWatchBookmarks": "true"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with server.session.get(server.url + self._path, params=query, timeout=timeout) as stream:
            if stream.status != 200:
                if stream.status != 503:
                    self.surprises.append(f"watch answered {stream.status} {await stream.text()}")
                return
            async for line in stream.content:
                if not line.endswith(b"\n"):
                    return  # cut in the middle
                event = json.loads(line)
                obj = event["object"]
                if event["type"] == "ERROR":
                    if obj["code"] == 410:
                        self._position = 0
                    else:
                        self.surprises.append(str(obj))
                    return
                self._position = int(obj["metadata"]["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    self._note(obj, event["type"] == "DELETED")
                    self.events.append(
                        Seen(self._position, event["type"], obj["metadata"]["name"], obj["data"]["text"])
                    )

    def _note(self, obj: dict[str, Any], deleted: bool) -> None:
        revision = int(obj["metadata"]["resourceVersion"])
        content = (obj["metadata"]["name"], obj["data"]["text"], deleted)
        if self.read.setdefault(revision, content) != content:
            self.surprises.append(f"revision {revision} was {self.read[revision]} and is {content}")


def state_of(listed: dict[str, Any]) -> dict[str, str]:
    return {o["metadata"]["name"]: o["data"]["text"] for o in listed["items"]}


class Load:
    """``async with Load(plane, "ns") as load``: writers and watchers on both api processes until the end of the block, which
    is where the books are judged."""

    def __init__(self, plane: ControlPlane, namespace: str, writers: int = 4) -> None:
        self.plane = plane
        self.namespace = namespace
        self.path = f"/api/v1/namespaces/{namespace}/configmaps"
        self.books = Books()
        self.watches = [Watch(plane.api[i:] + plane.api[:i], self.path) for i in (0, 1, 0, 1)]
        self._writers = writers
        self._numbers = itertools.count()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        await self.plane.make_namespace(self.namespace)
        self._watching = [asyncio.create_task(watch.run()) for watch in self.watches]
        for number in range(self._writers):
            for server in self.plane.api:
                self._tasks.append(asyncio.create_task(self._write(server, random.Random(number))))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopping = True
        try:
            if kind is None:
                await asyncio.wait_for(asyncio.gather(*self._tasks), 90)
                await self.judge()
        finally:
            for task in (*self._tasks, *self._watching):
                task.cancel()
            await asyncio.gather(*self._tasks, *self._watching, return_exceptions=True)

    async def more(self, number: int, through: Serve) -> None:
        """Waits until so many more writes were acknowledged by one process."""
        goal = self.books.through[through] + number
        await eventually(lambda: self.books.through[through] >= goal, "more acknowledged writes")

    # Writing ----------------------------------------------------------------------------------------------------------

    async def _write(self, server: Serve, rng: random.Random) -> None:
        known: dict[str, str] = {}  # name -> resourceVersion
        while not self._stopping:
            text = f"text-{next(self._numbers)}"
            name = rng.choice(NAMES)
            what = rng.choices(["create", "patch", "patch if", "delete"], [3, 4, 2, 2])[0]
            try:
                answer = await self._one(server, what, name, text, known)
            except (aiohttp.ClientConnectorError, ConnectionRefusedError):
                self.books.refused.add(text)  # there was no connection to send it on
                await asyncio.sleep(0.1)
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.books.unknown.add(text)
            else:
                self._note(server, what, name, text, answer, known)

    async def _one(self, server: Serve, what: str, name: str, text: str, known: dict[str, str]) -> Answer:
        if what == "delete":
            return await server.request("DELETE", f"{self.path}/{name}")
        body: dict[str, Any] = {"metadata": {"name": name}, "data": {"text": text}}
        if what == "create":
            return await server.request("POST", self.path, body)
        if what == "patch if" and name in known:
            body["metadata"]["resourceVersion"] = known[name]
        return await server.request("PATCH", f"{self.path}/{name}", body)

    def _note(self, server: Serve, what: str, name: str, text: str, answer: Answer, known: dict[str, str]) -> None:
        books = self.books
        status, body = answer.status, answer.body
        if status in (200, 201):
            books.through[server] += 1
            if what == "delete":
                books.deleted.add(body["details"]["uid"])
                return
            known[name] = body["metadata"]["resourceVersion"]
            books.acknowledged[text] = (int(known[name]), name)
            if (body["metadata"]["name"], body["data"]["text"]) != (name, text):
                books.surprises.append(f"{what} {name} {text} was answered {body}")
        elif status in (404, 409) or (status == 503 and answer.retry_after):
            books.refused.add(text)
        elif status == 504 and not answer.retry_after:
            books.unknown.add(text)
        else:
            books.surprises.append(f"{what} {name} was answered {answer}")

    # Judging ----------------------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """One more object, which every watcher has seen on return."""
        end = {"metadata": {"name": END}, "data": {"text": END}}
        assert (await self.plane.api[1].request("POST", self.path, end)).status == 201
        await eventually(
            lambda: all(w.events and w.events[-1].name == END for w in self.watches), "the end in every stream"
        )

    async def judge(self) -> None:
        await self.end()
        rows, _ = await self.plane.log()
        rows = [row for row in rows if row.key.resource == "configmaps" and row.key.namespace == self.namespace]
        _check_log(rows)
        _check_books(rows, self.books)
        state: dict[str, str] = {}
        for row in rows:
            _apply(state, row)
        for watch in self.watches:
            _check_watch(rows, watch, state)
        for server in self.plane.api:
            assert state_of((await server.request("GET", self.path)).body) == state, "a list is not the log's state"


def _text(row: Row) -> str:
    return json.loads(row.body)["data"]["text"]


def _type(row: Row) -> str:
    return "DELETED" if row.deleted else "MODIFIED" if row.previous else "ADDED"


def _apply(state: dict[str, str], row: Row) -> None:
    if row.deleted:
        del state[row.key.name]
    else:
        state[row.key.name] = _text(row)


def _check_log(rows: list[Row]) -> None:
    last: dict[Key, Row] = {}
    for row in rows:
        before = last.get(row.key)
        assert row.previous == (before.revision if before and not before.deleted else 0), "an update was lost"
        last[row.key] = row
    assert sorted(r.revision for r in rows) == [r.revision for r in rows]


def _check_books(rows: list[Row], books: Books) -> None:
    assert not books.surprises, books.surprises[:5]
    written = [_text(row) for row in rows if not row.deleted]
    assert len(written) == len(set(written)), "a write was carried out twice"
    log = {_text(row): (row.revision, row.key.name) for row in rows if not row.deleted}
    for text, told in books.acknowledged.items():
        assert log.get(text) == told, f"{text} was acknowledged as {told}, the log has {log.get(text)}"
    assert not books.refused & log.keys(), "a refused write was carried out"
    known = books.acknowledged.keys() | books.unknown | {END}
    assert log.keys() <= known, "a write came from nowhere"
    gone = [json.loads(row.body)["metadata"]["uid"] for row in rows if row.deleted]
    assert len(gone) == len(set(gone)), "a deletion was carried out twice"
    assert books.deleted <= set(gone), "an acknowledged deletion is not in the log"


def _check_watch(rows: list[Row], watch: Watch, state: dict[str, str]) -> None:
    assert not watch.surprises, watch.surprises[:5]
    assert watch.relisted == 0, "a watcher had to list again"
    expected = [Seen(r.revision, _type(r), r.key.name, _text(r)) for r in rows if r.revision > watch.started]
    for told, found in itertools.zip_longest(watch.events, expected):
        assert told == found, f"the watcher was told {told}, the log has {found}"
    replayed = dict(watch.listed)
    for event in watch.events:
        if event.type == "DELETED":
            del replayed[event.name]
        else:
            replayed[event.name] = event.text
    assert replayed == state
