"""Garbage collection by ownerReferences: background, foreground and orphan deletion.

An owner is looked up by its coordinates and must have the uid that the reference names. Because the cache follows commit
order, an owner that is not in the cache does not exist: it was there before its dependents or never.
"""

from __future__ import annotations

from typing import Any, final

from kafila.catalog.kind import Kind
from kafila.core import sets
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.metadata import remove_finalizer
from kafila.core.resources import Key, split_api_version
from kafila.core.values import Object
from kafila.reconcile.chunks import Chunks, at_once, in_chunks
from kafila.reconcile.controller import QueueController
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions, Propagation
from kafila.registry.deleting import FOREGROUND, ORPHAN
from kafila.watch import Entry, Event, needles
from kafila.watch.entry import OwnerReference

OPTIONS = Options(manager="kube-controller-manager")
_OWNED = needles.field("ownerReferences")
_DELETED = needles.field("deletionTimestamp")


@final
class GarbageCollector(QueueController[Key]):
    name = "garbagecollector"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name, concurrency=16)
        self._registry = registry
        self._dependents: dict[str, set[Key]] = {}  # owner uid -> objects that name it
        self._owners: dict[Key, tuple[str, ...]] = {}
        self._absent: set[str] = set()  # uids of owners that we saw go, while they have dependents
        registry.cache.listen_to_all(self._observe)

    async def start(self) -> None:
        await in_chunks(self._all_chunks())  # an owner whose dependents are not all known would end too early
        self.queue.start()

    def resync(self) -> None:
        at_once(self._all_chunks())

    def _all_chunks(self) -> Chunks:
        self._dependents.clear()
        self._owners.clear()
        self._absent.clear()
        for resource in list(self._registry.cache.resources()):
            for chunk in resource.chunks():
                for entry in chunk:
                    self._index(entry)
                    if entry.key in self._owners or _ends(entry):
                        self.queue.add(entry.key, background=True)
                yield

    def _observe(self, event: Event) -> None:
        if event.new is not None:
            before = self._owners.get(event.key)
            self._index(event.new)
            if self._owners.get(event.key) != before or _ends(event.new):
                self.queue.add(event.key)
            if event.old is not None and before and event.old.meta.ownerReferences != event.new.meta.ownerReferences:
                self._wake_owners(event.old)
            return
        key = event.key
        for uid in self._owners.pop(key, ()):
            self._forget(uid, key)
        gone = event.old or event.last
        if gone is None:
            return
        for dependent in self._dependents.get(gone.meta.uid, ()):
            self._absent.add(gone.meta.uid)
            self.queue.add(dependent)
        self._wake_owners(gone)

    def _wake_owners(self, dependent: Entry) -> None:
        """An owner may wait for its last dependent, or for the last one that blocks it."""
        for reference in dependent.meta.ownerReferences or ():
            owner = self._resolve(reference, dependent.key.namespace)[1]
            if owner is not None and _ends(owner):
                self.queue.add(owner.key)

    def _index(self, entry: Entry) -> None:
        key = entry.key
        had = self._owners.get(key, ())
        has: tuple[str, ...] = ()
        if entry.mentions(_OWNED):
            has = tuple(reference.uid for reference in entry.meta.ownerReferences or ())
        if had == has:
            return
        for uid in had:
            self._forget(uid, key)
        for uid in has:
            self._dependents.setdefault(uid, set()).add(key)
        if has:
            self._owners[key] = has
        else:
            self._owners.pop(key, None)

    def _forget(self, uid: str, key: Key) -> None:
        if sets.discard(self._dependents, uid, key):
            self._absent.discard(uid)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        kind = self._registry.catalog.storage_kind(key.resource)
        if entry is None or kind is None:
            return
        if _ends(entry):
            await self._finish_owner(kind, entry)
            return
        if entry.meta.ownerReferences:
            await self._check_owners(kind, entry)

    async def _check_owners(self, kind: Kind, entry: Entry) -> None:
        if entry.meta.deletionTimestamp:
            return
        dangling: set[str] = set()
        waiting: set[str] = set()
        solid = False
        for reference in entry.meta.ownerReferences or ():
            if reference.uid in self._absent:  # its kind may have gone with it
                dangling.add(reference.uid)
                continue
            known, owner = self._resolve(reference, entry.key.namespace)
            if not known:
                return  # of a kind that we do not serve: nothing can be said
            if owner is None:
                dangling.add(reference.uid)
            elif FOREGROUND in (owner.meta.finalizers or ()) and owner.meta.deletionTimestamp:
                waiting.add(reference.uid)
            else:
                solid = True
        if not dangling and not waiting:
            return
        if solid:
            await self._drop_references(kind, entry, dangling | waiting)
            return
        propagation: Propagation = "Foreground" if waiting else "Background"
        if not waiting and ORPHAN in (entry.meta.finalizers or ()):
            propagation = "Orphan"
        elif not waiting and FOREGROUND in (entry.meta.finalizers or ()):
            propagation = "Foreground"
        await self._delete(kind, entry, DeleteOptions(uid=entry.meta.uid, propagation=propagation))

    async def _finish_owner(self, kind: Kind, owner: Entry) -> None:
        finalizers = owner.meta.finalizers or ()
        dependents = [
            (dependent_kind, entry)
            for key in list(self._dependents.get(owner.meta.uid, ()))
            if (entry := self._registry.cache.get(*key)) is not None
            and (dependent_kind := self._registry.catalog.storage_kind(key.resource)) is not None
        ]
        if ORPHAN in finalizers:
            for dependent_kind, entry in dependents:
                await self._drop_references(dependent_kind, entry, {owner.meta.uid})
            await self._drop_finalizer(kind, owner, ORPHAN)
        elif FOREGROUND in finalizers:
            blocked = False
            for dependent_kind, entry in dependents:
                await self._check_owners(dependent_kind, entry)  # another owner may keep it
                still = self._registry.cache.get(*entry.key)
                references = still.meta.ownerReferences or () if still is not None else ()
                blocked |= any(r.uid == owner.meta.uid and r.blockOwnerDeletion for r in references)
            if not blocked:
                await self._drop_finalizer(kind, owner, FOREGROUND)

    def _resolve(self, reference: OwnerReference, namespace: str) -> tuple[bool, Entry | None]:
        """Whether the owner's kind is served, and the owner if it exists."""
        try:
            group, version = split_api_version(reference.apiVersion)
        except ValueError:
            return False, None
        kind = self._registry.catalog.by_kind(group, version, reference.kind)
        if kind is None or (kind.namespaced and not namespace):
            return False, None
        entry = self._registry.cache.get(kind.resource, namespace if kind.namespaced else "", reference.name)
        return True, entry if entry is not None and entry.meta.uid == reference.uid else None

    async def _delete(self, kind: Kind, entry: Entry, options: DeleteOptions) -> None:
        try:
            await self._registry.delete(kind, entry.key.namespace, entry.key.name, options)
        except StatusError as error:
            if not (error.is_not_found or error.is_conflict):
                raise

    async def _drop_references(self, kind: Kind, entry: Entry, uids: set[str]) -> None:
        def without(obj: Object) -> Object:
            kept = [r for r in obj["metadata"].get("ownerReferences") or () if r.get("uid") not in uids]
            if kept:
                obj["metadata"]["ownerReferences"] = kept
            else:
                obj["metadata"].pop("ownerReferences", None)
            return obj

        await self._modify(kind, entry, without)

    async def _drop_finalizer(self, kind: Kind, entry: Entry, finalizer: str) -> None:
        def without(obj: Object) -> Object:
            remove_finalizer(obj["metadata"], finalizer)
            return obj

        await self._modify(kind, entry, without)

    async def _modify(self, kind: Kind, entry: Entry, compute: Any) -> None:
        with ignoring_not_found():
            await self._registry.modify(kind, entry.key.namespace, entry.key.name, compute, OPTIONS)


def _ends(entry: Entry) -> bool:
    """Deleted with a finalizer that is ours to work off."""
    if not entry.mentions(_DELETED):
        return False
    finalizers = entry.meta.finalizers or ()
    return bool(entry.meta.deletionTimestamp) and (FOREGROUND in finalizers or ORPHAN in finalizers)
