"""Keeps a process's configuration as current as its watch cache is."""

from __future__ import annotations

import asyncio
from typing import Final, final

from kafila.watch import Cache, Entry, Event

from .concurrency import ADJUSTMENT_PERIOD
from .configuration import Schema
from .fairness import Fairness
from .objects import LEVELS, SCHEMAS, Level, read_level, read_schema

BIG: Final = 32 << 10  # bytes that are not read on the event loop


def _schema_of(body: bytes) -> Schema | None:
    stored = read_schema(body)
    return Schema(stored) if stored is not None else None


@final
class Following:
    """A change counts for the next request after the cache has seen it; what is big a moment later."""

    def __init__(self, cache: Cache, fairness: Fairness) -> None:
        self._cache = cache
        self._fairness = fairness
        self._schemas: dict[str, Schema] = {}
        self._levels: dict[str, Level] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._due = False
        cache.listen(SCHEMAS, self._observe_schema)
        cache.listen(LEVELS, self._observe_level)
        cache.on_reset(self._load)
        self._load()

    def _load(self) -> None:
        self._schemas.clear()
        self._levels.clear()
        for entry in self._cache.resource(SCHEMAS).entries():
            self._put_schema(entry)
        for entry in self._cache.resource(LEVELS).entries():
            self._put_level(entry)
        self._digest()

    def _observe_schema(self, event: Event) -> None:
        if event.new is None:
            self._schemas.pop(event.key.name, None)
        elif event.old is None or not _alike(event.old, event.new):
            self._put_schema(event.new)
        else:
            return
        self._digest_soon()

    def _observe_level(self, event: Event) -> None:
        self._levels.pop(event.key.name, None)
        if event.new is not None:
            self._put_level(event.new)
        self._digest_soon()

    def _put_level(self, entry: Entry) -> None:
        level = read_level(entry.body)
        if level is not None:
            self._levels[entry.key.name] = level

    def _put_schema(self, entry: Entry) -> None:
        if len(entry.body) >= BIG:
            reading = asyncio.get_running_loop().create_task(self._read_big(entry))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)
            return
        self._keep(entry.key.name, _schema_of(entry.body))

    async def _read_big(self, entry: Entry) -> None:
        found = await asyncio.to_thread(_schema_of, entry.body)
        current = self._cache.get(SCHEMAS, "", entry.key.name)
        if current is not None and current.revision == entry.revision:
            self._keep(entry.key.name, found)
            self._digest_soon()

    def _keep(self, name: str, schema: Schema | None) -> None:
        if schema is None:
            self._schemas.pop(name, None)
        else:
            self._schemas[name] = schema

    def _digest_soon(self) -> None:
        """Once for all that changes now."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._digest)

    def _digest(self) -> None:
        self._due = False
        self._fairness.digest(self._schemas.values(), self._levels.values())

    async def adjust(self) -> None:
        """Lends and borrows seats until it is cancelled."""
        while True:
            await asyncio.sleep(ADJUSTMENT_PERIOD)
            self._fairness.adjust()


def _alike(old: Entry, new: Entry) -> bool:
    """Whether no more than the status has changed."""
    return old.meta.generation == new.meta.generation and old.meta.uid == new.meta.uid
