"""The clusters as they are now, decoded once, and which of them a namespace may use."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import final

from prometheus_client import Gauge

from kafila.core.clock import parse_rfc3339
from kafila.core.conditions import conditions_of, is_true
from kafila.placement import constants
from kafila.placement.allowed_clusters import Limit, limit_of
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.types import Cluster
from kafila.registry import Registry
from kafila.telemetry.members import forget_member, of_member
from kafila.watch import Entry, Event

from .deleted_works import DeletedWorks
from .kinds import CLUSTERS, read_cluster

READY = of_member(Gauge("cluster_ready_state", "Whether the member is ready.", ["member_cluster"]))
NODES = of_member(Gauge("cluster_node_number", "Nodes of the member.", ["member_cluster"]))
READY_NODES = of_member(Gauge("cluster_ready_node_number", "Ready nodes of the member.", ["member_cluster"]))


def is_same_for_scheduler(old: Entry, new: Entry) -> bool:
    """Only what a member reports has changed of a Cluster."""
    before, after = old.meta, new.meta
    same = before.generation == after.generation and before.labels == after.labels
    return same and before.deletionTimestamp == after.deletionTimestamp


def limit_in(namespace: Entry | None) -> Limit | None:
    """Which clusters it may use; None for all."""
    return limit_of(namespace.meta.annotations) if namespace is not None else None


def _is_ready(cluster: Cluster) -> bool:
    return is_true(conditions_of(cluster), constants.COND_READY)


@final
class Clusters:
    """Do not change what it returns."""

    def __init__(self, registry: Registry) -> None:
        self._cache = registry.cache
        self.kind = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        self._by_name: dict[str, Cluster] = {}
        self._ready: set[str] = set()
        self._infos: dict[str, ClusterInfo] = {}  # as the scheduler sees them
        self._snapshot: ClusterSnapshot | None = None
        self._changed: OrderedDict[str, float] = OrderedDict()  # when labels or spec of a cluster changed, newest last
        self._limits: dict[str, Limit] = {}  # of the namespaces that may not use every cluster
        self._cache.listen(CLUSTERS, self._observe)
        self.deleted_works = DeletedWorks(self._cache, self._is_pulled)
        self._cache.listen("namespaces", self._observe_namespace)
        self._cache.on_reset(self.load)
        self.load()

    def load(self) -> None:
        entries = self._cache.resource(CLUSTERS).entries()
        self._by_name = {entry.key.name: self.read(entry) for entry in entries}
        self._ready = {name for name, cluster in self._by_name.items() if _is_ready(cluster)}
        self._infos = {name: ClusterInfo(cluster) for name, cluster in self._by_name.items()}
        self._snapshot = None
        limits = ((entry.key.name, limit_in(entry)) for entry in self._cache.resource("namespaces").entries())
        self._limits = {name: limit for name, limit in limits if limit is not None}

    def _observe(self, event: Event) -> None:
        name = event.key.name
        if event.new is None:
            self._by_name.pop(name, None)
            self._ready.discard(name)
            self._infos.pop(name, None)
            self._changed.pop(name, None)
            forget_member(name)
        else:
            if event.old is None or not is_same_for_scheduler(event.old, event.new):
                self._changed[name] = time.time()
                self._changed.move_to_end(name)
            self._by_name[name] = self.read(event.new)
            if _is_ready(self._by_name[name]):
                self._ready.add(name)
            else:
                self._ready.discard(name)
            before, self._infos[name] = self._infos.get(name), ClusterInfo(self._by_name[name])
            if before is not None:
                self._infos[name].take_over(before)
        self._snapshot = None

    def info(self, cluster: str) -> ClusterInfo | None:
        """As the scheduler sees it."""
        return self._infos.get(cluster)

    def _observe_namespace(self, event: Event) -> None:
        limit = limit_in(event.new)
        if limit is not None:
            self._limits[event.key.name] = limit
        else:
            self._limits.pop(event.key.name, None)

    def read(self, entry: Entry) -> Cluster:
        return read_cluster(self.kind, entry)

    def get(self, name: str) -> Cluster | None:
        return self._by_name.get(name)

    @property
    def by_name(self) -> dict[str, Cluster]:
        return self._by_name

    def ordered(self) -> list[Cluster]:
        """All clusters by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    def snapshot(self) -> ClusterSnapshot:
        """All clusters by name, as they are now."""
        if self._snapshot is None:
            self._snapshot = ClusterSnapshot(self._infos[name] for name in sorted(self._infos))
        return self._snapshot

    def allowed_in(self, namespace: str) -> frozenset[str] | None:
        """Names of the clusters that a namespace may use; None for all."""
        limit = self._limits.get(namespace)
        if limit is None:
            return None
        return self.snapshot().remember(("allowed", limit), lambda: limit.among(self._by_name.values()))

    def changed_after(self, second: float) -> Iterator[str]:
        """Clusters whose labels or spec changed after that second (Unix time), as far as this process has seen."""
        for name in reversed(self._changed):
            if self._changed[name] < second + 1:
                return
            yield name

    def is_ready(self, cluster: str) -> bool:
        return cluster in self._ready

    def _is_pulled(self, cluster: str) -> bool:
        found = self._by_name.get(cluster)
        return found is not None and found["spec"].get("syncMode") == "Pull" and not self.is_leaving(cluster)

    def is_leaving(self, cluster: str) -> bool:
        """Deleted, or about to be."""
        return self.leaving_for(cluster) is not None

    def leaving_for(self, cluster: str) -> float | None:
        """Seconds since it was to be deleted, endless when it is; None while it stays."""
        found = self._by_name.get(cluster)
        if found is None:
            return math.inf
        deleted = found["metadata"].get("deletionTimestamp")
        return max(time.time() - parse_rfc3339(deleted), 0.0) if deleted else None
