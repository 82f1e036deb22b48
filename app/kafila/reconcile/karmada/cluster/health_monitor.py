"""Clusters in pull mode report themselves: one whose agent stops doing so is Unknown (the monitor of Karmada's cluster controller).

An agent renews the Lease of its cluster's name in karmada-cluster. What counts is when we saw that, not what time the agent says
it is: a process that starts to lead gives every agent the whole time once more, and so does one that could not look for long, or
could not write: its database was away, read only, or it stood still. Nobody could renew a Lease then.
"""

from __future__ import annotations

import time
from typing import Final, final

import structlog

from kafila.core.clock import parse_rfc3339
from kafila.core.conditions import condition, conditions_of, find, with_condition
from kafila.core.errors import StatusError
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.types import Cluster
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import NODES, READY, READY_NODES, Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS, OPTIONS
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.settings.federation import FederationOptions
from kafila.watch import Event

log = structlog.get_logger(__name__)
LEASES: Final = "leases.coordination.k8s.io"
UNKNOWN: Final = condition(
    constants.COND_READY,
    "Unknown",
    "ClusterStatusUnknown",
    "Cluster status controller stopped posting cluster status.",
)
_LOOKS: Final = 4  # of each cluster, while the grace of one lasts
_OFTEN: Final = 0.1  # seconds: the store is not asked more often
NEVER: Final = condition(
    constants.COND_READY,
    "Unknown",
    "ClusterStatusNeverUpdated",
    "Cluster status controller never posted cluster status.",
)


@final
class HealthMonitor(QueueController[str]):
    name = "cluster"
    about = CLUSTERS

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters, options: FederationOptions) -> None:
        super().__init__(registry.cache, "cluster-health")
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._grace = options.cluster_monitor_grace_period
        self._startup_grace = options.cluster_startup_grace_period
        self._renewed: dict[str, str] = {}  # by cluster, what its lease says
        self._seen: dict[str, float] = {}  # when it was renewed, or the condition changed, by our clock
        self._since = 0.0  # since when we look without a gap
        self._looked = 0.0  # when we last could
        registry.cache.listen(CLUSTERS, self._observe)
        registry.cache.listen(LEASES, self._observe_lease)

    async def start(self) -> None:
        self._seen.clear()  # another process may have watched meanwhile
        self._since = self._looked = time.monotonic()
        await super().start()

    def resync(self) -> None:
        for name in self._clusters.by_name:
            self.queue.add(name, background=True)

    def _observe(self, event: Event) -> None:
        """``Clusters`` has seen the event before us: it listens first."""
        name, cluster = event.key.name, self._clusters.get(event.key.name)
        if cluster is None:
            self._seen.pop(name, None)
            self._renewed.pop(name, None)
            return
        if not _is_pulled(cluster):
            return
        _measure(name, cluster)
        if event.old is None or _ready(self._clusters.read(event.old)) != _ready(cluster):
            if event.old is not None:
                self._seen[name] = time.monotonic()
            self.queue.add(name)

    def _observe_lease(self, event: Event) -> None:
        if event.new is None or event.key.namespace != constants.NAMESPACE_KARMADA_CLUSTER:
            return
        name = event.key.name
        renewed = (event.new.decode().get("spec") or {}).get("renewTime") or ""
        if name in self._clusters.by_name and renewed != self._renewed.get(name):
            self._renewed[name] = renewed
            self._seen[name] = time.monotonic()

    async def _look(self) -> float:
        """The time, when the store answers. Raises StatusError 503."""
        if time.monotonic() - self._looked > _OFTEN:
            await self._registry.wait_for_consistent_read()
            now = time.monotonic()
            if now - self._looked > 2 * self._grace / _LOOKS:
                self._since = now
            self._looked = now
        return time.monotonic()

    async def _reconcile(self, name: str) -> None:
        cluster = self._clusters.get(name)
        if cluster is None or not _is_pulled(cluster):
            return
        before = _ready(cluster)
        if before is not None and before.get("status") == "Unknown":
            return
        now = await self._look()
        if before is None:
            age = time.time() - parse_rfc3339(cluster["metadata"]["creationTimestamp"])
            seen, grace, made = self._seen.setdefault(name, now - age), self._startup_grace, NEVER
        else:
            seen, grace, made = self._seen.setdefault(name, now), self._grace, UNKNOWN
        if (left := max(seen, self._since) + grace - now) > 0:
            raise Requeue(min(left, self._grace / _LOOKS) + 0.01, timed=True)
        wrote = False

        def judged(obj: Object) -> Object:
            nonlocal wrote
            wrote = _ready(obj) == before
            if not wrote:
                return obj
            status = dict(obj.get("status") or {})
            status["conditions"] = with_condition(status.get("conditions"), made)
            return {**obj, "status": status}

        try:
            await self._registry.modify(self._clusters.kind, "", name, judged, OPTIONS, "status")
        except StatusError as error:
            if error.code >= 500:  # what we cannot write, agents cannot either
                self._since = time.monotonic()
            raise
        if wrote:
            log.warning("agent not seen", cluster=name, reason=made["reason"], seconds=round(now - seen))
            text = f"{made['message']} Its agent has not renewed its lease for {now - seen:.0f} s"
            self._recorder.event(cluster, "Warning", made["reason"], text)


def _is_pulled(cluster: Cluster) -> bool:
    return cluster["spec"].get("syncMode") == "Pull"


def _ready(cluster: AnyObject) -> AnyObject | None:
    return find(conditions_of(cluster), constants.COND_READY)


def _measure(name: str, cluster: Cluster) -> None:
    ready = _ready(cluster)
    READY.labels(name).set(1 if ready is not None and ready.get("status") == "True" else 0)
    nodes = (cluster.get("status") or {}).get("nodeSummary") or {}
    if nodes:
        NODES.labels(name).set(nodes.get("totalNum", 0))
        READY_NODES.labels(name).set(nodes.get("readyNum", 0))
