"""Taints that would empty very much wait for an approval: a slip, or a control plane that has lost its network, is no failover."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, final

from kafila.core.resources import Key
from kafila.placement.failover.taints import no_execute
from kafila.placement.spec import target_names
from kafila.placement.types import Binding, Cluster
from kafila.placement.withdrawal import Limits, generation, is_approved
from kafila.reconcile.chunks import Chunks
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, stored_binding
from kafila.reconcile.karmada.withdrawals import EVENT_APPROVED, hold
from kafila.reconcile.low_priority import carry_out
from kafila.registry import Registry

AGAIN: Final = 5.0  # seconds between two counts of the same taints, at least
SHARE: Final = 10  # and so many times as long as the last one took
AT_ONCE: Final = 50  # bindings that are read before others get their turn
_Tainted = frozenset[tuple[str, int]]  # names of clusters and their generations


@final
class EvictionGuard:
    """``leaves``: whether a binding leaves a cluster for its taints, now or when its toleration ends."""

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        clusters: Clusters,
        leaves: Callable[[Binding, Cluster], bool],
        limits: Limits,
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._leaves = leaves
        self._limits = limits
        self._of: _Tainted | None = None  # what was counted
        self._leaving: dict[str, set[Key]] = {}  # bindings that leave, and that have left, by the name of the cluster
        self._is_stale = False  # bindings have come to tainted clusters, or tolerate less, since
        self._next = 0.0  # when it may be counted anew, by the event loop's clock
        self._counting = asyncio.Lock()
        self._held: set[str] = set()

    def clear(self) -> None:
        self._of, self._leaving = None, {}
        self._held.clear()

    def binding_changed(self) -> None:
        """It is in a tainted cluster."""
        self._is_stale = True

    def release(self, name: str) -> bool:
        """It is to be asked about once more; whether it was held."""
        was_held = name in self._held
        self._held.discard(name)
        return was_held

    async def released(self) -> frozenset[str]:
        """The clusters that are held no more, now that other clusters are tainted than before."""
        async with self._counting:  # whoever is about to be held, for what was counted before, is by then
            if not self._held:
                return frozenset()
            await self._count()
            found = frozenset(name for name in self._held if not self._is_exceeded(name))
            self._held -= found
            return found

    async def holds(self, cluster: Cluster) -> bool:
        """Whether nothing is evicted from it for now; then it is told why, and `release` and `released` have it.

        Raises StatusError when it cannot be told; then it is not held yet.
        """
        name = cluster["metadata"]["name"]
        if self._limits == (0, 0) or is_approved(cluster):
            return False
        async with self._counting:
            await self._count()
            now = self._clusters.get(name)  # somebody may have approved meanwhile, or taken the taints away
            if now is None or not no_execute(now):
                return True
            if is_approved(now) or not self._is_exceeded(name):
                return False
            if name not in self._held:
                await self._hold(name, now)
        return True

    def _is_exceeded(self, name: str) -> bool:
        return self._limits.exceeded(len(self._leaving.get(name, ())), len(self._leaving))

    async def _hold(self, name: str, cluster: Cluster) -> None:
        objects, emptied = len(self._leaving.get(name, ())), len(self._leaving)
        others = f"; {emptied} clusters are to be emptied at once" if emptied > 1 else ""
        text = f"{objects} objects leave {name} for its taints{others}"
        self._held.add(name)  # before it is told: an approval that comes while that is written releases it
        try:
            await hold(self._registry, self._recorder, self._clusters.kind, cluster, text)
        except BaseException:  # nobody knows: whoever asks next tells it
            self._held.discard(name)
            raise

    def approved(self, cluster: Cluster) -> None:
        """It was held, and somebody has approved."""
        self._recorder.event(cluster, "Normal", EVENT_APPROVED, "What waited is carried out")

    async def _count(self) -> None:
        """What leaves each cluster, in one pass over all bindings; anew when another cluster is tainted, or one no more, and now and
        then when bindings have changed. What has left since the taints are what they are is counted along, else all could leave one by one.
        """
        tainted = {name: cluster for name, cluster in self._clusters.by_name.items() if no_execute(cluster)}
        of: _Tainted = frozenset((name, generation(cluster)) for name, cluster in tainted.items())
        loop = asyncio.get_running_loop()
        began = loop.time()
        if of == self._of and not (self._is_stale and began >= self._next):
            return
        self._is_stale = False
        found: dict[str, set[Key]] = {}
        await carry_out(self._finding(tainted, found))
        if of == self._of:
            for name, left in self._leaving.items():
                found.setdefault(name, set()).update(left)
        self._of, self._leaving = of, found
        ended = loop.time()
        self._next = ended + max(AGAIN, SHARE * (ended - began))

    def _finding(self, tainted: Mapping[str, Cluster], found: dict[str, set[Key]]) -> Chunks:
        entries = [e for each in (BINDINGS, CLUSTER_BINDINGS) for e in self._registry.cache.resource(each).entries()]
        for index, entry in enumerate(entries):
            if index % AT_ONCE == AT_ONCE - 1:
                yield
            binding = stored_binding(entry)
            for name in target_names(binding["spec"]) & tainted.keys():
                if self._leaves(binding, tainted[name]):
                    found.setdefault(name, set()).add(entry.key)
