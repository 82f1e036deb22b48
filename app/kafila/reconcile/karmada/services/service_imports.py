"""serviceImport: the Service by which a ServiceImport is used (Karmada's service-import-controller)."""

from __future__ import annotations

from typing import Final, final

from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.services.imported import (
    belongs_to,
    derived_service,
    derived_status,
    is_cluster_set_ip,
    may_take,
)
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.watch import Event

IMPORTS: Final = "serviceimports.multicluster.x-k8s.io"


class InTheWay(Exception):
    """The derived Service's name is another object's."""


@final
class ServiceImports(QueueController[Key]):
    name = "serviceImport"

    def __init__(self, registry: Registry, recorder: Recorder) -> None:
        super().__init__(registry.cache, "service-import", concurrency=2)
        self._registry = registry
        self._recorder = recorder
        self._kind = registry.kind("multicluster.x-k8s.io", "v1alpha1", "serviceimports")
        self._services = registry.kind("", "v1", "services")
        registry.cache.listen(IMPORTS, self._observe)
        registry.cache.listen("services", self._observe_service)

    def resync(self) -> None:
        for entry in self._registry.cache.resource(IMPORTS).entries():
            self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        if event.generation_changed:
            self.queue.add(event.key)

    def _observe_service(self, event: Event) -> None:
        """Somebody deleted a derived Service, or changed it."""
        name, prefix = event.key.name, constants.derived_service("")
        if event.old is None or not name.startswith(prefix):
            return
        key = Key(IMPORTS, event.key.namespace, name.removeprefix(prefix))
        if self._registry.cache.get(*key) is not None:
            self.queue.add(key, background=True)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None:
            await self._delete(key)
            return
        importing = decode_entry(self._kind, entry)
        if not is_cluster_set_ip(importing):
            if not entry.meta.deletionTimestamp:
                await self._delete(key)  # it was of that type before
            return
        try:
            written = await self._derive(importing)
        except InTheWay as error:  # looked at again when that Service changes or goes
            event = constants.EVENT_SYNC_DERIVED_SERVICE_FAILED
            self._recorder.event(importing, "Warning", event, str(error))
            return
        except StatusError as error:
            event = constants.EVENT_SYNC_DERIVED_SERVICE_FAILED
            self._recorder.event(importing, "Warning", event, str(error))
            error.is_recorded = True
            raise
        if written:
            text = f"Sync derived service for serviceImport({key.name}) succeed."
            self._recorder.event(importing, "Normal", constants.EVENT_SYNC_DERIVED_SERVICE, text)

    async def _derive(self, importing: Object) -> bool:
        """Whether something was written. Raises InTheWay and StatusError."""
        metadata = importing["metadata"]
        where, name = metadata["namespace"], constants.derived_service(metadata["name"])
        entry = self._registry.cache.get("services", where, name)

        def wanted(current: Object) -> Object:
            if not may_take(importing, current):
                what = f"Service {where}/{name} is not of this ServiceImport"
                raise InTheWay(f"{what}: it is left alone; rename or delete it")
            return derived_service(importing, current)

        if entry is None:
            obj = decode_object(self._services, derived_service(importing, None), OPTIONS)
            entry = await self._registry.create(self._services, where, obj, OPTIONS)
            before = None
        else:
            before = entry.revision
            entry = await self._registry.modify(self._services, where, name, wanted, OPTIONS)
        status = await self._registry.modify(
            self._services,
            where,
            name,
            lambda current: {**current, "status": derived_status(importing)},
            OPTIONS,
            "status",
        )
        return status.revision != before

    async def _delete(self, key: Key) -> None:
        """The derived Service; one of that name which is somebody else's stays."""
        name = constants.derived_service(key.name)
        entry = self._registry.cache.get("services", key.namespace, name)
        if entry is None or entry.meta.deletionTimestamp:
            return
        if not belongs_to(decode_entry(self._services, entry), key.name):
            return
        with ignoring_not_found():
            options = DeleteOptions(uid=entry.meta.uid)
            await self._registry.delete(self._services, key.namespace, name, options)
