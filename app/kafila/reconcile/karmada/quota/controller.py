"""FederatedResourceQuota: ResourceQuotas in members, what these report, and what bindings use."""

from __future__ import annotations

from typing import Any, final

from kafila.core.errors import StatusError
from kafila.core.feature_gates import FEDERATED_QUOTA_ENFORCEMENT, Gates
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.quota import assignments, status_by_bindings, status_by_clusters, usage
from kafila.placement.types import FederatedResourceQuota
from kafila.placement.work.build import quota_work
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.controlled_works import ControlledWorks
from kafila.reconcile.karmada.kinds import BINDINGS, OPTIONS, WORKS, Kinds, read_quota
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.context import Change
from kafila.watch import Entry, Event, needles

QUOTAS = "federatedresourcequotas.policy.karmada.io"
_LABEL = needles.field(constants.FRQ_NAME)


class _QuotaController(QueueController[Key]):
    """What the three have in common: a queue of quotas."""

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters, queue_name: str) -> None:
        super().__init__(registry.cache, queue_name, concurrency=2)
        self._recorder = recorder
        self._clusters = clusters
        self._component = f"{queue_name}-controller"
        self._registry = registry
        self._kinds = Kinds(registry)
        self._kind = self._registry.kind("policy.karmada.io", "v1alpha1", "federatedresourcequotas")
        self._recorded: dict[Key, tuple[Any, ...]] = {}  # generation and message of the last event

    def resync(self) -> None:
        for entry in self._registry.cache.resource(QUOTAS).entries():
            self.queue.add(entry.key, background=True)

    def _quota(self, key: Key) -> FederatedResourceQuota | None:
        entry = self._registry.cache.get(*key)
        if entry is None:
            self._recorded.pop(key, None)
            return None
        return read_quota(self._kind, entry)

    def _record(self, quota: FederatedResourceQuota, event_type: str, reason: str, message: str) -> None:
        """Success is recorded once for each generation, and again after a failure, not every time."""
        metadata = quota["metadata"]
        key, outcome = Key(QUOTAS, metadata["namespace"], metadata["name"]), (metadata.get("generation"), message)
        if event_type == "Normal" and self._recorded.get(key) == outcome:
            return
        self._recorded[key] = outcome
        self._recorder.event(quota, event_type, reason, message, self._component)

    def _works_of(self, key: Key) -> list[Entry]:
        """Quotas are few and so are their Works: they are looked up by name, and by label only when one goes."""
        found = []
        name = constants.work_name("ResourceQuota", key.name, key.namespace)
        for cluster in self._clusters.by_name:
            entry = self._registry.cache.get(WORKS, constants.execution_namespace(cluster), name)
            if entry is not None and _quota_of(entry) == (key.namespace, key.name):
                found.append(entry)
        return found


def _quota_of(work: Entry) -> tuple[str, str]:
    labels = work.meta.labels or {}
    return labels.get(constants.FRQ_NAMESPACE, ""), labels.get(constants.FRQ_NAME, "")


@final
class QuotaSync(_QuotaController):
    """Static assignments become ResourceQuotas in the clusters, by Works."""

    name = "federatedResourceQuotaSync"

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters) -> None:
        super().__init__(registry, recorder, clusters, "federated-resource-quota-sync")
        self._works = ControlledWorks(registry, clusters)
        cache = self._registry.cache
        cache.listen(QUOTAS, self._observe)
        cache.listen("namespaces", self._observe_namespace)
        cache.listen(WORKS, self._observe_work)
        clusters.deleted_works.replay(self._observe_work)

    def resync(self) -> None:
        super().resync()
        for entry in self._registry.cache.resource(WORKS).entries():  # of quotas that were deleted while nothing ran
            if entry.mentions(_LABEL) and _quota_of(entry) != ("", ""):
                self.queue.add(Key(QUOTAS, *_quota_of(entry)), background=True)

    def _observe(self, event: Event) -> None:
        if event.generation_changed:
            self.queue.add(event.key)

    def _observe_namespace(self, event: Event) -> None:
        if event.old is None and event.key.name.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            self.resync()  # a cluster can take Works now

    def _observe_work(self, event: Event) -> None:
        if event.new is None and event.old is not None and _quota_of(event.old) != ("", ""):
            self.queue.add(Key(QUOTAS, *_quota_of(event.old)))

    async def _reconcile(self, key: Key) -> None:
        quota = self._quota(key)
        wanted = assignments(quota) if quota is not None else {}
        for entry in self._works_of(key):
            if constants.cluster_of(entry.key.namespace) not in wanted:
                await self._works.delete(entry)
        if quota is None:
            return
        try:
            await self._registry.commit_together(
                [
                    change
                    for cluster, hard in wanted.items()
                    if cluster in self._clusters.by_name and (change := self._change(quota, cluster, hard)) is not None
                ]
            )
        except StatusError as error:
            self._record(quota, "Warning", constants.EVENT_SYNC_WORK_FAILED, str(error))
            raise
        text = f"Sync works for FederatedResourceQuota({key.namespace}/{key.name}) succeed."
        self._record(quota, "Normal", constants.EVENT_SYNC_WORK, text)

    def _change(self, quota: FederatedResourceQuota, cluster: str, hard: Object) -> Change | None:
        name = constants.work_name("ResourceQuota", quota["metadata"]["name"], quota["metadata"]["namespace"])
        place = self._works.place(cluster, name)
        if place is None:
            return None
        return self._works.change(place, lambda existing: quota_work(quota, cluster, hard, existing))


@final
class QuotaStatus(_QuotaController):
    """What clusters report of their ResourceQuotas is added up."""

    name = "federatedResourceQuotaStatus"

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters, gates: Gates) -> None:
        super().__init__(registry, recorder, clusters, "federated-resource-quota-status")
        self._enforced = FEDERATED_QUOTA_ENFORCEMENT in gates
        self._registry.cache.listen(QUOTAS, self._observe)
        self._registry.cache.listen(WORKS, self._observe_work)

    def _observe(self, event: Event) -> None:
        if event.new is not None and event.generation_changed:
            self.queue.add(event.key)

    def _observe_work(self, event: Event) -> None:
        entry = event.new or event.old
        assert entry is not None
        where = _quota_of(entry)
        if where != ("", ""):
            self.queue.add(Key(QUOTAS, *where))

    async def _reconcile(self, key: Key) -> None:
        quota = self._quota(key)
        if quota is None or quota["metadata"].get("deletionTimestamp"):
            return
        works = [self._kinds.read_work(entry) for entry in self._works_of(key)]

        def summed_up(current: FederatedResourceQuota) -> FederatedResourceQuota:
            return {**current, "status": status_by_clusters(current, works, self._enforced)}

        if summed_up(quota)["status"] != (quota.get("status") or {}):
            try:
                await self._registry.modify(self._kind, key.namespace, key.name, summed_up, OPTIONS, "status")
            except StatusError as error:
                self._record(quota, "Warning", constants.EVENT_AGGREGATE_STATUS_FAILED, str(error))
                raise
        text = f"Collect status of FederatedResourceQuota({key.namespace}/{key.name}) succeed."
        self._record(quota, "Normal", constants.EVENT_AGGREGATE_STATUS, text)


@final
class QuotaEnforcement(_QuotaController):
    """Counts what bindings use. Increments are made where bindings are written; this puts them right."""

    name = "federatedResourceQuotaEnforcement"

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters, period: float) -> None:
        super().__init__(registry, recorder, clusters, "federated-resource-quota-enforcement")
        self._period = period
        self._registry.cache.listen(QUOTAS, self._observe)
        self._registry.cache.listen(BINDINGS, self._observe_binding)

    def _observe(self, event: Event) -> None:
        if event.new is not None and event.generation_changed:
            self.queue.add(event.key)

    def _observe_binding(self, event: Event) -> None:
        if event.new is None:
            for entry in self._registry.cache.resource(QUOTAS).entries(event.key.namespace):
                self.queue.add(entry.key)

    async def _reconcile(self, key: Key) -> None:
        quota = self._quota(key)
        if quota is None or quota["metadata"].get("deletionTimestamp"):
            return
        status = status_by_bindings(quota, self._usages(key.namespace))
        if status != (quota.get("status") or {}):
            # counted on the revision that was read: a binding that was counted meanwhile makes us count again
            entry = self._registry.cache.get(*key)
            if entry is None:
                return
            change = self._registry.stage_update(self._kind, entry, {**quota, "status": status}, OPTIONS, "status")
            await self._registry.commit_together([change])
        text = f"Collect status of FederatedResourceQuota({key.namespace}/{key.name}) succeed."
        self._record(quota, "Normal", constants.EVENT_OVERALL_STATUS, text)
        if self._period > 0:
            raise Requeue(self._period, timed=True)

    def _usages(self, namespace: str) -> list[dict[str, Any]]:
        entries = self._registry.cache.resource(BINDINGS).entries(namespace)
        return [usage(self._kinds.read_binding(entry)["spec"]) for entry in entries]
