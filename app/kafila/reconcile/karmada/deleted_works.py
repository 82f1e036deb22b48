"""Works that were deleted in clusters in pull mode: they are made again only when nothing was deleted there for a while.

``karmadactl unregister`` deletes all Works of a cluster before the Cluster itself, and waits until it finds none. Whoever made
them again at once would keep it from ever leaving.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from kafila.placement import constants
from kafila.watch import Cache, Event

from .kinds import WORKS

PAUSE: Final = 10.0  # seconds without a deletion in the cluster


@final
class DeletedWorks:
    """``is_pulled``: whether a cluster that stays is in pull mode. Listens before those who make Works."""

    def __init__(self, cache: Cache, is_pulled: Callable[[str], bool]) -> None:
        self._is_pulled = is_pulled
        self._held: dict[str, dict[str, Event]] = {}  # by cluster, the names of Works and how they went
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._makers: list[Callable[[Event], None]] = []
        cache.listen(WORKS, self._observe)

    def replay(self, maker: Callable[[Event], None]) -> None:
        """``maker`` is told of each deletion a second time, when the Work may be made again."""
        self._makers.append(maker)

    def holds(self, cluster: str, work: str) -> bool:
        """Whether it is too early to make a Work again."""
        return work in self._held.get(cluster, ())

    def _observe(self, event: Event) -> None:
        space = event.key.namespace
        if event.new is not None or not space.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            return
        cluster = constants.cluster_of(space)
        if not self._is_pulled(cluster):
            return
        self._held.setdefault(cluster, {})[event.key.name] = event
        if (timer := self._timers.pop(cluster, None)) is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[cluster] = loop.call_later(PAUSE, self._release, cluster)

    def _release(self, cluster: str) -> None:
        self._timers.pop(cluster, None)
        for event in self._held.pop(cluster, {}).values():
            for maker in self._makers:
                maker(event)
