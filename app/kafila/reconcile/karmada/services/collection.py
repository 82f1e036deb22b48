"""serviceExport and endpointsliceCollect: the collectors of all members, and who may ask them for slices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import final

from kafila.placement import constants
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS, WORKS
from kafila.reconcile.karmada.member.manager import MemberConnection, MemberController
from kafila.reconcile.karmada.member.shards import Shards
from kafila.watch import Cache, Event

from .collector import SliceCollector
from .index import Service, ServiceWorks, collected_for


@final
class SliceCollection:
    """``on``: who may ask for slices from the beginning, of ServiceExport and MultiClusterService."""

    def __init__(
        self,
        cache: Cache,
        recorder: Recorder,
        clusters: Clusters,
        works: ServiceWorks,
        shards: Shards,
        on: frozenset[str] = frozenset(),
    ) -> None:
        self._shards = shards
        self._recorder = recorder
        self._clusters = clusters
        self._works = works
        self._on = on
        self._collectors: dict[str, SliceCollector] = {}  # by execution namespace
        self._waking: set[asyncio.Task[None]] = set()
        self._away: set[str] = set()  # clusters that are not Ready
        works.listen(self._changed)
        cache.listen(WORKS, self._observe)
        cache.listen(CLUSTERS, self._observe_cluster)
        cache.on_reset(self._look_again)

    def member_controllers(self, connection: MemberConnection) -> list[MemberController]:
        registry = self._shards.registry(connection.name)
        collector = SliceCollector(registry, self._recorder, self._works, connection, lambda: self._on)
        return [_Listed(self._collectors, collector)]

    def turn(self, manager: str, on: bool) -> None:
        self._on = self._on | {manager} if on else self._on - {manager}
        if on:
            self._look_again()

    def _look_again(self) -> None:
        for collector in self._collectors.values():
            collector.resync()
            collector.changed(self._works.asked_for(collector.space))

    def _changed(self, services: Iterable[Service]) -> None:
        for service in services:
            collector = self._collectors.get(service.space)
            if collector is not None:
                collector.changed((service,))

    def _observe(self, event: Event) -> None:
        """Somebody may have changed a Work that holds slices, or taken it away; it may also be the end of the last one."""
        collector = self._collectors.get(event.key.namespace)
        if collector is None:
            return
        old, new = event.old, event.new
        if not any(entry is not None and collected_for(entry) for entry in (old, new)):
            return
        if new is None:
            collector.changed(())
        if old is not None and (new is None or old.meta.generation != new.meta.generation or is_relabelled(event)):
            collector.queue.add(event.key.name, background=True)

    def _observe_cluster(self, event: Event) -> None:
        """``Clusters`` has seen the event before us: it listens first."""
        name = event.key.name
        if event.new is not None and not self._clusters.is_ready(name):
            self._away.add(name)
            return
        collector = self._collectors.get(constants.execution_namespace(name))
        if name in self._away and collector is not None and event.new is not None:
            task = asyncio.get_running_loop().create_task(collector.wake())
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)
        self._away.discard(name)


def is_relabelled(event: Event) -> bool:
    old, new = event.old, event.new
    assert old is not None
    assert new is not None
    return old.meta.labels != new.meta.labels or old.meta.finalizers != new.meta.finalizers


@final
class _Listed:
    """Keeps a collector findable while its connection is open."""

    def __init__(self, collectors: dict[str, SliceCollector], collector: SliceCollector) -> None:
        self._collectors = collectors
        self._collector = collector

    def start(self) -> None:
        self._collectors[self._collector.space] = self._collector
        self._collector.start()

    async def stop(self) -> None:
        self._collectors.pop(self._collector.space, None)
        await self._collector.stop()


class _Asking:
    """A controller that lets its kind ask for slices while it runs."""

    name: str
    manager: str

    def __init__(self, collection: SliceCollection) -> None:
        self._collection = collection

    async def start(self) -> None:
        self._collection.turn(self.manager, True)

    async def stop(self) -> None:
        self._collection.turn(self.manager, False)


@final
class ServiceExports(_Asking):
    """Slices of services that a ServiceExport offers to other clusters."""

    name = "serviceExport"
    manager = constants.SERVICE_EXPORT_KIND


@final
class EndpointSliceCollect(_Asking):
    """Slices of services whose MultiClusterService has the cluster among its providers."""

    name = "endpointsliceCollect"
    manager = constants.MCS_KIND
