"""Templates found by their bindings: what happens around a binding enqueues its template."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import final

from kafila.catalog.catalog import Catalog
from kafila.core.resources import split_api_version
from kafila.placement import constants
from kafila.placement.cluster_affinity import served_kinds
from kafila.placement.spec import target_names
from kafila.placement.types import Cluster
from kafila.reconcile.karmada.indexes import template_key_of
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, stored_binding
from kafila.watch import Cache, Entry, Event, needles

from .template_queue import TemplateQueue

_GROUPS = needles.field("workloadAffinityGroups")


@final
class Enqueuer:
    def __init__(self, cache: Cache, catalog: Catalog, templates: TemplateQueue) -> None:
        self._cache = cache
        self._catalog = catalog
        self._templates = templates
        self.rounds = 0  # how often all of them, or all of some kinds, were enqueued

    def enqueue(self, binding: Entry, background: bool = False) -> None:
        key = template_key_of(binding, self._catalog)
        if key is not None:
            self._templates.enqueue(key, background=background)

    def enqueue_all(self, namespace: str = "") -> None:
        self.rounds += 1
        for binding in self._bindings(namespace):
            self.enqueue(binding, background=True)

    def enqueue_kinds(self, resources: Container[str]) -> None:
        self.rounds += 1
        for binding in self._bindings():
            key = template_key_of(binding, self._catalog)
            if key is not None and key.resource in resources:
                self._templates.enqueue(key, background=True)

    def enqueue_newly_served(self, old: Cluster, new: Cluster) -> None:
        """A member serves kinds that it did not serve before."""
        came = served_kinds(new) - served_kinds(old)
        kinds = (self._catalog.by_kind(*split_api_version(version), kind) for version, kind in came)
        self.enqueue_kinds({kind.resource for kind in kinds if kind is not None})

    def enqueue_failed(self, reason: str, namespace: str = "") -> None:
        """What could not be scheduled for that reason may be scheduled now."""
        needle = needles.text(reason)
        for binding in self._bindings(namespace):
            if binding.mentions(needle):
                self.enqueue(binding, background=True)

    def enqueue_peers(self, event: Event) -> None:
        """A workload left a cluster: those that stay away from it, or go where it is, may fit somewhere now."""
        old, new = event.old, event.new
        if old is None or not old.mentions(_GROUPS):
            return
        if new is None or (
            old.meta.generation != new.meta.generation
            and target_names(stored_binding(new)["spec"]) != target_names(stored_binding(old)["spec"])
        ):
            self.enqueue_failed(constants.REASON_NO_CLUSTER_FIT, event.key.namespace)

    def _bindings(self, namespace: str = "") -> Iterator[Entry]:
        """Of both scopes; of one namespace where it is given."""
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            yield from self._cache.resource(resource).entries(namespace)
