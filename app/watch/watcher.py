"""Watchers: readers with a position in the history of one resource."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, final

from app.core.errors import StatusError, expired
from app.store.interface import Compacted

from .entry import Entry, Event, at_revision

if TYPE_CHECKING:
    from .cache import Cache

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Matches = Callable[[Entry], bool]
BATCH = 500  # events handed out at once, so that one reader does not hold the loop


class Change(NamedTuple):
    """What a watcher is told: ``entry`` is the object to send; ``event`` is where its encodings are shared."""

    type: EventType
    entry: Entry
    event: Event | None


@final
class Waiters:
    """Who waits for changes, by namespace and name, so that a change wakes only those it may concern."""

    __slots__ = ("_all", "_named", "_namespaces")

    def __init__(self) -> None:
        self._all: set[Watcher] = set()
        self._namespaces: dict[str, set[Watcher]] = {}
        self._named: dict[tuple[str, str], set[Watcher]] = {}

    def _bucket(self, watcher: Watcher) -> set[Watcher]:
        if watcher.name:
            return self._named.setdefault((watcher.namespace, watcher.name), set())
        if watcher.namespace:
            return self._namespaces.setdefault(watcher.namespace, set())
        return self._all

    def add(self, watcher: Watcher) -> None:
        self._bucket(watcher).add(watcher)

    def remove(self, watcher: Watcher) -> None:
        self._bucket(watcher).discard(watcher)
        if watcher.name and not self._named[(watcher.namespace, watcher.name)]:
            del self._named[(watcher.namespace, watcher.name)]
        elif watcher.namespace and not watcher.name and not self._namespaces[watcher.namespace]:
            del self._namespaces[watcher.namespace]

    def wake(self, namespace: str, name: str) -> None:
        for watcher in self._all:
            watcher.wake()
        if self._namespaces:
            for watcher in self._namespaces.get(namespace, ()):
                watcher.wake()
        if self._named:
            for watcher in self._named.get((namespace, name), ()):
                watcher.wake()
            if namespace:
                for watcher in self._named.get(("", name), ()):
                    watcher.wake()

    def wake_all(self) -> None:
        for bucket in (self._all, *self._namespaces.values(), *self._named.values()):
            for watcher in bucket:
                watcher.wake()

    def __len__(self) -> int:
        return len(self._all) + sum(map(len, self._namespaces.values())) + sum(map(len, self._named.values()))


def _always(entry: Entry) -> bool:
    return True


@final
class Watcher:
    """Reads the changes of one resource behind ``position``. Use as a context manager; call :meth:`changes` repeatedly."""

    __slots__ = ("_cache", "_epoch", "_signal", "matches", "name", "namespace", "position", "resource")

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
        if not self._signal.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._signal.wait()
            except TimeoutError:
                pass
        self._signal.clear()
        self._check_epoch()
        resource = self._cache.resource(self.resource)
        events = resource.events_after(self.position)
        if events is None:
            return await self._from_log()
        if len(events) > BATCH:
            events = events[:BATCH]
            self._signal.set()
            self.position = events[-1].revision
        else:
            self.position = max(self.position, self._cache.revision)
        return [change for event in events if (change := self._select(event)) is not None]

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
            old = Entry(row.key, row.previous, row.previous_body) if row.previous_body is not None else None
            entry = Entry(row.key, row.revision, row.body)
            event = Event(row.revision, old, None if row.deleted else entry, entry if row.deleted else None)
            if (change := self._select(event)) is not None:
                out.append(change)
        if not page.rows:
            self.position = max(self.position, page.head)
        return out

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
