"""Where the objects of a resource are read from: one seam, so that no verb asks which resource it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.store.interface import EVENTS
from kafila.watch import Cache, Entry

from .cached import CachedStorage
from .events import EventStorage
from .reading import ListOptions, Page


class Storage(Protocol):
    """All of them raise StatusError 503 while the store is needed and cannot be reached."""

    async def find(self, key: Key) -> Entry | None: ...

    async def read(self, kind: Kind, namespace: str, name: str) -> Entry:
        """Raises StatusError 404."""

    async def newest(self, kind: Kind, namespace: str, name: str) -> Entry:
        """As ``read``, but that there is none is only said of what was the newest state after this call began."""

    async def list_page(self, kind: Kind, options: ListOptions) -> Page:
        """Raises StatusError: 400 for a bad token, 410 for a revision that is gone, 422 for a bad match, 504."""

    async def all(self, kind: Kind, namespace: str) -> tuple[list[Entry], int]:
        """All objects of a kind, of one namespace when given, and the revision they are at."""

    def chunks(self, kind: Kind, namespace: str, size: int) -> AsyncIterator[list[Entry]]:
        """The same in parts, each as it is when it is asked for: what is held in no memory about ``size`` at a time."""

    async def some(self, kind: Kind, namespace: str) -> tuple[list[Entry], int]:
        """Objects that stand for all of a namespace, and how many there are."""


@final
class Storages:
    """Kubernetes' Events are in no cache (``docs/adr/0007``); everything else is."""

    def __init__(self, cache: Cache) -> None:
        self.cached = CachedStorage(cache)
        self._events = EventStorage(cache)

    def of(self, resource: str) -> Storage:
        return self._events if resource == EVENTS else self.cached

    async def find(self, key: Key) -> Entry | None:
        """The object as it is known here. Raises StatusError 503."""
        return await self.of(key.resource).find(key)
