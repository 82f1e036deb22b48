"""Whatever is written, a watcher that starts anywhere ends with the truth."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.store.interface import LogPage, Transaction, Write
from kafila.store.memory import MemoryStore
from kafila.watch import Cache, Entry, Watcher
from kafila.watch.entry import with_revision

NAMES = [("a", "x"), ("a", "y"), ("a-b", "x"), ("b", "x")]
WRITES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["on", "off", None])), min_size=1, max_size=30)


def key(where: tuple[str, str]) -> Key:
    return Key("things", *where)


def body(where: tuple[str, str], color: str, number: int) -> bytes:
    metadata = {"name": where[1], "namespace": where[0], "labels": {"color": color}}
    return orjson.dumps({"metadata": metadata, "number": number})


async def write(store: MemoryStore, cache: Cache, changes: list[tuple[tuple[str, str], str | None]]) -> list[int]:
    revisions = []
    for number, (where, color) in enumerate(changes):
        if color is None and cache.get("things", *where) is None:
            continue
        change = Write(key(where), None if color is None else body(where, color, number))
        revisions += await store.commit(Transaction([], [change]))
    return revisions


def state(cache: Cache) -> dict[tuple[str, str], bytes]:
    return {(e.key.namespace, e.key.name): e.body for e in cache.resource("things").entries()}


def is_on(entry: Entry) -> bool:
    return (entry.meta.labels or {}).get("color") == "on"


@settings(max_examples=80, deadline=None)
@given(
    before=WRITES, after=WRITES, selects=st.booleans(), namespace=st.sampled_from(["", "a", "b"]), forgets=st.booleans()
)
async def test_replay(before: list, after: list, selects: bool, namespace: str, forgets: bool) -> None:
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    await write(store, cache, before)
    start = cache.revision

    def chosen() -> dict[tuple[str, str], bytes]:
        entries = cache.resource("things").entries(namespace)
        return {(e.key.namespace, e.key.name): e.body for e in entries if not selects or is_on(e)}

    seen = chosen()
    await write(store, cache, after)
    if forgets:  # what memory has dropped comes from the log
        resource = cache.resource("things")
        resource.events.clear()
        resource.dropped = cache.revision
    last = start
    with Watcher(cache, "things", start, namespace, "", is_on if selects else None) as watcher:
        while watcher.position < cache.revision:
            for change in await watcher.changes(0):
                where = (change.entry.key.namespace, change.entry.key.name)
                assert change.entry.revision > last
                last = change.entry.revision
                if change.type == "DELETED":
                    del seen[where]
                else:
                    assert (change.type == "MODIFIED") == (where in seen)
                    seen[where] = change.entry.body
    assert seen == chosen()


@settings(max_examples=50, deadline=None)
@given(changes=WRITES)
async def test_the_past_can_be_seen(changes: list) -> None:
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    snapshots = {}
    for change in changes:
        await write(store, cache, [change])
        snapshots[cache.revision] = state(cache)
    for revision, expected in snapshots.items():
        then = cache.resource("things").at(revision)
        assert then is not None
        assert {(e.key.namespace, e.key.name): e.body for e in then.values()} == expected


async def test_namespaces_do_not_mix() -> None:
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    await write(store, cache, [(where, "on") for where in NAMES])
    names = lambda *a: [e.key[1:] for e in cache.resource("things").entries(*a)]  # noqa: E731
    assert names("a") == [("a", "x"), ("a", "y")]
    assert names("a", "a/x") == [("a", "y")]
    assert names("", "a/x") == [("a", "y"), ("b", "x")]
    assert len(names()) == 4


async def test_a_reset_ends_watchers() -> None:
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    with Watcher(cache, "things", cache.revision) as watcher:
        assert await watcher.changes(0) == []
        cache._on_reset()
        with pytest.raises(StatusError) as gone:
            await watcher.changes(5)
    assert gone.value.code == 410
    assert len(cache.resource("things").waiters) == 0


def test_a_revision_is_spliced_in() -> None:
    assert (
        with_revision(b'{"metadata":{"name":"a"},"x":1}', 7) == b'{"metadata":{"resourceVersion":"7","name":"a"},"x":1}'
    )
    assert with_revision(b'{"metadata":{}}', 7) == b'{"metadata":{"resourceVersion":"7"}}'
    assert with_revision(b'{"metadata":{}}', 0) == b'{"metadata":{}}'


async def test_history_that_changes_while_the_log_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    await store.open()
    cache = Cache(store)
    await cache.load()
    await write(store, cache, [(NAMES[0], "on")] * 3)
    cache.resource("things").dropped = cache.revision
    read = store.read_log

    async def read_log(after: int, limit: int = 1000) -> LogPage:
        cache._on_reset()
        return await read(after, limit)

    monkeypatch.setattr(store, "read_log", read_log)
    with Watcher(cache, "things", 1) as watcher, pytest.raises(StatusError) as gone:
        await watcher.changes(0)
    assert gone.value.code == 410
