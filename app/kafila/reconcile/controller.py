"""What controllers have in common: a queue that holds everything at the start, and again when the cache was loaded anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar, runtime_checkable

from kafila.core.resources import Key
from kafila.watch import Cache, Event

from .queue import WorkQueue

K = TypeVar("K", bound=Hashable)
Report = Callable[[str, Key, Exception], None]  # controller, object, what failed


class Controller(Protocol):
    name: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@runtime_checkable
class ReportsFailures(Protocol):
    """A controller whose failures users see as events."""

    def report_failures(self, report: Report) -> None: ...


class QueueController(ABC, Generic[K]):
    """``queue``: the name that metrics and logs have for it; ``about``: the resource whose names are its keys, where they are
    names; ``waits``, ``unhurried``: as for :class:`~kafila.reconcile.queue.WorkQueue`.
    """

    name: str
    about: str = ""

    def __init__(
        self, cache: Cache, queue: str, concurrency: int = 1, waits: bool = False, unhurried: bool = False
    ) -> None:
        self.queue: WorkQueue[K] = WorkQueue(queue, self._reconcile, concurrency, waits=waits, unhurried=unhurried)
        cache.on_reset(self.resync)

    async def start(self) -> None:
        self.resync()
        self.queue.start()

    async def stop(self) -> None:
        await self.queue.stop()

    def report_failures(self, report: Report) -> None:
        def on_failure(key: K, error: Exception) -> None:
            if (subject := self._subject(key)) is not None:
                report(self.queue.name, subject, error)

        self.queue.on_failure = on_failure

    def _subject(self, key: K) -> Key | None:
        """The object that a key is about; None: there is none that events are recorded for."""
        if isinstance(key, str):
            return Key(self.about, "", key) if self.about else None
        return key if isinstance(key, Key) else None

    @abstractmethod
    def resync(self) -> None:
        """Enqueues everything."""

    @abstractmethod
    async def _reconcile(self, key: K) -> None: ...


class ResourceController(QueueController[str]):
    """Of one resource without namespaces, ``about``: its keys are the names of those objects, each whenever it changed."""

    def __init__(self, cache: Cache, queue: str, concurrency: int = 1) -> None:
        super().__init__(cache, queue, concurrency)
        self._cache = cache
        cache.listen(self.about, self._observe)

    def resync(self) -> None:
        for entry in self._cache.resource(self.about).entries():
            self.queue.add(entry.key.name, background=True)

    def _observe(self, event: Event) -> None:
        if event.new is not None:
            self.queue.add(event.key.name)
