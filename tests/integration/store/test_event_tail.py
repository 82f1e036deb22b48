"""Events as rows for `kafila sql`: they come, change, are deleted and end as they do for watchers."""

from __future__ import annotations

import pytest

from kafila.core.resources import Key
from kafila.reconcile.karmada.sql_views.events import EventTail
from kafila.reconcile.karmada.sql_views.writer import Writer
from kafila.store.interface import EVENTS, Compacted, EventRows, Store, Transaction, Write

from .conftest import Subscriber
from .test_store_events import end_all


def written(name: str, count: int = 1) -> Write:
    body = b'{"metadata":{"name":"%b","namespace":"a"},"reason":"R","count":%d}' % (name.encode(), count)
    return Write(Key(EVENTS, "a", name), body)


async def commit(store: Store, *writes: Write) -> None:
    await store.commit(Transaction([], writes))


async def shown(store: Store, tail: EventTail) -> list[str]:
    await tail.follow(await store.head())
    return [name for _, name in await store.fleet.known_events(("", ""))]


async def started(store: Store) -> EventTail:
    await Subscriber(store).begin()
    writer = Writer(store.fleet)
    progress = await writer.take_over("")
    tail = EventTail(store, writer)
    tail.begin(progress.events)
    return tail


async def test_events_come_and_go(store: Store) -> None:
    tail = await started(store)
    await commit(store, written("x"), written("y"), written("z"))
    assert await shown(store, tail) == ["x", "y", "z"]  # all that there are
    await commit(store, written("w"), written("x", 2), Write(Key(EVENTS, "a", "y"), None))
    assert await shown(store, tail) == ["w", "x", "z"]
    await end_all(store)
    assert await shown(store, tail) == []
    await commit(store, written("z"))
    assert await shown(store, tail) == ["z"]


async def test_what_happened_meanwhile_is_read_from_where_it_was(store: Store) -> None:
    tail = await started(store)
    await commit(store, written("x"))
    assert await shown(store, tail) == ["x"]
    await commit(store, Write(Key(EVENTS, "a", "x"), None), written("y"))
    assert await shown(store, await started(store)) == ["y"]


async def test_what_is_too_old_is_read_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tail = await started(store)
    await commit(store, written("x"), written("y"))
    assert await shown(store, tail) == ["x", "y"]
    await commit(store, Write(Key(EVENTS, "a", "x"), None), written("z"))

    async def compacted(after: int) -> EventRows:
        raise Compacted(after, after + 1)

    monkeypatch.setattr(store, "read_events", compacted)
    assert await shown(store, tail) == ["y", "z"]
