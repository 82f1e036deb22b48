"""Watchers: readers with a position in the history of one resource."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, final

from kafila.core.errors import StatusError, expired
from kafila.store.interface import EVENTS, Compacted

from .cache import Cache
from .entry import Entry, Event, at_revision
from .feed import event_of, readable

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Matches = Callable[[Entry], bool]
BATCH = 500  # events handed out at once, so that one reader does not hold the loop


class Change(NamedTuple):
    """What a watcher gets: ``entry`` is the object to send; ``event`` is where its encodings are shared."""

    type: EventType
    entry: Entry
    event: Event | None


def _always(entry: Entry) -> bool:
    return True


@final
class Watcher:
    """Reads the changes of one resource behind ``position``. Use as a context manager; call :meth:`changes` repeatedly."""

    __slots__ = (
        "_cache",
        "_ended",
        "_epoch",
        "_expiry",
        "_signal",
        "matches",
        "name",
        "namespace",
        "position",
        "resource",
    )

    def __init__(
        self,
        cache: Cache,
        resource: str,
        position: int,
        namespace: str = "",
        name: str = "",
        matches: Matches | None = None,
    ) -> None:
        self._cache = cache
        self._epoch = cache.epoch
        self._signal = asyncio.Event()
        self._expiry = 0  # of Events: those that ended at this revision are being sent,
        self._ended = 0  # up to the one of this revision
        self.resource = resource
        self.position = position  # every change up to this revision was handed out
        self.namespace = namespace
        self.name = name
        self.matches = matches or _always

    def __enter__(self) -> Watcher:
        self._cache.resource(self.resource).waiters.add(self)
        self._signal.set()
        return self

    def __exit__(self, *_: object) -> None:
        self._cache.resource(self.resource).waiters.remove(self)

    def wake(self) -> None:
        self._signal.set()

    async def changes(self, timeout: float) -> list[Change]:
        """The next changes, at most BATCH; empty after ``timeout`` seconds without any. Raises StatusError 410,
        StoreUnavailable."""
        await self.woken(timeout)
        self._signal.clear()
        self._check_epoch()
        changes = self.at_hand()
        if changes is None:
            return await (self._from_events() if self.resource == EVENTS else self._from_log())
        if self.position < self._cache.seen(self.resource):
            self._signal.set()
        return changes

    async def woken(self, timeout: float) -> None:
        if not self._signal.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._signal.wait()
            except TimeoutError:
                pass

    def at_hand(self) -> list[Change] | None:
        """The next changes, at most those of BATCH events; None when memory has not got them."""
        events = None
        if self._epoch == self._cache.epoch and not self._expiry:
            events = self._cache.resource(self.resource).events_after(self.position)
        if events is None:
            return None
        if len(events) > BATCH:
            events = events[:BATCH]
            self.position = events[-1].revision
        else:
            self.position = max(self.position, self._cache.seen(self.resource))
        return [change for event in events if (change := self._select(event)) is not None]

    def has_caught_up(self) -> bool:
        """Whether there is nothing to be read now."""
        if self._epoch != self._cache.epoch or self._expiry:
            return False
        if self._cache.resource(self.resource).events_after(self.position) != []:
            return False
        self.position = max(self.position, self._cache.seen(self.resource))
        return True

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Changes do not wake it meanwhile: somebody else reads them in its place."""
        waiters = self._cache.resource(self.resource).waiters
        waiters.remove(self)
        self._signal.clear()
        try:
            yield
        finally:
            waiters.add(self)
            self._signal.set()

    async def _from_log(self) -> list[Change]:
        """Catches up from the store when memory does not reach back to our position."""
        try:
            page = await self._cache.store.read_log(self.position, BATCH)
        except Compacted as gone:
            raise too_old(gone.asked, gone.compacted) from gone
        self._check_epoch()  # the page may be of the history that replaced ours
        self._signal.set()
        out: list[Change] = []
        for row in page.rows:
            self.position = row.revision
            if row.key.resource != self.resource:
                continue
            if not readable(row):
                raise too_old(row.revision, page.head)
            if (change := self._select(event_of(row))) is not None:
                out.append(change)
        if not page.rows:
            self.position = max(self.position, page.head)
        return out

    async def _from_events(self) -> list[Change]:
        """The same for Events."""
        try:
            if self._expiry:
                return await self._those_that_ended()
            page = await self._cache.store.read_events(self.position)
        except Compacted as gone:
            raise too_old(gone.asked, gone.compacted) from gone
        self._check_epoch()
        if not all(readable(row) for row in page.rows):
            raise too_old(self.position, page.revision)
        self._signal.set()
        self.position = max(self.position, page.revision)
        self._expiry, self._ended = page.expiry, 0
        return [change for row in page.rows if (change := self._select(event_of(row))) is not None]

    async def _those_that_ended(self) -> list[Change]:
        """They all ended at one revision, and are sent with the one before: whoever resumes from there gets them again."""
        found = await self._cache.store.events_ended(self._expiry, self._ended)
        self._check_epoch()
        self._signal.set()
        if not found:
            self.position, self._expiry = self._expiry, 0
            return []
        self._ended = found[-1].revision
        entries = (Entry(key, self._expiry - 1, body) for key, _, body in found)
        return [Change("DELETED", entry, None) for entry in entries if self._concerns(entry)]

    def _concerns(self, entry: Entry) -> bool:
        key = entry.key
        here = (not self.namespace or key.namespace == self.namespace) and (not self.name or key.name == self.name)
        return here and self.matches(entry)

    def _check_epoch(self) -> None:
        if self._epoch != self._cache.epoch:
            raise expired("The resourceVersion for the provided watch is too old.")

    def _select(self, event: Event) -> Change | None:
        key = event.key
        if (self.namespace and key.namespace != self.namespace) or (self.name and key.name != self.name):
            return None
        old, new = event.old, event.new
        was = old is not None and self.matches(old)
        if new is not None and self.matches(new):
            return Change("MODIFIED" if was else "ADDED", new, event)
        if not was:
            return None
        if event.last is not None:
            return Change("DELETED", event.last, event)
        # left the selector: the old content under the new revision
        assert old is not None
        return Change("DELETED", at_revision(old, event.revision), None)


def too_old(asked: int, oldest: int) -> StatusError:
    return expired(f"too old resource version: {asked} ({oldest + 1})")
