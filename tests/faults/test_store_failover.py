"""The database comes back with an older state, and gives revisions again that clients have already seen."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from kafila.core.resources import Key
from kafila.store.embedded import EmbeddedPostgres
from kafila.store.interface import Compacted, Row, StoredObject, Transaction, Write
from kafila.store.postgres import PostgresStore
from kafila.store.timeline import RAISE

from .store_proxy import Proxy

KEY = Key("pods", "default", "a")


def write(text: bytes) -> Transaction:
    return Transaction([], [Write(KEY, text)])


class Cache:
    """What a process holds: objects and their revision; it starts again when the store says so."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.objects: dict[Key, StoredObject] = {}
        self.revision = 0
        self.was_reset = asyncio.Event()
        store.subscribe(self._apply, self.was_reset.set)

    async def load(self) -> None:
        self.was_reset.clear()
        self.revision, objects = await self.store.snapshot()
        self.objects = {o.key: o for o in objects}

    def _apply(self, rows: list[Row]) -> None:
        for row in rows:
            assert row.revision > self.revision
            self.revision = row.revision
            self.objects[row.key] = StoredObject(row.key, row.revision, row.body)


async def _copy(source: Path, target: Path) -> None:
    """With owners and modes."""
    process = await asyncio.create_subprocess_exec("cp", "-a", str(source), str(target))
    assert await process.wait() == 0


class Backup:
    """A copy of a stopped server's folder."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._copy = server.root.with_name("backup")

    async def take(self) -> None:
        await self._server.stop()
        await _copy(self._server.root, self._copy)
        await self._server.start()

    async def restore(self) -> None:
        await self._server.stop()
        shutil.rmtree(self._server.root / "data")
        await _copy(self._copy / "data", self._server.root / "data")
        await self._server.start()


@pytest.mark.parametrize("reused", [False, True])
async def test_a_restored_database_resets_caches_and_raises_revisions(server: EmbeddedPostgres, reused: bool) -> None:
    """With ``reused``, another process writes other things under the lost revisions before this one is back."""
    with tempfile.TemporaryDirectory(prefix="kafila-") as folder:
        async with Proxy(Path(folder), server.dsn) as proxy:
            store = PostgresStore(proxy.dsn)
            await store.open()
            cache = Cache(store)
            await cache.load()
            await store.commit(write(b"kept"))
            backup = Backup(server)
            await backup.take()
            for i in range(5):
                await store.commit(write(b"lost %d" % i))
            lost = cache.revision
            proxy.refusing = True
            proxy.cut()
            await backup.restore()
            if reused:
                other = PostgresStore(server.dsn)
                await other.open()
                while await other.head() < lost:
                    await other.commit(write(b"other"))
                await other.close()
            proxy.heal()
            await cache.was_reset.wait()
            await cache.load()
            assert cache.revision >= lost + RAISE
            assert cache.objects[KEY].body == (b"other" if reused else b"kept")
            [revision] = await store.commit(write(b"new"))
            assert revision > lost + RAISE
            assert (cache.revision, cache.objects[KEY].body) == (revision, b"new")
            page = await store.read_log(revision - 1)
            assert ([row.body for row in page.rows], page.head) == ([b"new"], revision)
            with pytest.raises(Compacted):  # who was there may have seen what is lost
                await store.read_log(lost)
            with pytest.raises(Compacted):
                await store.list_at("pods", lost)
            await store.close()


async def test_a_restart_that_loses_nothing_resets_nothing(server: EmbeddedPostgres) -> None:
    store = PostgresStore(server.dsn)
    await store.open()
    cache = Cache(store)
    await cache.load()
    await store.commit(write(b"1"))
    await server.stop()
    await server.start()
    [revision] = await store.commit(write(b"2"))
    assert await store.head() == revision == 3
    assert not cache.was_reset.is_set()
    await store.close()


async def test_every_process_of_two_is_reset_once(server: EmbeddedPostgres) -> None:
    stores = [PostgresStore(server.dsn) for _ in range(2)]
    caches = [Cache(store) for store in stores]
    for store, cache in zip(stores, caches, strict=True):
        await store.open()
        await cache.load()
    backup = Backup(server)
    await backup.take()
    await stores[0].commit(write(b"lost"))
    await stores[1].head()
    await backup.restore()
    for cache in caches:
        await cache.was_reset.wait()
        await cache.load()
    [revision] = await stores[0].commit(write(b"new"))
    assert revision > 2 + RAISE
    for store, cache in zip(stores, caches, strict=True):
        await store.head()
        assert (cache.revision, cache.objects[KEY].body) == (revision, b"new")
        assert not cache.was_reset.is_set()
        await store.close()
