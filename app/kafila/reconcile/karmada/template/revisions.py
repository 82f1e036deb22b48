"""Revisions of templates: kept beside the binding, in the commit of the rollout that may need them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final, final

import structlog

from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.resources import split_api_version
from kafila.core.values import AnyObject, Object
from kafila.placement.constants import Identity
from kafila.placement.objects import name, namespace
from kafila.placement.rollout.revision import DIGITS, GROUP, name_of
from kafila.placement.types import Binding
from kafila.reconcile.karmada.indexes import binding_key, owner_of
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change, DeleteOptions
from kafila.watch import Entry

from .steps.facts import StoredRevision

REVISIONS: Final = (f"templaterevisions.{GROUP}", f"clustertemplaterevisions.{GROUP}")
log = structlog.get_logger(__name__)


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

    async def collect(self) -> None:
        """Those that no binding names: of a commit in several transactions the revision comes first, and then the process may have died.

        Nobody may bring a rollout on meanwhile.
        """
        await self._registry.wait_for_consistent_read()  # a binding that names one may just have been written
        for kind in (self._own, self._cluster_wide):
            for entries in self._registry.cache.resource(kind.resource).chunks():
                for entry in entries:
                    if not self._is_named(entry):
                        await self._delete(kind, entry)
                await asyncio.sleep(0)

    def _is_named(self, entry: Entry) -> bool:
        owner, cache = owner_of(entry), self._registry.cache
        if owner is None:
            return True  # somebody else has made it
        group, _ = split_api_version(owner.apiVersion)
        template = Identity(group, owner.kind, entry.key.namespace, owner.name)
        binding = cache.get(*binding_key(cache, template))
        return binding is not None and binding.mentions(entry.key.name[-DIGITS:].encode())

    async def _delete(self, kind: Kind, entry: Entry) -> None:
        options = DeleteOptions(uid=entry.meta.uid, resource_version=str(entry.revision))
        try:
            await self._registry.delete(kind, entry.key.namespace, entry.key.name, options)
        except StatusError as error:
            # whatever keeps this one here (a webhook, a database that is away), no template waits for it: the next start looks again
            if not error.is_not_found and not error.is_conflict:
                log.warning("a revision that nobody names is still there", revision=str(entry.key), error=str(error))

    def _kind_of(self, obj: AnyObject) -> Kind:
        return self._own if namespace(obj) else self._cluster_wide
