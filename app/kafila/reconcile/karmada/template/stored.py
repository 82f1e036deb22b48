"""What is stored: of one binding, and of what a decision about it asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import final

from kafila.catalog.kind import Kind
from kafila.core.feature_gates import Gates
from kafila.core.values import Object
from kafila.placement.constants import Identity
from kafila.placement.interpreter import Interpreter
from kafila.placement.objects import identity
from kafila.placement.scheduler.cluster_snapshot import ClusterSnapshot
from kafila.placement.scheduler.schedule import SchedulingContext
from kafila.placement.types import Binding, Cluster, PropagationPolicy
from kafila.placement.work.build import Overrides
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.indexes import WorkIndex, binding_key, stored_size
from kafila.reconcile.karmada.kinds import Kinds, read_quota
from kafila.reconcile.karmada.override_policies import OverrideIndex
from kafila.reconcile.karmada.priority_classes import PriorityClasses
from kafila.reconcile.karmada.propagation_policies import PolicyIndex
from kafila.reconcile.karmada.quota.controller import QUOTAS
from kafila.reconcile.karmada.relabelings import RelabelGuard
from kafila.reconcile.karmada.scheduler.context import Scheduler
from kafila.reconcile.karmada.scheduler.decision_records import DecisionRecorder
from kafila.reconcile.karmada.scheduler.estimators import Estimates
from kafila.reconcile.karmada.withdrawals import PolicyGuard
from kafila.registry import Registry
from kafila.registry.threads import in_thread, on_loop
from kafila.watch import Entry

from .revisions import Revisions
from .steps.facts import Facts, StoredQuota, StoredRevision, StoredWork


@final
class StoredBindings:
    """Reads a binding and its Works, and makes the facts for decisions about it."""

    def __init__(
        self,
        registry: Registry,
        clusters: Clusters,
        priority_classes: PriorityClasses,
        gates: Gates,
        works: WorkIndex,
        overrides: OverrideIndex,
        policies: PolicyIndex,
        scheduler: Scheduler,
        decisions: DecisionRecorder,
        guard: PolicyGuard,
        relabeling: RelabelGuard,
    ) -> None:
        self.registry = registry
        self.clusters = clusters
        self.priority_classes = priority_classes
        self.gates = gates
        self.kinds = Kinds(registry)
        self.works = works
        self.overrides = overrides
        self.policies = policies
        self.scheduler = scheduler
        self.decisions = decisions
        self.guard = guard
        self.relabeling = relabeling
        self.revisions = Revisions(registry)
        self.quota_kind = registry.kind("policy.karmada.io", "v1alpha1", "federatedresourcequotas")

    def facts(self) -> Callable[[Interpreter], Facts]:
        """For one decision, however often its steps are run."""
        return partial(StoredFacts, self, Estimates())

    async def read_ahead(self, template: Object) -> None:
        await self.overrides.read_ahead(template)

    def size_of(self, kind: Kind, template: Object) -> int:
        return stored_size(self.registry.cache, kind, template)

    def binding(self, entry: Entry) -> Binding:
        return self.kinds.read_binding(entry)

    async def works_of(self, binding: Entry) -> list[StoredWork]:
        entries = self.works.of(binding)
        return await in_thread(sum(len(entry.body) for entry in entries), lambda: self.decoded(entries))

    def decoded(self, works: Iterable[Entry]) -> list[StoredWork]:
        return [StoredWork(self.kinds.read_work(entry), entry) for entry in works]


@final
class StoredFacts:
    """`steps.Facts`. For what is big the steps run in a thread: what belongs to the event loop is asked for there."""

    def __init__(self, stored: StoredBindings, estimates: Estimates, interpreter: Interpreter) -> None:
        self._stored = stored
        self._estimates = estimates
        self.interpreter = interpreter

    @property
    def gates(self) -> Gates:
        return self._stored.gates

    def name_of_binding(self, template: Object) -> str:
        cache = self._stored.registry.cache
        return on_loop(lambda: binding_key(cache, identity(template)).name)

    def priority_classes(self) -> Mapping[str, int]:
        return on_loop(self._stored.priority_classes.values)

    def is_held(self, policy: PropagationPolicy) -> bool:
        """Raises FactsNeeded."""
        return on_loop(partial(self._stored.guard.holds, policy))

    def kept_in(self, clusters: frozenset[str]) -> frozenset[str]:
        """Raises FactsNeeded."""
        return on_loop(partial(self._stored.relabeling.holds, clusters))

    def candidates(self, template: Object) -> tuple[Sequence[PropagationPolicy], Sequence[PropagationPolicy]]:
        return on_loop(partial(self._stored.policies.candidates, template))

    def clusters(self) -> Mapping[str, Cluster]:
        return self._stored.clusters.by_name

    def snapshot(self) -> ClusterSnapshot:
        return on_loop(self._stored.clusters.snapshot)

    def allowed_clusters(self, namespace: str) -> frozenset[str] | None:
        return on_loop(partial(self._stored.clusters.allowed_in, namespace))

    def scheduling_context(self, binding: Binding, snapshot: ClusterSnapshot) -> SchedulingContext:
        """Raises EstimatesNeeded."""
        return on_loop(partial(self._stored.scheduler.context, binding, snapshot, self._estimates))

    def is_asked_for(self, binding: Binding, before: Binding | None) -> bool:
        return on_loop(partial(self._stored.scheduler.is_asked_for, binding, before))

    def decision_record(self, binding: Binding) -> Object | None:
        return on_loop(partial(self._stored.decisions.of, binding))

    def now(self) -> float:
        return time.time()

    def kept_revision(self, binding: Binding, revision: str) -> StoredRevision | None:
        return on_loop(partial(self._stored.revisions.of, binding, revision))

    def quotas(self, namespace: str) -> Sequence[StoredQuota]:
        kind, cache = self._stored.quota_kind, self._stored.registry.cache
        entries = on_loop(lambda: list(cache.resource(QUOTAS).entries(namespace)))
        return [StoredQuota(read_quota(kind, entry), entry) for entry in entries]

    def overrides(self, namespace: str) -> Overrides:
        return on_loop(partial(self._stored.overrides.overrides, namespace))

    def works_named(self, obj: Identity, clusters: Collection[str]) -> tuple[Sequence[StoredWork], Collection[str]]:
        if not clusters:
            return (), ()
        found, taken = on_loop(lambda: self._stored.works.named(obj, clusters))
        return self._stored.decoded(found), taken
