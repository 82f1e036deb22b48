"""Bindings and policies that are being deleted: what hangs on them goes first, then their finalizer."""

from __future__ import annotations

from typing import final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.reconcile.karmada.indexes import ClaimIndex, policy_id_of
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, read_policy
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES
from kafila.reconcile.karmada.writes import drop_finalizer, unclaim
from kafila.reconcile.queue import WorkQueue
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry, Event

from .attached_bindings import AttachedBindings
from .changes import EnqueueReason
from .commit import Committer
from .template_queue import TemplateQueue


@final
class DeletionController:
    def __init__(
        self,
        registry: Registry,
        attached: AttachedBindings,
        claims: ClaimIndex,
        committer: Committer,
        templates: TemplateQueue,
    ) -> None:
        self._registry = registry
        self._cache = registry.cache
        self._attached = attached
        self._claims = claims
        self._committer = committer
        self._templates = templates
        self.queue: WorkQueue[Key] = WorkQueue("binding", self._reconcile, concurrency=16)
        self.add = self.queue.add

    def observe_binding(self, event: Event) -> None:
        """It is being deleted."""
        self.queue.add(event.key)

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
        """It does not wait for its Works to go, which a member that is away would delay."""
        await self._committer.delete_works(self._attached.left_by(entry))
        ours = constants.FINALIZER_BINDING if entry.key.namespace else constants.FINALIZER_CLUSTER_BINDING
        if ours in (entry.meta.finalizers or ()):
            await drop_finalizer(self._registry, kind, decode_entry(kind, entry), ours)

    async def _end_policy(self, kind: Kind, entry: Entry) -> None:
        """The claim goes off the bindings first: a template without one would not lead to its binding any more."""
        policy = read_policy(kind, entry)
        claimed = self._claims.keys(policy_id_of(entry))
        for key in sorted(claimed, key=lambda key: key.resource not in (BINDINGS, CLUSTER_BINDINGS)):
            marked_kind = self._registry.catalog.storage_kind(key.resource)
            found = self._cache.get(*key)
            if marked_kind is None or found is None:
                continue
            await unclaim(self._registry, marked_kind, found, policy)
            if key.resource not in (BINDINGS, CLUSTER_BINDINGS):
                self._templates.enqueue(key, EnqueueReason.POLICY)  # another policy may match
        ours = constants.FINALIZER_PP if entry.key.namespace else constants.FINALIZER_CPP
        if ours in (entry.meta.finalizers or ()):
            await drop_finalizer(self._registry, kind, policy, ours)
