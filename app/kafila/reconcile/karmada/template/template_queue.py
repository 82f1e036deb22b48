"""Templates that are to be reconciled, and why: the one thing that is remembered between two runs (`docs/adr/0003`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

from kafila.core.resources import Key
from kafila.reconcile.queue import WorkQueue

from .changes import EnqueueReason

NO_REASON = EnqueueReason(0)


@final
class TemplateQueue:
    def __init__(
        self, reconcile: Callable[[Key, EnqueueReason], Awaitable[None]], priority: Callable[[Key], int] = lambda key: 0
    ) -> None:
        self._reconcile = reconcile
        self._reasons: dict[Key, EnqueueReason] = {}
        self.queue: WorkQueue[Key] = WorkQueue(
            "resource-template", self._run, concurrency=16, priority=priority, also=("resource detector",)
        )

    def enqueue(
        self,
        key: Key,
        why: EnqueueReason = EnqueueReason.DEPENDENCY,
        background: bool = False,
        after: float = 0,
        first: bool = False,
    ) -> None:
        """``background``: behind what users change now; ``first``: behind that too, and before all else that is; ``after``: in so
        many seconds.
        """
        self.keep(key, why)
        if after:
            self.queue.add_after(key, after, background, first)
        else:
            self.queue.add(key, background, first)

    def keep(self, key: Key, why: EnqueueReason) -> None:
        """A reason that holds for the next run as well, whoever enqueues it."""
        self._reasons[key] = self._reasons.get(key, NO_REASON) | why

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._reasons.pop(key, None)

    async def _run(self, key: Key) -> None:
        why = self._reasons.pop(key, NO_REASON)
        if not why:
            return  # what was to be reconciled later was reconciled meanwhile
        try:
            await self._reconcile(key, why)
        except BaseException:
            self.keep(key, why)
            raise
