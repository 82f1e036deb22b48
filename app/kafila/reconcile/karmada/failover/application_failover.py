"""The application failover controllers: a workload leaves a cluster where it stays unhealthy for too long.

For how long it has been is remembered here only, as in Karmada: whoever takes over waits the full time once more.
"""

from __future__ import annotations

import time
from typing import final

import structlog

from kafila.core.errors import StatusError
from kafila.core.feature_gates import Gates
from kafila.core.resources import GroupVersionKind, Key, split_api_version
from kafila.placement.failover.application import Look, behavior_of, failed_over, look, producer
from kafila.placement.failover.eviction import EvictionRefused, evicted_event
from kafila.placement.interpreter import Operation
from kafila.placement.types import Binding
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import Interpreting
from kafila.reconcile.karmada.binding_events import record_for_binding
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, OPTIONS, Kinds
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.watch import Entry, Event, needles

from .evictions import EVICTIONS

log = structlog.get_logger(__name__)
_MARK = needles.field("failover")


@final
class ApplicationFailover(QueueController[Key]):
    name = "applicationFailover"

    def __init__(self, registry: Registry, recorder: Recorder, interpreting: Interpreting, gates: Gates) -> None:
        super().__init__(registry.cache, "application-failover", concurrency=4, unhurried=True)
        self._registry = registry
        self._recorder = recorder
        self._interpreting = interpreting
        self._gates = gates
        self._kinds = Kinds(registry)
        self._since: dict[Key, dict[str, float]] = {}  # when a copy was first seen unhealthy, by the monotonic clock
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            self._registry.cache.listen(resource, self._observe)

    async def stop(self) -> None:
        await super().stop()
        self._since.clear()

    def resync(self) -> None:
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            for entry in self._registry.cache.resource(resource).entries():
                if entry.mentions(_MARK):
                    self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        if event.key in self._since or (event.new is not None and event.new.mentions(_MARK)):
            self.queue.add(event.key)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        seen = self._look(entry) if entry is not None else None
        if entry is None or seen is None or not seen.since:
            self._since.pop(key, None)
            return
        self._since[key] = seen.since
        if seen.due:
            await self._evict(entry, seen)
        if seen.wait is not None:
            raise Requeue(seen.wait + 0.001, timed=True)

    def _look(self, entry: Entry) -> Look | None:
        """None: whatever is reported of it, it stays."""
        binding = self._kinds.read_binding(entry)
        behavior = behavior_of(binding)
        if behavior is None or entry.meta.deletionTimestamp or not self._has_health(binding):
            return None
        return look(binding, behavior, self._since.get(entry.key, {}), time.monotonic())

    def _has_health(self, binding: Binding) -> bool:
        """What nobody can interpret counts as healthy: it never leaves."""
        resource = binding["spec"]["resource"]
        kind = GroupVersionKind(*split_api_version(resource["apiVersion"]), resource["kind"])
        return self._interpreting.hook_enabled(kind, Operation.HEALTH)

    async def _evict(self, entry: Entry, seen: Look) -> None:
        key, binding = entry.key, self._kinds.read_binding(entry)
        left: tuple[str, ...] = ()

        def evicted(current: Binding) -> Binding:
            nonlocal left
            behavior = behavior_of(current)
            if behavior is None:
                left = ()
                return current
            # what has become of it meanwhile counts
            left = look(current, behavior, seen.since, time.monotonic()).due
            return failed_over(current, behavior, left, self._gates, time.time())

        try:
            await self._registry.modify(self._kinds.of_binding(key), key.namespace, key.name, evicted, OPTIONS)
        except (EvictionRefused, StatusError) as error:
            for cluster in seen.due:
                self._record_failure(binding, cluster, error)
            raise
        for cluster in left:
            EVICTIONS.labels(producer(binding)).inc()
            log.info("unhealthy for too long", binding=f"{key.namespace}/{key.name}", cluster=cluster)

    def _record_failure(self, binding: Binding, cluster: str, error: Exception) -> None:
        """Karmada's event; where it is the user who has to do something, also why."""
        kind, reason, message = evicted_event(cluster, failed=True)
        if isinstance(error, EvictionRefused):
            message = f"{message.removesuffix('.')}: {error}"
        record_for_binding(self._recorder, binding, kind, reason, message)
