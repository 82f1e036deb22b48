"""Bindings and policies that are being deleted: what hangs on them goes first, then their finalizer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

from app.catalog.kind import Kind
from app.core.errors import StatusError
from app.core.resources import Key
from app.placement import binding as bindings
from app.placement import names
from app.registry.codec import decode_entry
from app.watch import Entry

from ..queue import WorkQueue
from .federation import BINDINGS, CLUSTER_BINDINGS, OPTIONS, Federation
from .indexes import ClaimIndex, WorkIndex, id_of_binding, policy_id_of
from .policies import CLUSTER_POLICIES, POLICIES


@final
class Endings:
    def __init__(
        self,
        federation: Federation,
        works: WorkIndex,
        claims: ClaimIndex,
        delete_works: Callable[[list[Entry]], Awaitable[None]],
        look: Callable[[Key], None],
    ) -> None:
        self._federation = federation
        self._registry = federation.registry
        self._cache = federation.registry.cache
        self._works = works
        self._claims = claims
        self._delete_works = delete_works
        self._look = look
        self.queue: WorkQueue[Key] = WorkQueue("binding", self._reconcile, concurrency=16)
        self.add = self.queue.add

    def start(self) -> None:
        self.queue.start()

    async def stop(self) -> None:
        await self.queue.stop()

    def resync(self) -> None:
        for resource in (BINDINGS, CLUSTER_BINDINGS, POLICIES, CLUSTER_POLICIES):
            for entry in self._cache.resource(resource).entries():
                if entry.meta.deletionTimestamp:
                    self.queue.add(entry.key)

    async def _reconcile(self, key: Key) -> None:
        entry = self._cache.get(*key)
        kind = self._registry.catalog.storage_kind(key.resource)
        if entry is None or kind is None or not entry.meta.deletionTimestamp:
            return
        if key.resource in (POLICIES, CLUSTER_POLICIES):
            await self._end_policy(kind, entry)
        else:
            await self._end_binding(kind, entry)

    async def _end_binding(self, kind: Kind, entry: Entry) -> None:
        works = self._works.entries(id_of_binding(entry))
        if works:
            await self._delete_works(works)
            return  # the last Work that goes brings us back
        ours = names.FINALIZER_BINDING if entry.key.namespace else names.FINALIZER_CLUSTER_BINDING
        if ours in (entry.meta.finalizers or ()):
            await self._federation.drop_finalizer(kind, decode_entry(kind, entry), ours)

    async def _end_policy(self, kind: Kind, entry: Entry) -> None:
        """Marks go off the bindings first: a template without one would not lead to its binding any more."""
        policy = decode_entry(kind, entry)
        marked = self._claims.keys(policy_id_of(entry))
        for key in sorted(marked, key=lambda key: key.resource not in (BINDINGS, CLUSTER_BINDINGS)):
            marked_kind = self._registry.catalog.storage_kind(key.resource)
            if marked_kind is None:
                continue
            try:
                await self._registry.modify(
                    marked_kind, key.namespace, key.name, lambda current: bindings.unclaim(current, policy), OPTIONS
                )
            except StatusError as error:
                if not error.is_not_found:
                    raise
            if key.resource not in (BINDINGS, CLUSTER_BINDINGS):
                self._look(key)  # another policy may match
        ours = names.FINALIZER_PP if entry.key.namespace else names.FINALIZER_CPP
        if ours in (entry.meta.finalizers or ()):
            await self._federation.drop_finalizer(kind, policy, ours)
