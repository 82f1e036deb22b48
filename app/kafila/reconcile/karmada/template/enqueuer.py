"""Templates found by their bindings: what happens around a binding enqueues its template."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, final

from kafila.catalog.catalog import Catalog
from kafila.core.resources import split_api_version
from kafila.placement import constants
from kafila.placement.cluster_affinity import served_kinds
from kafila.placement.spec import target_names
from kafila.placement.types import Cluster
from kafila.reconcile.chunks import Chunks
from kafila.reconcile.karmada.indexes import template_key_of
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, stored_binding
from kafila.reconcile.low_priority import carry_out
from kafila.reconcile.queue import WorkQueue
from kafila.watch import Cache, Entry, Event, needles

from .template_queue import TemplateQueue

_GROUPS = needles.field("workloadAffinityGroups")


class Around(NamedTuple):
    """Bindings around which something has changed: all of them, those of a namespace, of templates of some resources, or that failed
    for a reason.
    """

    namespace: str = ""
    resources: frozenset[str] | None = None
    failed: str = ""


@final
class Enqueuer:
    """Where many bindings are concerned, they are found in turns of low priority: thousands at once would hold the event loop."""

    def __init__(self, cache: Cache, catalog: Catalog, templates: TemplateQueue) -> None:
        self._cache = cache
        self._catalog = catalog
        self._templates = templates
        self.rounds = 0  # how often all of them, or all of some kinds, were to be enqueued
        self.queue: WorkQueue[Around] = WorkQueue("resource-template-again", self._enqueue_around, unhurried=True)

    def enqueue(self, binding: Entry, background: bool = False, first: bool = False) -> None:
        key = template_key_of(binding, self._catalog)
        if key is not None:
            self._templates.enqueue(key, background=background, first=first)

    def enqueue_all(self, namespace: str = "") -> None:
        self.rounds += 1
        self.queue.add(Around(namespace))

    def enqueue_kinds(self, resources: Iterable[str]) -> None:
        self.rounds += 1
        self.queue.add(Around(resources=frozenset(resources)))

    def enqueue_newly_served(self, old: Cluster, new: Cluster) -> None:
        """A member serves kinds that it did not serve before."""
        came = served_kinds(new) - served_kinds(old)
        kinds = (self._catalog.by_kind(*split_api_version(version), kind) for version, kind in came)
        self.enqueue_kinds({kind.resource for kind in kinds if kind is not None})

    def enqueue_failed(self, reason: str, namespace: str = "") -> None:
        """What could not be scheduled for that reason may be scheduled now."""
        self.queue.add(Around(namespace, failed=reason))

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

    async def _enqueue_around(self, around: Around) -> None:
        await carry_out(self._enqueueing(around))

    def _enqueueing(self, around: Around) -> Chunks:
        needle = needles.text(around.failed) if around.failed else None
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            for chunk in self._cache.resource(resource).chunks(around.namespace):
                for binding in chunk:
                    if needle is None or binding.mentions(needle):
                        self._enqueue_of(binding, around.resources)
                yield

    def _enqueue_of(self, binding: Entry, resources: frozenset[str] | None) -> None:
        key = template_key_of(binding, self._catalog)
        if key is not None and (resources is None or key.resource in resources):
            self._templates.enqueue(key, background=True)
