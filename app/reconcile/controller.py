"""What controllers have in common: a queue that holds everything at the start, and again when the cache was loaded anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from app.watch import Cache

from .queue import WorkQueue

K = TypeVar("K", bound=Hashable)


class Controller(Protocol):
    name: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class QueueController(ABC, Generic[K]):
    """``queue``: the name that metrics and logs have for it."""

    name: str

    def __init__(self, cache: Cache, queue: str, concurrency: int = 1) -> None:
        self.queue: WorkQueue[K] = WorkQueue(queue, self._reconcile, concurrency)
        cache.on_reset(self.resync)

    async def start(self) -> None:
        self.resync()
        self.queue.start()

    async def stop(self) -> None:
        await self.queue.stop()

    @abstractmethod
    def resync(self) -> None:
        """Everything is to be looked at again."""

    @abstractmethod
    async def _reconcile(self, key: K) -> None: ...
