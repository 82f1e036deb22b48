"""What waits for an approval: labels or fields of Clusters that change, so that policies do not mean these any more."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final, NamedTuple, final

from kafila.placement.cluster_expression import expression_of
from kafila.placement.scheduler.filters import may_go_to
from kafila.placement.spec import target_names
from kafila.placement.types import Binding
from kafila.placement.withdrawal import LABELS, Limits, is_approved, labels_edition, waiting_for
from kafila.reconcile.events import Recorder
from kafila.reconcile.facts import FactsNeeded
from kafila.registry import Registry
from kafila.watch import Event

from .clusters import Clusters
from .kinds import BINDINGS, CLUSTER_BINDINGS, stored_binding
from .withdrawals import EVENT_APPROVED, hold

AT_ONCE: Final = 50  # bindings that are read before others get their turn
TOGETHER: Final = 300.0  # seconds: clusters that change within them are one change


class _Counted(NamedTuple):
    """What leaves a cluster for what it is, and what has left it since."""

    edition: str
    objects: int
    at: float  # Unix seconds


@final
class RelabelGuard:
    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters, limits: Limits) -> None:
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._limits = limits
        self._counted: dict[str, _Counted] = {}  # by the name of the cluster
        self._decided: dict[str, str] = {}  # the same: editions; what is held has been said on the Cluster by then
        self._held: set[str] = set()  # clusters that something stays in
        self._counting = asyncio.Lock()

    def holds(self, clusters: frozenset[str]) -> frozenset[str]:
        """Those of the clusters that nothing leaves for now, though the placement does not mean them any more. Raises FactsNeeded.

        It is asked for each object, so that what takes longer the more there are is done once (`count`).
        """
        if self._limits == (0, 0):
            return frozenset()
        held = set[str]()
        for name in clusters:
            cluster = self._clusters.get(name)
            if cluster is None or is_approved(cluster, LABELS):
                continue
            if waiting_for(cluster, LABELS):  # also what whoever led before us has said
                held.add(name)
                self._held.add(name)
            elif not self._knows(name):
                raise _NotCounted(self, clusters)
        return frozenset(held)

    def is_approval(self, event: Event) -> bool:
        """Has somebody approved of what waited? Then it is told, by whoever has held it."""
        name = event.key.name
        cluster = self._clusters.get(name)
        if cluster is None or name not in self._held or not is_approved(cluster, LABELS):
            return False
        self._held.discard(name)
        self._recorder.event(cluster, "Normal", EVENT_APPROVED, "What waited is carried out")
        return True

    def _knows(self, name: str) -> bool:
        cluster = self._clusters.get(name)
        return cluster is not None and self._decided.get(name) == labels_edition(cluster)

    async def count(self, asked: frozenset[str]) -> None:
        async with self._counting:
            if all(self._knows(name) for name in asked):
                return  # by now, for another object
            now = time.time()
            recent = frozenset(self._clusters.changed_after(now - TOGETHER)) | asked
            leaving = await self._leaving(recent)
            for name in recent:
                self._note(name, leaving[name], now)
            for name in [name for name, each in self._counted.items() if each.at < now - TOGETHER]:
                del self._counted[name]
                self._decided.pop(name, None)
            for name in asked:
                await self._decide(name)

    def _note(self, name: str, objects: int, now: float) -> None:
        """What has left since the cluster is what it is counts along, else all could leave one by one."""
        cluster = self._clusters.get(name)
        if cluster is None:
            return
        edition, before = labels_edition(cluster), self._counted.get(name)
        if before is not None and before.edition == edition:
            objects = max(objects, before.objects)
        self._counted[name] = _Counted(edition, objects, now)

    async def _decide(self, name: str) -> None:
        """Raises StatusError when it cannot be told: then nothing leaves yet, and whoever asks next tells it."""
        found, cluster = self._counted.get(name), self._clusters.get(name)
        if found is None or cluster is None:
            return
        emptied = sum(each.objects > 0 for each in self._counted.values())
        if self._limits.exceeded(found.objects, emptied):
            others = f"; so it is of {emptied} clusters" if emptied > 1 else ""
            text = f"{found.objects} objects leave {name}, which their policies do not mean any more{others}"
            await hold(self._registry, self._recorder, self._clusters.kind, cluster, text, LABELS)
        self._decided[name] = found.edition

    async def _leaving(self, clusters: frozenset[str]) -> Counter[str]:
        found: Counter[str] = Counter()
        entries = [e for each in (BINDINGS, CLUSTER_BINDINGS) for e in self._registry.cache.resource(each).entries()]
        for index, entry in enumerate(entries):
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            binding = stored_binding(entry)
            if not binding["spec"].get("preserveResourcesOnDeletion"):
                found.update(name for name in target_names(binding["spec"]) & clusters if self._is_left(binding, name))
        return found

    def _is_left(self, binding: Binding, name: str) -> bool:
        info, expression = self._clusters.info(name), expression_of(binding)
        if info is None or binding["spec"].get("placement") is None:
            return False
        if not may_go_to(binding, (name,), self._clusters.snapshot()):
            return True
        if not expression:
            return False
        outcome = info.outcome(expression)
        return not outcome.matches and not outcome.error


@final
class _NotCounted(FactsNeeded):
    def __init__(self, guard: RelabelGuard, clusters: frozenset[str]) -> None:
        super().__init__("what leaves clusters for what they are has to be counted")
        self._guard = guard
        self._clusters = clusters

    async def fetch(self) -> None:
        await self._guard.count(self._clusters)
