"""Cluster-scoped objects that follow workloads: besides a binding of its own, such an object has one in each of their namespaces."""

from __future__ import annotations

from typing import final

from kafila.catalog.kind import Kind
from kafila.core import sets
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.objects import identity, identity_in
from kafila.placement.spec import existing_clusters
from kafila.placement.work.build import namespace_should_be_synced
from kafila.placement.work.shared import ALONE, SharedWorks
from kafila.reconcile.karmada.indexes import WorkIndex, binding_key, ids_of, owns, template_key_of
from kafila.reconcile.karmada.kinds import BINDINGS, Kinds
from kafila.reconcile.karmada.scheduler.backoff import Waiting
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.threads import decoded
from kafila.watch import Entry, Event

from .changes import EnqueueReason
from .pipeline import Pipeline
from .template_queue import TemplateQueue


@final
class AttachedBindings:
    """ResourceBindings of objects without a namespace, and what becomes of them."""

    def __init__(self, registry: Registry, works: WorkIndex, pipeline: Pipeline, queue: TemplateQueue) -> None:
        self._kinds = Kinds(registry)
        self._cache = registry.cache
        self._catalog = registry.catalog
        self._works = works
        self._pipeline = pipeline
        self._queue = queue
        self._templates: dict[Key, Key] = {}
        self._bindings: dict[Key, set[Key]] = {}  # by template

    def clear(self) -> None:
        self._templates.clear()
        self._bindings.clear()

    def __contains__(self, template: Key) -> bool:
        return template in self._bindings

    def observe(self, event: Event) -> None:
        if event.key.resource != BINDINGS:
            return
        if event.new is None:
            self._remove(event.key)
        elif event.old is None or event.old.meta.ownerReferences != event.new.meta.ownerReferences:
            self.put(event.new)

    def put(self, binding: Entry) -> None:
        self._remove(binding.key)
        template = template_key_of(binding, self._catalog) if binding.key.resource == BINDINGS else None
        if template is not None and not template.namespace:
            self._templates[binding.key] = template
            self._bindings.setdefault(template, set()).add(binding.key)

    def _remove(self, binding: Key) -> None:
        template = self._templates.pop(binding, None)
        if template is not None:
            sets.discard(self._bindings, template, binding)

    # -- one template --------------------------------------------------------------------------------------------------

    def shares(self, kind: Kind, template: Entry) -> SharedWorks:
        """All its bindings."""
        if template.key not in self._bindings:
            return ALONE
        return SharedWorks(self._kinds.read_binding(entry) for entry in self._living(kind, template, own=True))

    async def run(self, kind: Kind, key: Key, why: EnqueueReason, shares: SharedWorks) -> None:
        """What follows from the bindings in the namespaces of workloads. What users change of the object has come to these bindings."""
        entry = self._cache.get(*key)  # it may have been claimed meanwhile
        if entry is None or shares is ALONE:
            return
        template, complete = await decoded(kind, entry), True
        for binding in self._living(kind, entry):
            if why == EnqueueReason.STATUS:
                outcome = await self._pipeline.aggregate(kind, template, binding, shares)
            else:
                outcome = await self._pipeline.run(kind, template, None, binding, why, shares)
            complete &= outcome.retry not in ("interpreter", "refused")
            if outcome.missed:
                self._queue.enqueue(key)
        if not complete:
            raise Waiting("not all Works could be made as they shall be")

    # -- the end of a binding ------------------------------------------------------------------------------------------

    def left_by(self, binding: Entry) -> list[Entry]:
        """The Works that go with a binding: all that no other binding of its object needs."""
        works = self._works.of(binding)
        key = template_key_of(binding, self._catalog)
        if key is None or key.namespace:
            return works
        ending = self._kinds.read_binding(binding)
        resource, clusters = ending["spec"]["resource"], existing_clusters(ending["spec"])
        # what another binding has left to this one may still bear the other's labels
        named, _ = self._works.named(identity_in(resource), clusters)
        template, kind = self._cache.get(*key), self._catalog.storage_kind(key.resource)
        stays = SharedWorks()
        if template is not None and kind is not None and not template.meta.deletionTimestamp:
            stays = SharedWorks(self._kinds.read_binding(entry) for entry in self._living(kind, template, own=True))
        kept = stays.needed_by_others(ending)
        found = {work.key: work for work in (*works, *named) if ids_of(work)}
        return [work for work in found.values() if constants.cluster_of(work.key.namespace) not in kept]

    def _living(self, kind: Kind, template: Entry, own: bool = False) -> list[Entry]:
        decoded = decode_entry(kind, template)
        keys = sorted(self._bindings.get(template.key, ()))
        if kind.kind == "Namespace" and namespace_should_be_synced(decoded):
            keys = []  # it goes to every member anyway
        if own:
            keys.append(binding_key(self._cache, identity(decoded)))
        entries = (self._cache.get(*key) for key in keys)
        return [
            entry
            for entry in entries
            if entry is not None and not entry.meta.deletionTimestamp and owns(decoded, entry)
        ]
