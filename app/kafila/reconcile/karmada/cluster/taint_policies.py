"""ClusterTaintPolicies: conditions of a cluster bring taints and take them away."""

from __future__ import annotations

from typing import final

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.failover.taints import tainted_event, taints_by_policies
from kafila.placement.types import Cluster
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS, OPTIONS
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Event


@final
class TaintPolicies(QueueController[str]):
    name = "clustertaintpolicy"
    about = CLUSTERS

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters) -> None:
        super().__init__(registry.cache, "cluster-taint-policy", concurrency=2)
        self._recorder = recorder
        self._clusters = clusters
        self._registry = registry
        self._kind = self._registry.kind("policy.karmada.io", "v1alpha1", "clustertaintpolicies")
        self._registry.cache.listen(CLUSTERS, self._observe_cluster)
        self._registry.cache.listen(self._kind.resource, self._observe_policy)

    def resync(self) -> None:
        for name in self._clusters.by_name:
            self.queue.add(name, background=True)

    def _observe_cluster(self, event: Event) -> None:
        if event.new is not None:
            self.queue.add(event.key.name)

    def _observe_policy(self, event: Event) -> None:
        """A policy that is gone leaves its taints, as in Karmada."""
        if event.new is not None and (event.old is None or event.old.meta.generation != event.new.meta.generation):
            self.resync()

    async def _reconcile(self, name: str) -> None:
        cluster = self._clusters.get(name)
        policies = self._policies()
        if cluster is None or not policies or not self._changes(cluster, policies):
            return
        recorder = self._recorder

        def tainted(current: Cluster) -> Cluster:
            taints = taints_by_policies(current, policies)
            if taints:
                current["spec"]["taints"] = taints
            else:
                current["spec"].pop("taints", None)
            return current

        try:
            entry = await self._registry.modify(self._clusters.kind, "", name, tainted, OPTIONS)
        except Exception as error:
            recorder.event(cluster, "Warning", constants.EVENT_TAINT_CLUSTER_FAILED, str(error))
            raise
        now = self._clusters.read(entry)
        recorder.event(now, *tainted_event(name, now["spec"].get("taints") or []))

    def _policies(self) -> list[Object]:
        entries = self._registry.cache.resource(self._kind.resource).entries()
        return [decode_entry(self._kind, entry) for entry in entries]

    @staticmethod
    def _changes(cluster: Cluster, policies: list[Object]) -> bool:
        return taints_by_policies(cluster, policies) != (cluster["spec"].get("taints") or [])
