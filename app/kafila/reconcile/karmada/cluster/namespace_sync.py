"""The namespace-sync controller: every namespace of users exists in every member that it may use, also in one that joins later."""

from __future__ import annotations

import re
from typing import Any, final

from kafila.catalog.kind import Kind
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.detector.match import is_skipped_namespace
from kafila.placement.override.patch import OverrideError
from kafila.placement.types import Cluster, OverridePolicy
from kafila.placement.work.build import namespace_should_be_synced, namespace_work
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.controlled_works import ControlledWorks
from kafila.reconcile.karmada.kinds import CLUSTERS, WORKS, read_override_policy
from kafila.reconcile.karmada.override_policies import read_long_texts
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change
from kafila.watch import Entry, Event


@final
class NamespaceSync(QueueController[str]):
    name = "namespace"
    about = "namespaces"

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters, skipped: str) -> None:
        super().__init__(registry.cache, "namespace-sync", concurrency=4)
        self._recorder = recorder
        self._clusters = clusters
        self._registry = registry
        self._works = ControlledWorks(registry, clusters)
        self._skipped = (re.compile(skipped),) if skipped else ()
        self._kind: Kind = self._registry.kind("", "v1", "namespaces")
        self._overrides: Kind = self._registry.kind("policy.karmada.io", "v1alpha1", "clusteroverridepolicies")
        cache = self._registry.cache
        cache.listen("namespaces", self._observe)
        cache.listen(CLUSTERS, self._observe_cluster)
        cache.listen(WORKS, self._observe_work)
        clusters.deleted_works.replay(self._observe_work)
        cache.listen(self._overrides.resource, lambda event: self.resync())

    def resync(self) -> None:
        for entry in self._registry.cache.resource("namespaces").entries():
            self.queue.add(entry.key.name, background=True)

    def _observe(self, event: Event) -> None:
        name = event.key.name
        if event.new is None:
            return
        self.queue.add(name)
        if event.old is None and name.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            self.resync()  # a cluster can take Works now

    def _observe_cluster(self, event: Event) -> None:
        old, new = event.old, event.new
        if old is None or (new is not None and _chosen_by(old) != _chosen_by(new)):
            self.resync()

    def _observe_work(self, event: Event) -> None:
        """The Work of a namespace is gone: perhaps it was another namespace's of that name."""
        if event.new is None and event.old is not None:
            for owner in event.old.meta.ownerReferences or ():
                if owner.kind == "Namespace":
                    self.queue.add(owner.name)

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get("namespaces", "", name)
        if entry is None or is_skipped_namespace(name, self._skipped):
            return
        template = decode_entry(self._kind, entry)
        if not namespace_should_be_synced(template):
            return
        policies = [
            read_override_policy(self._overrides, e)
            for e in self._registry.cache.resource(self._overrides.resource).entries()
        ]
        await read_long_texts(template, policies)
        changes, failed = [], None
        for cluster in self._clusters.ordered():
            try:
                if (change := self._change(template, cluster, policies)) is not None:
                    changes.append(change)
            except OverrideError as error:  # the other clusters get theirs
                failed = error
                if error.event:
                    self._record(template, "Warning", constants.EVENT_APPLY_OVERRIDE_FAILED, error.event)
        await self._registry.commit_together(changes)
        if failed is not None:
            raise failed

    def _change(self, template: Object, cluster: Cluster, policies: list[OverridePolicy]) -> Change | None:
        name = template["metadata"]["name"]
        place = self._works.place(cluster["metadata"]["name"], constants.work_name("Namespace", name))
        if place is None:
            return None
        allowed = self._clusters.allowed_in(name)
        if place.entry is None and allowed is not None and cluster["metadata"]["name"] not in allowed:
            return None  # where it is already it stays, with what others have put into it
        existing = self._works.stored(place)
        work, overridden = namespace_work(template, cluster, policies, existing)
        if work is existing:
            return None
        for message in overridden:
            self._record(template, "Normal", constants.EVENT_APPLY_OVERRIDE, message)
        return self._works.staged(place, work)

    def _record(self, template: Object, event_type: str, reason: str, message: str) -> None:
        self._recorder.event(template, event_type, reason, message)


def _chosen_by(cluster: Entry) -> list[Any]:
    """What overrides can choose a cluster by."""
    spec = cluster.decode().get("spec") or {}
    return [cluster.meta.labels, *(spec.get(field) for field in ("provider", "region", "zones"))]
