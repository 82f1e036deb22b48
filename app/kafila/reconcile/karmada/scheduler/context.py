"""What the scheduler is given besides the binding and the clusters, and who has to be asked for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import final

from kafila.core.clock import parse_rfc3339
from kafila.core.feature_gates import Gates
from kafila.core.resources import Key
from kafila.placement.cluster_expression import AT_ONCE, expression_of
from kafila.placement.cluster_scores import weighting
from kafila.placement.objects import annotations_of
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo, ClusterSnapshot
from kafila.placement.scheduler.filters import feasible, may_go_to
from kafila.placement.scheduler.plugins import SchedulerPlugin
from kafila.placement.scheduler.schedule import SchedulingContext, estimators_asked, peers_needed
from kafila.placement.types import Binding
from kafila.reconcile.facts import FactsNeeded
from kafila.reconcile.karmada.cluster_scores import ClusterScores
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import Kinds
from kafila.registry import Registry
from kafila.registry.threads import BIG, in_thread
from kafila.settings.federation import EstimatorOptions

from .assume_cache import AssumeCache
from .estimators import Estimates, EstimatesNeeded, Estimators


@final
class OutcomesNeeded(FactsNeeded):
    """A cluster expression has to be evaluated for these clusters, which remember what came out."""

    def __init__(self, expression: str, clusters: Sequence[ClusterInfo]) -> None:
        super().__init__("a cluster expression has to be evaluated")
        self._expression = expression
        self._clusters = clusters

    async def fetch(self) -> None:
        await in_thread(BIG, self._evaluate)

    def _evaluate(self) -> None:
        for cluster in self._clusters:
            cluster.outcome(self._expression)


def _unasked(expression: str, snapshot: ClusterSnapshot) -> list[ClusterInfo]:
    """The clusters that do not know yet whether they match, where these are many."""
    found = [cluster for cluster in snapshot.members if not cluster.knows(expression)]
    return found if len(found) > AT_ONCE else []


@final
class Scheduler:
    def __init__(
        self,
        registry: Registry,
        clusters: Clusters,
        gates: Gates,
        options: EstimatorOptions,
        plugins: Sequence[SchedulerPlugin] = (),
    ) -> None:
        self._registry = registry
        self._kinds = Kinds(registry)
        self._clusters = clusters
        self._gates = gates
        self._plugins = tuple(plugins)
        self._scores = ClusterScores(registry.cache)
        self._estimators = Estimators(registry.cache, gates, options)
        self.assume_cache = AssumeCache(gates)
        self._storing: dict[Key, Binding] = {}  # bindings whose peers ask where they are

    def close(self) -> None:
        self._estimators.close()

    @contextmanager
    def storing(self, key: Key, before: Binding | None, binding: Binding) -> Iterator[None]:
        """While a decision is stored, whoever is decided about meanwhile reckons with it."""
        with self.assume_cache.placing(key, before, binding):
            if peers_needed(binding, self._gates):
                self._storing[key] = binding
            try:
                yield
            finally:
                self._storing.pop(key, None)

    def settled(self, key: Key, before: Binding | None, binding: Binding) -> None:
        """What members report of it has changed."""
        self.assume_cache.settled(key, before, binding)

    def context(self, binding: Binding, snapshot: ClusterSnapshot, estimates: Estimates) -> SchedulingContext:
        """Raises OutcomesNeeded where a cluster expression is to be evaluated for many clusters, and EstimatesNeeded where ``estimates`` lack what estimators are to be asked."""
        gates, expression = self._gates, expression_of(binding)
        if expression and (unasked := _unasked(expression, snapshot)):
            raise OutcomesNeeded(expression, unasked)
        peers = self._peers(binding) if peers_needed(binding, gates) else []
        assumed = self.assume_cache.by_cluster()
        allowed = self._clusters.allowed_in(binding["metadata"].get("namespace", ""))
        found: list[Mapping[str, int]] = []
        if self._estimators.enabled and estimators_asked(binding):
            affinity = (binding.get("status") or {}).get("schedulerObservingAffinityName") or ""
            fit, _ = feasible(
                binding["spec"], affinity, snapshot, gates=gates, peers=peers, allowed=allowed, expression=expression
            )
            if fit:
                request = self._estimators.request(binding["spec"], fit, assumed)
                answers = estimates.of(request)
                if answers is None:
                    raise EstimatesNeeded(self._estimators, request, estimates)
                found = [answers] if answers else []
        asked = weighting(annotations_of(binding), self._scores.get, time.time())
        return SchedulingContext(gates, found, assumed, self._plugins, peers, allowed, weighting=asked)

    def is_asked_for(self, binding: Binding, before: Binding | None) -> bool:
        """Does something besides a periodic run lead to a decision, which then says when it was made?"""
        last = (binding.get("status") or {}).get("lastScheduledTime")
        if last is None or before is None or binding["spec"] != before["spec"]:
            return True
        changed = self._clusters.changed_after(parse_rfc3339(last))
        return may_go_to(binding, changed, self._clusters.snapshot())

    def _peers(self, binding: Binding) -> list[Binding]:
        """The other bindings of the namespace, as they are to be."""
        kind, metadata = self._kinds.binding, binding["metadata"]
        entries = self._registry.cache.resource(kind.resource).entries(metadata.get("namespace", ""))
        stored = [entry for entry in entries if entry.key.name != metadata["name"] and entry.key not in self._storing]
        return [*(self._kinds.read_binding(entry) for entry in stored), *self._storing.values()]
