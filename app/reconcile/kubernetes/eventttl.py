"""Events live for an hour after they were last written (kube-apiserver's --event-ttl)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from operator import attrgetter
from typing import final

from app.core.clock import parse_rfc3339
from app.core.errors import StatusError
from app.core.resources import Key
from app.registry import Registry
from app.registry.context import DeleteOptions
from app.watch import Entry, Event

from ..controller import QueueController
from ..queue import Requeue

TTL = 3600.0  # seconds
PERIOD = 60.0
BATCH = 200


@final
class EventExpiry(QueueController[str]):
    name = "event-ttl"

    def __init__(self, registry: Registry, ttl: float = TTL, period: float = PERIOD) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("", "v1", "events")
        self._ttl = ttl
        self._period = period
        # Unix seconds of the last write, oldest first; None: not looked up yet (there may be very many at the start)
        self._written: OrderedDict[Key, float | None] = OrderedDict()
        self._loaded = 0.0
        registry.cache.listen(self._kind.resource, self._observe)

    async def start(self) -> None:
        await super().start()
        self.queue.add("")

    def resync(self) -> None:
        entries = self._registry.cache.resource(self._kind.resource).entries()
        self._written = OrderedDict((entry.key, None) for entry in sorted(entries, key=attrgetter("revision")))
        self._loaded = time.time()

    def _observe(self, event: Event) -> None:
        self._written.pop(event.key, None)
        if event.new is not None:
            self._written[event.key] = time.time()

    async def _reconcile(self, key: str) -> None:
        while due := self._due(time.time() - self._ttl):
            results = await asyncio.gather(*(self._delete(key) for key in due), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        raise Requeue(self._period)

    def _due(self, before: float) -> list[Key]:
        due: list[Key] = []
        for key, at in self._written.items():
            if at is None:
                at = self._written[key] = self._look_up(key)
            if at > before or len(due) >= BATCH:
                break
            due.append(key)
        return due

    def _look_up(self, key: Key) -> float:
        """A client's clock may be ahead; that an event is from the future must not keep the ones behind it."""
        entry = self._registry.cache.get(*key)
        return min(_last_written(entry), self._loaded) if entry is not None else 0.0

    async def _delete(self, key: Key) -> None:
        try:
            await self._registry.delete(self._kind, key.namespace, key.name, DeleteOptions())
        except StatusError as error:
            if not error.is_not_found:
                raise
            self._written.pop(key, None)


def _last_written(entry: Entry) -> float:
    obj = entry.decode()
    series = obj.get("series") or {}
    times = (obj.get("lastTimestamp"), series.get("lastObservedTime"), obj.get("eventTime"))
    found = [at for at in (parse(t) for t in (*times, entry.meta.creationTimestamp)) if at is not None]
    return max(found, default=0.0)


def parse(text: str | None) -> float | None:
    return parse_rfc3339(text) if text else None
