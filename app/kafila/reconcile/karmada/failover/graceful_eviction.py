"""The graceful eviction controllers: a copy stays where it was until it runs elsewhere, or its time is up."""

from __future__ import annotations

import time
from typing import final

from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.placement.failover.eviction import evicted_event, next_check, remaining_tasks
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.binding_events import record_for_binding
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, OPTIONS, Kinds
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.watch import Entry, Event, needles

_MARK = needles.field("gracefulEvictionTasks")


@final
class GracefulEviction(QueueController[Key]):
    name = "gracefulEviction"

    def __init__(self, registry: Registry, recorder: Recorder, timeout: float) -> None:
        super().__init__(registry.cache, "graceful-eviction", concurrency=4, unhurried=True)
        self._recorder = recorder
        self._registry = registry
        self._kinds = Kinds(registry)
        self._timeout = timeout
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            self._registry.cache.listen(resource, self._observe)

    def resync(self) -> None:
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            for entry in self._registry.cache.resource(resource).entries():
                self._add(entry)

    def _observe(self, event: Event) -> None:
        if event.new is not None:
            self._add(event.new)

    def _add(self, entry: Entry) -> None:
        if entry.mentions(_MARK) and not entry.meta.deletionTimestamp:
            self.queue.add(entry.key)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp:
            return
        kind = self._kinds.of_binding(key)
        binding = self._kinds.read_binding(entry)
        now = time.time()
        kept, done = remaining_tasks(binding, self._timeout, now)
        if kept != (binding["spec"].get("gracefulEvictionTasks") or []):
            if kept:
                binding["spec"]["gracefulEvictionTasks"] = kept
            else:
                binding["spec"].pop("gracefulEvictionTasks")
            try:
                change = self._registry.stage_update(kind, entry, binding, OPTIONS)
                await self._registry.commit_together([change])
            except StatusError as error:
                if error.is_conflict:
                    raise Requeue(0) from error  # the newer binding decides
                raise
            for cluster in done:
                record_for_binding(self._recorder, binding, *evicted_event(cluster))
        wait = next_check(kept, self._timeout, now)
        if wait is not None:
            raise Requeue(wait + 0.001, timed=True)
