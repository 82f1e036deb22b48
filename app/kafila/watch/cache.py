"""Current objects and recent events by resource, fed by the store in revision order.

Of Kubernetes' Events there is only what watchers have still to be told (``feed``): they are read from the store.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import final

from sortedcontainers import SortedDict

from kafila.core.errors import service_unavailable
from kafila.store.interface import EVENTS, Row, Store, StoreUnavailable

from .entry import Entry, Event
from .feed import EventFeed
from .recent import DEFAULT_BYTES, Recent
from .watcher import Waiters

PORTION = 200  # objects that can be looked at without keeping the event loop from others for long


Listener = Callable[[Event], None]


def path_of(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


@final
class Resource:
    """All objects of one resource, sorted as Kubernetes lists them, and the newest events."""

    __slots__ = ("_recent", "changed", "dropped", "events", "listeners", "name", "objects", "waiters")

    def __init__(self, name: str, revision: int, recent: Recent) -> None:
        self.name = name
        self._recent = recent
        self.objects: SortedDict = SortedDict()
        self.events: list[Event] = []
        self.dropped = revision  # every event with a higher revision is in ``events``
        self.changed = revision  # revision of the last change
        self.waiters = Waiters()
        self.listeners: list[Listener] = []

    def get(self, namespace: str, name: str) -> Entry | None:
        return self.objects.get(path_of(namespace, name))

    def entries(self, namespace: str = "", after: str | None = None) -> Iterator[Entry]:
        """Entries in order, of one namespace when given, behind the path ``after`` when given."""
        low = f"{namespace}/" if namespace else None
        high = f"{namespace}0" if namespace else None  # "0" is the character after "/"
        if after is not None and (low is None or after >= low):
            keys = self.objects.irange(after, high, (False, False))
        else:
            keys = self.objects.irange(low, high, (False, False))
        objects = self.objects
        for key in keys:
            yield objects[key]

    def portions(self) -> Iterator[list[Entry]]:
        """All entries in order. Between two portions others may write: what is behind is seen as it is by then."""
        after: str | None = None
        while portion := list(islice(self.entries(after=after), PORTION)):
            yield portion
            after = path_of(portion[-1].key.namespace, portion[-1].key.name)

    def put(self, row: Row) -> Event:
        path = path_of(row.key.namespace, row.key.name)
        old = self.objects.get(path)
        entry = Entry(row.key, row.revision, row.body)
        if row.deleted:
            self.objects.pop(path, None)
            event = Event(row.revision, old, None, entry)
        else:
            self.objects[path] = entry
            event = Event(row.revision, old, entry, None)
        self.keep(event)
        return event

    def keep(self, event: Event) -> None:
        self.events.append(event)
        self.changed = event.revision
        self._recent.add(self, event)

    def forget(self, count: int) -> None:
        """The oldest events are in memory no more."""
        self.dropped = max(self.dropped, self.events[count - 1].revision)
        del self.events[:count]

    def events_after(self, revision: int) -> list[Event] | None:
        """Events with a higher revision, None when memory does not reach back that far."""
        if revision < self.dropped:
            return None
        events = self.events
        if not events or events[-1].revision <= revision:
            return []
        return events[bisect_right(events, revision, key=_revision_of) :]

    def at(self, revision: int) -> SortedDict | None:
        """The objects as they were at ``revision``, None when memory does not reach back that far."""
        if revision >= self.changed:
            return self.objects
        events = self.events_after(revision)
        if events is None:
            return None
        objects = self.objects.copy()
        for event in reversed(events):
            path = path_of(event.key.namespace, event.key.name)
            if event.old is None:
                objects.pop(path, None)
            else:
                objects[path] = event.old
        return objects


def _revision_of(event: Event) -> int:
    return event.revision


@final
class Cache:
    """Everything this process has seen of the store."""

    def __init__(self, store: Store, recent_bytes: int = DEFAULT_BYTES) -> None:
        """``recent_bytes``: so much of the newest history is kept in memory."""
        self.store = store
        self._recent = Recent(recent_bytes)
        self.revision = 0
        self.epoch = 0  # rises when the history changed under us: watches of an older epoch are over
        self.reset = asyncio.Event()  # set when everything has to be loaded again
        self._feed = EventFeed(self)
        self._over = False  # what is here belongs to a history that is over
        self.loaded_at = 0.0
        self._resources: dict[str, Resource] = {}
        self._listeners: list[Listener] = []  # of all resources
        self._reset_listeners: list[Callable[[], None]] = []
        store.subscribe(self._on_rows, self._on_reset)

    async def load(self) -> None:
        epoch = self.epoch
        revision, objects = await self.store.snapshot()
        kept = self._resources
        self._resources = {}
        self._recent = Recent(self._recent.limit)
        for key, object_revision, body in objects:
            resource = self.resource(key.resource, revision)
            resource.objects[path_of(key.namespace, key.name)] = Entry(key, object_revision, body)
        for name, old in kept.items():  # listeners and waiting watchers outlive a reset
            resource = self.resource(name, revision)
            resource.listeners = old.listeners
            resource.waiters = old.waiters
            resource.waiters.wake_all()
        for resource in self._resources.values():
            resource.dropped = resource.changed = revision
        self.revision = revision
        self._feed.start_over(revision)
        self._over = self.epoch != epoch
        self.loaded_at = time.time()
        for listener in self._reset_listeners:
            listener()

    async def wait_for_consistent_read(self) -> None:
        """Returns once everything that was committed before this call is here. Raises StatusError 503."""
        try:
            await self.store.head()
        except StoreUnavailable as error:
            raise service_unavailable(f"storage is not reachable: {error}") from error
        if self._over:
            raise service_unavailable("storage is being read again")

    def seen(self, resource: str) -> int:
        """Every change of the resource up to this revision has been here."""
        return self._feed.revision if resource == EVENTS else self.revision

    def resource(self, name: str, revision: int | None = None) -> Resource:
        resource = self._resources.get(name)
        if resource is None:
            resource = Resource(name, self.revision if revision is None else revision, self._recent)
            self._resources[name] = resource
        return resource

    def resources(self) -> Iterator[Resource]:
        return iter(list(self._resources.values()))

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        found = self._resources.get(resource)
        return found.get(namespace, name) if found else None

    def listen(self, resource: str, listener: Listener) -> None:
        """Calls ``listener`` with every event of a resource, in revision order, synchronously."""
        self.resource(resource).listeners.append(listener)

    def listen_to_all(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def on_reset(self, listener: Callable[[], None]) -> None:
        """Called when everything was loaded anew: level-triggered consumers look at all objects again."""
        self._reset_listeners.append(listener)

    def _on_rows(self, rows: list[Row]) -> None:
        for row in rows:
            if row.key.resource == EVENTS or row.revision != self.revision + 1:
                self._feed.behind(row.revision)
            if row.key.resource == EVENTS:
                self.revision = row.revision
                continue
            resource = self.resource(row.key.resource)
            event = resource.put(row)
            self.revision = row.revision
            for listener in resource.listeners:
                listener(event)
            for listener in self._listeners:
                listener(event)
            resource.waiters.wake(row.key.namespace, row.key.name)

    def _on_reset(self) -> None:
        self.epoch += 1
        self._over = True
        self.reset.set()
        for resource in self._resources.values():
            resource.waiters.wake_all()
