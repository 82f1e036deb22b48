"""Revisions of templates: kept beside the binding, in the commit of the rollout that may need them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, final

from kafila.catalog.kind import Kind
from kafila.core.values import AnyObject, Object
from kafila.placement.objects import name, namespace
from kafila.placement.rollout.revision import GROUP, name_of
from kafila.placement.types import Binding
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change, DeleteOptions
from kafila.watch import Entry

from .steps.facts import StoredRevision

REVISIONS: Final = (f"templaterevisions.{GROUP}", f"clustertemplaterevisions.{GROUP}")


@final
class Revisions:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._own: Kind = registry.kind(GROUP, "v1alpha1", "templaterevisions")
        self._cluster_wide: Kind = registry.kind(GROUP, "v1alpha1", "clustertemplaterevisions")

    def of(self, binding: Binding, revision: str) -> StoredRevision | None:
        kind = self._kind_of(binding)
        entry = self._registry.cache.get(kind.resource, namespace(binding), name_of(binding, revision))
        return StoredRevision(decode_entry(kind, entry), entry) if entry is not None else None

    def staged(self, revision: Object) -> Change:
        """Raises StatusError where it may not be stored."""
        kind = self._kind_of(revision)
        entry = self._registry.cache.get(kind.resource, namespace(revision), name(revision))
        if entry is None:
            change = self._registry.stage_create(kind, namespace(revision), revision, OPTIONS)
        else:
            change = self._registry.stage_update(kind, entry, revision, OPTIONS)
        self._registry.transactions.check_size(change)
        return change

    def given_up(self, entries: Iterable[Entry]) -> Iterator[Change]:
        for entry in entries:
            kind = self._own if entry.key.namespace else self._cluster_wide
            yield self._registry.stage_delete(kind, entry, DeleteOptions(uid=entry.meta.uid))

    def _kind_of(self, obj: AnyObject) -> Kind:
        return self._own if namespace(obj) else self._cluster_wide
