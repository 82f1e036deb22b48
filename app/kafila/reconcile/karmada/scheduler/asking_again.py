"""Cluster expressions that a cluster did not match, asked again when it has changed: beside the event loop, and a tenth of the time.

Whoever may write policies has written them, each may take milliseconds, and every cluster changes every few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, final

import structlog

from kafila.placement.scheduler.cluster_snapshot import ClusterInfo
from kafila.reconcile.karmada.clusters import Clusters
from kafila.registry.threads import BIG, in_thread
from kafila.telemetry.tasks import cancelled

log = structlog.get_logger(__name__)
_SOME: Final = 16  # expressions at a time
_PAUSES: Final = 9  # times what was spent
_LEAST: Final = 0.05  # seconds of a pause


@final
class AskingAgain:
    def __init__(self, clusters: Clusters, matched: Callable[[], None]) -> None:
        """``matched``: an expression is matched by a cluster that did not match it before."""
        self._clusters = clusters
        self._matched = matched
        self._changed: dict[str, None] = {}  # clusters, the one that waits longest first
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await cancelled(self._task)

    def changed(self, cluster: str) -> None:
        self._changed.setdefault(cluster)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if not self._changed:
                self._wake.clear()
                continue
            name = next(iter(self._changed))
            del self._changed[name]
            info = self._clusters.info(name)
            if info is None:
                continue
            try:
                await self._ask(name, info)
            except Exception:  # a fault of ours must not end it for good
                log.exception("cluster expressions not asked again", cluster=name)

    async def _ask(self, name: str, info: ClusterInfo) -> None:
        spent, matched = 0.0, info.asked_again(0)  # of what was forgotten
        if info.to_ask:
            spent, asked = await in_thread(BIG, lambda: _timed(lambda: info.asked_again(_SOME)))
            matched = matched or asked
            if info.to_ask:
                self._changed.setdefault(name)  # behind the others
        if matched:
            self._matched()
        if matched or spent:
            await asyncio.sleep(max(_PAUSES * spent, _LEAST))


def _timed(work: Callable[[], bool]) -> tuple[float, bool]:
    """Seconds of processor time, and what came out."""
    began = time.thread_time()
    found = work()
    return time.thread_time() - began, found
