"""Metrics of the process itself: how late the event loop is, how much is kept, which version runs."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, Protocol, final

import structlog
from prometheus_client import Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kafila import __version__

log = structlog.get_logger(__name__)
PERIOD = 0.25  # seconds between two samples of the event loop: what holds it for longer is always seen
LONG = 2.5  # seconds that are worth a line in the log
LAG = Histogram(
    "kafila_event_loop_lag_seconds",
    "How much later than asked the event loop woke us; everything else waits as long.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
WORST_LAG = Gauge("kafila_event_loop_lag_max_seconds", "The longest lag since the process started.")
BUILD = Info("kafila_build", "Version of the program.")
BUILD.info({"version": __version__})


class Cache(Protocol):
    """Telemetry imports no other package: it asks for what it needs by shape."""

    def resources(self) -> Iterator[Any]: ...

    def all_unreadable(self) -> Mapping[str, Sized]: ...


class Store(Protocol):
    @property
    def trouble(self) -> str: ...


class StorageState(Collector):
    """Whether storage takes writes, and the free space of an embedded database; found out when somebody asks."""

    def __init__(self, store: Store, folder: Path | None) -> None:
        """``folder``: of the embedded database, if it is one."""
        self._store = store
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        text = "1 while the database can be reached and takes writes."
        yield GaugeMetricFamily("kafila_storage_healthy", text, value=not self._store.trouble)
        if self._folder is not None:
            free = shutil.disk_usage(self._folder).free
            yield GaugeMetricFamily(
                "kafila_storage_free_bytes", "Free space on the embedded database's disk.", value=free
            )


class StorageObjects(Collector):
    """``apiserver_storage_objects`` by resource, counted when somebody looks."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("apiserver_storage_objects", "Stored objects.", labels=["resource"])
        for resource in self._cache.resources():
            if resource.objects:
                family.add_metric([resource.name], len(resource.objects))
        yield family
        unreadable = GaugeMetricFamily(
            "kafila_unreadable_objects", "Stored objects that cannot be decrypted.", labels=["resource"]
        )
        for name, found in self._cache.all_unreadable().items():
            unreadable.add_metric([name], len(found))
        yield unreadable


async def watch_event_loop() -> None:
    """Runs until it is cancelled."""
    looks = _Looks(asyncio.get_running_loop())
    try:
        await asyncio.Event().wait()
    finally:
        looks.stop()


@final
class _Looks:
    """By a timer, not a task: these are most of what wakes a process that has nothing to do."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._worst = 0.0
        self._wait()

    def stop(self) -> None:
        self._next.cancel()

    def _wait(self) -> None:
        self._due = self._loop.time() + PERIOD
        self._next = self._loop.call_later(PERIOD, self._look)

    def _look(self) -> None:
        lag = max(self._loop.time() - self._due, 0.0)
        LAG.observe(lag)
        if lag > self._worst:
            self._worst = lag
            WORST_LAG.set(lag)
        if lag > LONG:
            log.warning("the event loop was held, everybody waited", seconds=round(lag, 1))
        self._wait()
