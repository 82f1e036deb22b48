"""Changes of Events in memory: read from the store while somebody watches them. Unwatched they cost nothing here."""

from __future__ import annotations

import asyncio
from typing import Protocol, final

import structlog

from kafila.store.interface import EVENTS, Compacted, EventRows, Row, Store, StoreUnavailable, Unreadable

from .entry import Entry, Event
from .resource import Resource

log = structlog.get_logger(__name__)
RETRY = 1.0  # seconds


def event_of(row: Row) -> Event:
    """Of a row with its ``previous_body``."""
    old = Entry(row.key, row.previous, row.previous_body) if row.previous_body is not None else None
    entry = Entry(row.key, row.revision, row.body)
    return Event(row.revision, old, None if row.deleted else entry, entry if row.deleted else None)


def readable(row: Row) -> bool:
    """Whether :func:`event_of` can be made of it."""
    return not isinstance(row.body, Unreadable) and not isinstance(row.previous_body, Unreadable)


class Source(Protocol):
    """What the cache knows: the revision it is at, and the resource that is fed."""

    store: Store
    epoch: int
    revision: int

    def resource(self, name: str) -> Resource: ...


@final
class EventFeed:
    """One reader for all watchers of this process. Who is behind what is in memory reads by itself."""

    def __init__(self, cache: Source) -> None:
        self._cache = cache
        self._read_to = 0  # changes up to here are in memory, or older than what is
        self._known = 0  # and there are some up to here
        self._task: asyncio.Task[None] | None = None

    @property
    def revision(self) -> int:
        """Every change up to it was read."""
        return self._cache.revision if self._read_to >= self._known else self._read_to

    def behind(self, revision: int) -> None:
        """Something happened to Events, at ``revision`` or shortly before."""
        self._known = revision
        if not self._cache.resource(EVENTS).waiters:
            self.skip(revision)
        elif self._task is None:
            self._task = asyncio.create_task(self._run(), name="event-feed")

    def skip(self, revision: int) -> None:
        """Nobody wants to know what happened up to ``revision``, or who does reads it from the store."""
        self._read_to = revision
        self._known = max(self._known, revision)
        resource = self._cache.resource(EVENTS)
        resource.dropped = max(resource.dropped, revision)

    def start_over(self, revision: int) -> None:
        """In another history."""
        self._read_to = self._known = revision

    async def _run(self) -> None:
        resource = self._cache.resource
        try:
            while self._read_to < self._known:
                if not resource(EVENTS).waiters:
                    self.skip(self._known)
                    return
                epoch = self._cache.epoch
                try:
                    page = await self._cache.store.read_events(self._read_to)
                except Compacted:
                    self.skip(self._known)
                    resource(EVENTS).waiters.wake_all()
                    return
                except StoreUnavailable as error:
                    log.warning("changes of Events not read", error=str(error))
                    await asyncio.sleep(RETRY)
                    continue
                if epoch == self._cache.epoch:
                    self._put(page)
        finally:
            self._task = None

    def _put(self, page: EventRows) -> None:
        resource = self._cache.resource(EVENTS)
        if not all(readable(row) for row in page.rows):  # who watches reads it from the store, and is told
            self.skip(page.revision)
            resource.waiters.wake_all()
            return
        for row in page.rows:
            resource.keep(event_of(row))
        self._read_to = page.revision
        if page.expiry:  # what ended may be more than memory should have
            self.skip(page.expiry)
            resource.waiters.wake_all()
        for row in page.rows:
            resource.waiters.wake(row.key.namespace, row.key.name)
