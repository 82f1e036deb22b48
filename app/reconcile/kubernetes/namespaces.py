"""Namespaces that end: everything in them is deleted, then they are finalized (kube-controller-manager namespace controller)."""

from __future__ import annotations

from typing import Any, final

from app.core.clock import rfc3339
from app.core.errors import StatusError
from app.registry import Options, Registry
from app.registry.context import DeleteOptions
from app.watch import Event

from ..queue import Requeue, WorkQueue

OPTIONS = Options(manager="kube-controller-manager")
RETRY = 1.0  # seconds, while finalizers of the content are worked off; deletions wake us sooner
Object = dict[str, Any]


@final
class NamespaceController:
    name = "namespace"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._ending: set[str] = set()
        self.queue: WorkQueue[str] = WorkQueue(self.name, self._reconcile, concurrency=10)
        registry.cache.listen_to_all(self._observe)
        registry.cache.on_reset(self.resync)

    def start(self) -> None:
        self.resync()
        self.queue.start()

    async def stop(self) -> None:
        await self.queue.stop()

    def resync(self) -> None:
        for entry in self._registry.cache.resource("namespaces").entries():
            if entry.meta.deletionTimestamp:
                self._ending.add(entry.key.name)
                self.queue.add(entry.key.name)

    def _observe(self, event: Event) -> None:
        key = event.key
        if key.resource == "namespaces":
            if event.new is None:
                self._ending.discard(key.name)
            elif event.new.meta.deletionTimestamp:
                self._ending.add(key.name)
                self.queue.add(key.name)
        elif key.namespace in self._ending and event.new is None:
            self.queue.add(key.namespace)

    async def _reconcile(self, name: str) -> None:
        namespace = self._registry.cache.get("namespaces", "", name)
        if namespace is None or not namespace.meta.deletionTimestamp:
            return
        remaining: list[str] = []
        for resource in self._registry.cache.resources():
            entries = list(resource.entries(name))
            kind = self._registry.catalog.storage_kind(resource.name)
            if not entries or kind is None or not kind.namespaced:
                continue
            fresh = [entry for entry in entries if not entry.meta.deletionTimestamp]
            await self._registry.delete_collection(kind, fresh, DeleteOptions(propagation="Background"))
            left = sum(1 for _ in resource.entries(name))
            if left:
                remaining.append(f"{resource.name} has {left} resource instances")
        if remaining:
            await self._report(name, remaining)
            raise Requeue(RETRY)
        await self._finalize(name)

    async def _finalize(self, name: str) -> None:
        def finalized(obj: Object) -> Object:
            spec = obj.setdefault("spec", {})
            spec["finalizers"] = [f for f in spec.get("finalizers") or () if f != "kubernetes"]
            if not spec["finalizers"]:
                del spec["finalizers"]
            return obj

        kind = self._registry.kind("", "v1", "namespaces")
        try:
            await self._registry.modify(kind, "", name, finalized, OPTIONS, "finalize")
        except StatusError as error:
            if not error.is_not_found:
                raise

    async def _report(self, name: str, remaining: list[str]) -> None:
        message = "Some resources are remaining: " + ", ".join(sorted(remaining))
        condition = {
            "type": "NamespaceContentRemaining",
            "status": "True",
            "lastTransitionTime": rfc3339(),
            "reason": "SomeResourcesRemain",
            "message": message,
        }

        def reported(obj: Object) -> Object:
            status = obj.setdefault("status", {})
            known = [c for c in status.get("conditions") or () if c["type"] != condition["type"]]
            same = [c for c in status.get("conditions") or () if c.get("message") == message]
            if not same:
                status["conditions"] = [*known, condition]
            return obj

        kind = self._registry.kind("", "v1", "namespaces")
        await self._registry.modify(kind, "", name, reported, OPTIONS, "status")
