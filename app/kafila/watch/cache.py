"""Current objects and recent events by resource, fed by the store in revision order.

Of Kubernetes' Events there is only what watchers have not been sent yet (``feed``): they are read from the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import final

from kafila.core.errors import service_unavailable, storage_unreachable
from kafila.core.resources import Key
from kafila.store.interface import EVENTS, Row, Store, StoreUnavailable, Unreadable

from .entry import Entry
from .feed import EventFeed
from .recent import DEFAULT_BYTES, Recent
from .resource import Listener, Resource, path_of


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
        self.blind = False  # there are objects that cannot be read: what is missing here may be there
        self._over = False  # what is here belongs to a history that is over
        self._resources: dict[str, Resource] = {}
        self._listeners: list[Listener] = []  # of all resources
        self._reset_listeners: list[Callable[[], None]] = []
        self._blind_listeners: list[Callable[[], None]] = []
        store.subscribe(self._on_rows, self._on_reset)

    async def load(self) -> None:
        epoch = self.epoch
        revision, objects = await self.store.snapshot()
        kept = self._resources
        self._resources = {}
        self._recent = Recent(self._recent.limit)
        for key, object_revision, body in objects:
            resource = self.resource(key.resource, revision)
            if isinstance(body, Unreadable):
                resource.unreadable[path_of(key.namespace, key.name)] = body
                continue
            resource.objects[path_of(key.namespace, key.name)] = Entry(key, object_revision, body)
        for name, old in kept.items():  # listeners and waiting watchers outlive a reset
            resource = self.resource(name, revision)
            resource.listeners = old.listeners
            resource.waiters = old.waiters
            resource.waiters.wake_all()
        for resource in self._resources.values():
            resource.dropped = resource.changed = revision
        self.revision = revision
        self._look_at_unreadable()
        self._feed.start_over(revision)
        self._over = self.epoch != epoch
        for listener in self._reset_listeners:
            listener()

    async def wait_for_consistent_read(self) -> None:
        """Returns once everything that was committed before this call is here. Raises StatusError 503."""
        try:
            await self.store.head()
        except StoreUnavailable as error:
            raise storage_unreachable(error) from error
        if self.trouble:
            raise service_unavailable(self.trouble)

    @property
    def trouble(self) -> str:
        """Why what is here must not be taken for what there is; "" when it may."""
        return "storage is being read again" if self._over else ""

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

    def unreadable(self, key: Key) -> Unreadable | None:
        """Why an object that is there, but not in the cache, cannot be read."""
        found = self._resources.get(key.resource)
        return found.unreadable.get(path_of(key.namespace, key.name)) if found and found.unreadable else None

    def all_unreadable(self) -> dict[str, dict[str, Unreadable]]:
        """By resource and path, those that have any."""
        return {name: found.unreadable for name, found in self._resources.items() if found.unreadable}

    def listen(self, resource: str, listener: Listener) -> None:
        """Calls ``listener`` with every event of a resource, in revision order, synchronously.

        Who began to listen first hears first: what one listener keeps others may ask about the same event (docs/adr/0011)."""
        self.resource(resource).listeners.append(listener)

    def listen_to_all(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def on_reset(self, listener: Callable[[], None]) -> None:
        """Called when everything was loaded anew: level-triggered consumers enqueue all objects."""
        self._reset_listeners.append(listener)

    def on_blind(self, listener: Callable[[], None]) -> None:
        """Called when ``blind`` changes."""
        self._blind_listeners.append(listener)

    def _look_at_unreadable(self) -> None:
        unreadable = self.all_unreadable()
        if bool(unreadable) != self.blind:
            self.blind = bool(unreadable)
            for listener in self._blind_listeners:
                listener()

    def _on_rows(self, rows: list[Row]) -> None:
        for row in rows:
            if row.key.resource == EVENTS or row.revision != self.revision + 1:
                self._feed.behind(row.revision)
            if row.key.resource == EVENTS:
                self.revision = row.revision
                continue
            resource = self.resource(row.key.resource)
            body = row.body
            event = resource.put_unreadable(row, body) if isinstance(body, Unreadable) else resource.put(row)
            self.revision = row.revision
            if event is None or self.blind:
                self._look_at_unreadable()
            if event is None:
                resource.waiters.wake_all()
                continue
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
