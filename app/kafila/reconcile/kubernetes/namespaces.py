"""Namespaces that end: everything in them is deleted, then they are finalized (kube-controller-manager namespace controller)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import final

from kafila.catalog.kind import Kind
from kafila.core.conditions import condition, with_condition
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.metadata import remove_finalizer
from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.controller import QueueController
from kafila.reconcile.queue import Requeue
from kafila.registry import Options, Registry
from kafila.registry.context import Change, DeleteOptions
from kafila.registry.threads import in_thread
from kafila.store.interface import EVENTS
from kafila.watch import Entry, Event

OPTIONS = Options(manager="kube-controller-manager")
BACKGROUND = DeleteOptions(propagation="Background")
RETRY = 5.0  # seconds, while finalizers of the content are worked off; deletions wake us sooner
AT_ONCE = 200  # objects that are deleted, and Events that are read


@final
class NamespaceController(QueueController[str]):
    name = "namespace"
    about = "namespaces"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name, concurrency=10)
        self._registry = registry
        self._ending: set[str] = set()
        registry.cache.listen_to_all(self._observe)

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
        failed: list[str] = []
        remaining: dict[str, int] = {}
        finalizers: Counter[str] = Counter()
        resources = {EVENTS: None} | {resource.name: None for resource in self._registry.cache.resources()}
        for resource in sorted(resources, key=_turn):
            kind = self._registry.catalog.storage_kind(resource)
            if kind is None or not kind.namespaced:
                continue
            if remaining and _is_of_rights(resource) and name.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
                break  # an agent that takes back what is placed in its cluster may still do so
            storage = self._registry.storage(resource)
            async for entries in storage.chunks(kind, name, AT_ONCE):
                living = [entry for entry in entries if not entry.meta.deletionTimestamp]
                if kind.resource != EVENTS or not await self._delete_together(kind, living):
                    failed += await self._delete_all(kind, living)
            left, count = await storage.some(kind, name)
            if left:
                remaining[f"{kind.plural}.{kind.group}"] = count
                finalizers.update(f for entry in left for f in entry.meta.finalizers or ())
        if not remaining:
            await self._finalize(name)
            return
        await self._report(name, ending_conditions(failed, remaining, finalizers))
        raise Requeue(RETRY)

    async def _delete_together(self, kind: Kind, entries: list[Entry]) -> bool:
        """Of what nobody but its author writes, and that seldom. False: one of them is not as it was, or may not go; all are there."""

        def staged() -> list[Change]:
            return [self._registry.stage_delete(kind, entry, BACKGROUND) for entry in entries]

        try:
            changes = await in_thread(sum(len(entry.body) for entry in entries), staged)
            await self._registry.commit_together(changes)
        except StatusError:
            return False
        return True

    async def _delete_all(self, kind: Kind, entries: list[Entry]) -> list[str]:
        """What could not be deleted says why, and keeps nothing else from going."""
        failed = []
        for start in range(0, len(entries), AT_ONCE):
            deletions = (
                self._registry.delete(kind, e.key.namespace, e.key.name, BACKGROUND)
                for e in entries[start : start + AT_ONCE]
            )
            for result in await asyncio.gather(*deletions, return_exceptions=True):
                if isinstance(result, StatusError) and not result.is_not_found:
                    failed.append(result.message)
                elif isinstance(result, BaseException) and not isinstance(result, StatusError):
                    raise result
        return failed

    async def _finalize(self, name: str) -> None:
        def finalized(obj: Object) -> Object:
            remove_finalizer(obj.setdefault("spec", {}), "kubernetes")
            return obj

        kind = self._registry.kind("", "v1", "namespaces")
        with ignoring_not_found():
            await self._registry.modify(kind, "", name, finalized, OPTIONS, "finalize")

    async def _report(self, name: str, wanted: list[Object]) -> None:
        def reported(obj: Object) -> Object:
            status = obj.setdefault("status", {})
            for each in wanted:
                status["conditions"] = with_condition(status.get("conditions"), each)
            return obj

        kind = self._registry.kind("", "v1", "namespaces")
        await self._registry.modify(kind, "", name, reported, OPTIONS, "status")


def _is_of_rights(resource: str) -> bool:
    return resource.endswith(".rbac.authorization.k8s.io")


def _turn(resource: str) -> int:
    """What is placed goes before what places it, so that nothing loses its claim on the way, by which it is counted
    (`registry/deletions.py`) and for which it would be written once more; rights go last.
    """
    return 2 if _is_of_rights(resource) else int(resource.endswith((".policy.karmada.io", ".work.karmada.io")))


def ending_conditions(failed: list[str], remaining: dict[str, int], finalizers: Mapping[str, int]) -> list[Object]:
    """What still keeps a namespace, in the words of kube-controller-manager."""
    done = "All content successfully deleted, may be waiting on finalization"
    content = condition("NamespaceDeletionContentFailure", "False", "ContentDeleted", done)
    if failed:
        text = f"Failed to delete all resource types, {len(failed)} remaining: {'; '.join(sorted(failed))}"
        content = condition("NamespaceDeletionContentFailure", "True", "ContentDeletionFailed", text)
    listed = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(remaining.items()))
    left = condition(
        "NamespaceContentRemaining", "True", "SomeResourcesRemain", f"Some resources are remaining: {listed}"
    )
    text = "All content-preserving finalizers finished"
    held = condition("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", text)
    if finalizers:
        listed = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()))
        text = f"Some content in the namespace has finalizers remaining: {listed}"
        held = condition("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", text)
    return [content, left, held]
