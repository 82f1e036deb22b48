"""What the federation controllers share: the registry, who interprets, what is known of the clusters."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import final

import structlog

from kafila.catalog.kind import Kind
from kafila.core.conditions import conditions_of, is_true
from kafila.core.errors import StatusError
from kafila.core.feature_gates import DEFAULT_GATES, PRIORITY_BASED_SCHEDULING, Gates
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.detector import binding as bindings
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import Interpreting
from kafila.registry import Options, Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry, Event

log = structlog.get_logger(__name__)

WORKS = "works.work.karmada.io"
BINDINGS = "resourcebindings.work.karmada.io"
CLUSTERS = "clusters.cluster.karmada.io"
CLUSTER_BINDINGS = "clusterresourcebindings.work.karmada.io"
OPTIONS = Options(manager="karmada-controller-manager")


def is_same_for_scheduler(old: Entry, new: Entry) -> bool:
    """Only what a member reports has changed of a Cluster."""
    before, after = old.meta, new.meta
    same = before.generation == after.generation and before.labels == after.labels
    return same and before.deletionTimestamp == after.deletionTimestamp


@final
class Federation:
    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        interpreting: Interpreting,
        gates: Gates = DEFAULT_GATES,
    ) -> None:
        self.registry = registry
        self.recorder = recorder
        self.interpreting = interpreting
        self.gates = gates
        self.work_kind = registry.kind("work.karmada.io", "v1alpha1", "works")
        self.binding_kind = registry.kind("work.karmada.io", "v1alpha2", "resourcebindings")
        self.cluster_binding_kind = registry.kind("work.karmada.io", "v1alpha2", "clusterresourcebindings")
        self.cluster_kind = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        self._priority_class_kind = registry.kind("scheduling.k8s.io", "v1", "priorityclasses")
        self._clusters: dict[str, Object] = {}
        self._members: dict[str, ClusterInfo] = {}  # as the scheduler sees them
        self._snapshot: ClusterSnapshot | None = None
        self._changed: OrderedDict[str, float] = OrderedDict()  # when labels or spec of a cluster changed, newest last
        self._priority_classes: dict[str, int] | None = None
        registry.cache.listen(CLUSTERS, self._observe)
        registry.cache.listen(self._priority_class_kind.resource, self._observe_priority_class)
        registry.cache.on_reset(self.load)
        self.load()

    def load(self) -> None:
        entries = self.registry.cache.resource(CLUSTERS).entries()
        self._clusters = {entry.key.name: decode_entry(self.cluster_kind, entry) for entry in entries}
        self._members = {name: ClusterInfo(cluster) for name, cluster in self._clusters.items()}
        self._snapshot = None
        self._priority_classes = None

    def _observe(self, event: Event) -> None:
        name = event.key.name
        if event.new is None:
            self._clusters.pop(name, None)
            self._members.pop(name, None)
            self._changed.pop(name, None)
        else:
            if event.old is None or not is_same_for_scheduler(event.old, event.new):
                self._changed[name] = time.time()
                self._changed.move_to_end(name)
            self._clusters[name] = decode_entry(self.cluster_kind, event.new)
            self._members[name] = ClusterInfo(self._clusters[name])
        self._snapshot = None

    def _observe_priority_class(self, event: Event) -> None:
        self._priority_classes = None

    # -- clusters (do not change what these return) --------------------------------------------------------------------

    def cluster(self, name: str) -> Object | None:
        return self._clusters.get(name)

    @property
    def clusters_by_name(self) -> dict[str, Object]:
        return self._clusters

    def clusters(self) -> list[Object]:
        """All clusters by name."""
        return [self._clusters[name] for name in sorted(self._clusters)]

    def snapshot(self) -> ClusterSnapshot:
        """All clusters by name, as they are now."""
        if self._snapshot is None:
            self._snapshot = ClusterSnapshot(self._members[name] for name in sorted(self._members))
        return self._snapshot

    def changed_after(self, second: float) -> Iterator[str]:
        """Clusters whose labels or spec changed after that second (Unix time), as far as this process has seen."""
        for name in reversed(self._changed):
            if self._changed[name] < second + 1:
                return
            yield name

    def is_ready(self, cluster: str) -> bool:
        found = self._clusters.get(cluster)
        return found is not None and is_true(conditions_of(found), constants.COND_READY)

    def is_leaving(self, cluster: str) -> bool:
        """Deleted, or about to be."""
        found = self._clusters.get(cluster)
        return found is None or bool(found["metadata"].get("deletionTimestamp"))

    def left_behind(self, cluster: str, work: Object) -> None:
        """Says that a copy stays in a cluster that leaves and cannot be asked, as in Karmada."""
        found = self._clusters.get(cluster)
        if (work.get("spec") or {}).get("preserveResourcesOnDeletion"):
            return
        for manifest in ((work.get("spec") or {}).get("workload") or {}).get("manifests") or ():
            metadata = manifest["metadata"]
            copy = f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
            log.warning("left behind in a cluster that left", cluster=cluster, copy=copy)
            if found is not None:
                message = f"{copy} stays in cluster {cluster}: it is not ready, and is being removed"
                self.recorder.event(found, "Warning", "CopyLeftBehind", message)

    # -- bindings ------------------------------------------------------------------------------------------------------

    def kind_of_binding(self, key: Key) -> Kind:
        return self.binding_kind if key.resource == BINDINGS else self.cluster_binding_kind

    def record_for_binding(self, binding: Object, event_type: str, reason: str, message: str) -> None:
        """An event on the binding and on its template."""
        self.recorder.event(binding, event_type, reason, message)
        resource = binding["spec"]["resource"]
        metadata = {key: resource[key] for key in ("namespace", "name", "uid", "resourceVersion") if resource.get(key)}
        template = {"apiVersion": resource["apiVersion"], "kind": resource["kind"], "metadata": metadata}
        self.recorder.event(template, event_type, reason, message)

    # -- what else is known -----------------------------------------------------------------------------------------------

    def priority_classes(self) -> dict[str, int]:
        """The value of each PriorityClass, as far as anybody asks. Do not change it."""
        if PRIORITY_BASED_SCHEDULING not in self.gates:
            return {}
        if self._priority_classes is None:
            entries = self.registry.cache.resource(self._priority_class_kind.resource).entries()
            self._priority_classes = {entry.key.name: entry.decode().get("value") or 0 for entry in entries}
        return self._priority_classes

    # -- small writes --------------------------------------------------------------------------------------------------

    async def drop_finalizer(self, kind: Kind, obj: Object, finalizer: str) -> None:
        def without(current: Object) -> Object:
            kept = [f for f in current["metadata"].get("finalizers") or () if f != finalizer]
            if kept:
                current["metadata"]["finalizers"] = kept
            else:
                current["metadata"].pop("finalizers", None)
            return current

        metadata = obj["metadata"]
        try:
            await self.registry.modify(kind, metadata.get("namespace", ""), metadata["name"], without, OPTIONS)
        except StatusError as error:
            if not error.is_not_found:
                raise

    def size_of(self, kind: Kind, obj: Object) -> int:
        """Bytes that are stored of an object."""
        metadata = obj["metadata"]
        entry = self.registry.cache.get(kind.resource, metadata.get("namespace", ""), metadata["name"])
        return len(entry.body) if entry is not None else 0

    async def unclaim(self, kind: Kind, entry: Entry, policy: Object | None = None) -> Entry:
        """Takes the claim of ``policy``, or of any, off a template or binding; what was placed by it stays, as in Karmada."""
        obj = decode_entry(kind, entry)
        if bindings.unclaim(obj, policy) is obj:
            return entry
        try:
            key = entry.key
            return await self.registry.modify(
                kind, key.namespace, key.name, lambda current: bindings.unclaim(current, policy), OPTIONS
            )
        except StatusError as error:
            if not error.is_not_found:
                raise
            return entry
