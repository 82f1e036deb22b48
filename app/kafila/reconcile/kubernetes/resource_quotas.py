"""ResourceQuotas count what their namespace has (kube-controller-manager's resourcequota controller).

Admission adds to ``status.used`` with what it lets through; here it is counted again when something goes, changes or comes by
another way. Of a quota that a policy places elsewhere the status tells what members use, and is not touched.
"""

from __future__ import annotations

import time
from typing import Final, final

from kafila.admission.plugins.quota.evaluators import resources_of
from kafila.admission.plugins.quota.recount import is_only_counted, status_of
from kafila.core import sets
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.constants import CPP_PERMANENT_ID, PP_PERMANENT_ID
from kafila.reconcile.controller import QueueController
from kafila.reconcile.queue import Requeue
from kafila.registry import Options, Registry
from kafila.registry.threads import in_thread
from kafila.watch import Entry, Event

QUOTAS: Final = "resourcequotas"
OPTIONS: Final = Options(manager="kube-controller-manager")
PAUSE: Final = 0.5  # seconds in which changes are counted together
RESYNC: Final = 300.0  # pods end their grace period without an event


@final
class ResourceQuotas(QueueController[Key]):
    name = "resourcequota"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("", "v1", QUOTAS)
        self._bounding: dict[tuple[str, str], set[Key]] = {}  # namespace, resource -> quotas
        self._resources: dict[Key, tuple[str, ...]] = {}  # quota -> what it bounds
        registry.cache.listen_to_all(self._observe)

    def resync(self) -> None:
        self._bounding, self._resources = {}, {}
        for entry in self._registry.cache.resource(QUOTAS).entries():
            self._remember(entry.key, entry)
            self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        key = event.key
        if key.resource == QUOTAS:
            self._remember(key, event.new)
            if event.new is not None:
                self.queue.add(key)
        if self._bounding:
            for quota in self._bounding.get((key.namespace, key.resource), ()):
                self.queue.add_after(quota, PAUSE)

    def _remember(self, key: Key, entry: Entry | None) -> None:
        for resource in self._resources.pop(key, ()):
            sets.discard(self._bounding, (key.namespace, resource), key)
        if entry is not None:
            hard = (entry.decode().get("spec") or {}).get("hard") or {}
            self._resources[key] = tuple(resources_of(list(hard)))
            for resource in self._resources[key]:
                self._bounding.setdefault((key.namespace, resource), set()).add(key)

    async def _reconcile(self, key: Key) -> None:
        async with self._registry.quotas.turn(key.namespace):  # what is let through meanwhile would not be counted
            entry = self._registry.cache.get(*key)
            if entry is None or entry.meta.deletionTimestamp or _is_placed(entry):
                return
            quota = entry.decode()
            used_by = {resource: self._used_by(quota, resource) for resource in self._resources.get(key, ())}
            size = sum(len(other.body) for found in used_by.values() if not isinstance(found, int) for other in found)
            wanted = await in_thread(size, lambda: status_of(quota, used_by, time.time()))
            if wanted != quota.get("status"):
                await self._write(entry, wanted)
        self.queue.add_after(key, RESYNC, background=True)

    def _used_by(self, quota: Object, resource: str) -> int | list[Entry]:
        entries = self._registry.cache.resource(resource).entries(quota["metadata"]["namespace"])
        return sum(1 for _ in entries) if is_only_counted(quota, resource) else list(entries)

    async def _write(self, entry: Entry, status: Object) -> None:
        def written(quota: Object) -> Object:
            if quota["metadata"]["resourceVersion"] != str(entry.revision):
                raise Requeue(PAUSE)  # another process let something through
            return {**quota, "status": status}

        await self._registry.modify(self._kind, entry.key.namespace, entry.key.name, written, OPTIONS, "status")


def _is_placed(entry: Entry) -> bool:
    labels = entry.meta.labels or {}
    return PP_PERMANENT_ID in labels or CPP_PERMANENT_ID in labels
