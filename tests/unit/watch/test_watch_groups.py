"""Watchers that are served together see what they would see alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import final

from hypothesis import given, settings
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.store.interface import Transaction, Write
from kafila.store.memory import MemoryStore
from kafila.watch import Cache, Groups, Watcher
from kafila.watch import groups as module
from kafila.watch.watcher import Change, Matches


def line(change: Change) -> bytes:
    return b"%s %d\n" % (change.type.encode(), change.entry.revision)


@final
class World:
    """Things, and clients that watch them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.cache = Cache(self.store)
        self.encoded = 0

    async def open(self) -> World:
        await self.store.open()
        await self.cache.load()
        self.groups = Groups(self.cache)
        return self

    async def write(self, name: str, color: str = "on") -> None:
        body = b'{"metadata":{"name":"%b","labels":{"color":"%b"}}}' % (name.encode(), color.encode())
        await self.store.commit(Transaction([], [Write(Key("things", "", name), body, name)]))

    def encode(self, changes: list[Change]) -> tuple[bytes, int]:
        first = changes[:3]  # never more at once
        self.encoded += 1
        return b"".join(line(change) for change in first), len(first)

    def client(self, takes: Callable[[], bool] = lambda: True, matches: Matches | None = None) -> Client:
        return Client(self, takes, matches)


@final
class Client:
    def __init__(self, world: World, takes: Callable[[], bool], matches: Matches | None) -> None:
        self.got = b""
        self.pushes = 0
        self._world = world
        self._takes = takes
        self._watcher = Watcher(world.cache, "things", world.cache.revision, matches=matches)
        self._matches = matches
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        world = self._world
        with self._watcher:
            while True:
                await world.groups.serve(self._matches, self._watcher, self._push, world.encode, 60)
                for change in await self._watcher.changes(60):
                    self.got += line(change)
                    await asyncio.sleep(0)

    def _push(self, data: bytes) -> bool:
        if not self._takes():
            return False
        self.pushes += 1
        self.got += data
        return True

    async def has(self, count: int) -> list[bytes]:
        while self.got.count(b"\n") < count:
            assert not self.task.done(), self.task.result()
            await asyncio.sleep(0)
        return self.got.splitlines()

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=30),
    refusals=st.lists(st.booleans(), max_size=20),
)
async def test_everybody_sees_everything_once_and_in_order(steps: list[tuple[str, int]], refusals: list[bool]) -> None:
    world = await World().open()
    said: Iterator[bool] = iter(refusals)
    fast, slow = world.client(), world.client(lambda: next(said, True))
    late = []
    first = world.cache.revision + 1
    for name, turns in steps:
        for _ in range(turns):
            await asyncio.sleep(0)
        if name == "c" and turns == 3:
            late.append((world.cache.revision + 1 - first, world.client()))
        await world.write(name)
    everything = await fast.has(len(steps))
    assert [int(found.split()[1]) for found in everything] == list(range(first, first + len(steps)))
    assert await slow.has(len(steps)) == everything
    for missed, client in late:
        assert await client.has(len(steps) - missed) == everything[missed:]
    for client in (fast, slow, *(client for _, client in late)):
        await client.leave()
    assert len(world.cache.resource("things").waiters) == 0
    assert not world.groups._groups


async def test_what_is_alike_is_encoded_once() -> None:
    world = await World().open()
    clients = [world.client() for _ in range(20)]
    await asyncio.sleep(0)
    await world.write("a")
    for client in clients:
        await client.has(1)
    assert world.encoded == 1
    assert [client.pushes for client in clients] == [1] * 20
    for client in clients:
        await client.leave()


async def test_other_selections_are_other_groups_and_full_ones_get_neighbours() -> None:
    world = await World().open()
    everything = [world.client() for _ in range(module.CAPACITY + 1)]
    blue = world.client(matches=lambda entry: (entry.meta.labels or {}).get("color") == "blue")
    await asyncio.sleep(0)
    assert sorted(len(group) for alike in world.groups._groups.values() for group in alike) == [1, 1, module.CAPACITY]
    await world.write("a", "on")
    await world.write("a", "blue")
    for client in everything:
        assert await client.has(2) == [b"ADDED 2", b"MODIFIED 3"]
    assert await blue.has(1) == [b"ADDED 3"]
    for client in (*everything, blue):
        await client.leave()


async def test_who_cannot_be_encoded_for_finds_out_alone() -> None:
    world = await World().open()

    def fails(changes: list[Change]) -> tuple[bytes, int]:
        raise ValueError("no")

    world.encode = fails  # type: ignore[method-assign]
    client = world.client()
    await asyncio.sleep(0)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    await world.write("a")
    assert await client.has(1) == [b"ADDED 2"]
    assert client.pushes == 0
    await client.leave()
