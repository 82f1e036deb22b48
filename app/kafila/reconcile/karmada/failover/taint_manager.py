"""The taint manager: bindings leave clusters whose NoExecute taints they do not tolerate (any more)."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple, final

from kafila.catalog.kind import Kind
from kafila.core.feature_gates import STATEFUL_FAILOVER_INJECTION, Gates
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.failover.eviction import evict, evicted_event, preserved_state
from kafila.placement.failover.pace import Health, Rates, taken_at
from kafila.placement.failover.taints import no_execute, toleration_left
from kafila.placement.spec import target_names
from kafila.placement.types import Binding, Cluster
from kafila.placement.withdrawal import APPROVED, Limits, is_approved
from kafila.reconcile.chunks import Chunks
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.binding_events import record_for_binding
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import BINDINGS, CLUSTER_BINDINGS, CLUSTERS, OPTIONS, Kinds, stored_binding
from kafila.reconcile.low_priority import carry_out
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.watch import Entry, Event, needles

from .eviction_guard import EvictionGuard
from .evictions import EVICTIONS, RATE

HALTED = 1800.0  # seconds between evictions when the rate is 0
EVENT_HALTED: Final = "EvictionsHalted"
EVENT_SLOWED: Final = "EvictionsSlowed"
EVENT_RESUMED: Final = "EvictionsResumed"


class Stay(NamedTuple):
    """A binding in a cluster that has NoExecute taints."""

    binding: Key
    cluster: str


LOOK: Final = Stay(
    Key("", "", ""), ""
)  # the key that says: look for bindings in clusters that changed, or are held no more
AT_ONCE_ASKED: Final = 100  # times that a binding is asked about a cluster before others get the event loop


@final
class TaintManager(QueueController[Stay]):
    name = "cluster"  # Karmada starts it with the cluster controller

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        clusters: Clusters,
        gates: Gates,
        purge_mode: str,
        rates: Rates,
        limits: Limits,
    ) -> None:
        super().__init__(registry.cache, "taint-eviction", concurrency=4, unhurried=True)
        self._recorder = recorder
        self._clusters = clusters
        self._gates = gates
        self._registry = registry
        self._kinds = Kinds(registry)
        self._purge_mode = purge_mode
        self._rates = rates
        self._pace = rates.pace(Health(0, 0))
        self._not_ready: set[str] = set()  # clusters
        self._tainted: set[str] = set()  # clusters that something may have to leave
        self._told: set[str] = set()  # clusters that evictions wait for, and it is said why
        self._guard = EvictionGuard(registry, recorder, clusters, _leaves, limits)
        self._changed: set[str] = set()  # clusters whose bindings are to be enqueued
        self._last = -math.inf  # when the last eviction was, by the monotonic clock
        self._line: OrderedDict[Stay, None] = OrderedDict()  # who waits for it; only the first one has a timer
        cache = self._registry.cache
        cache.listen(CLUSTERS, self._observe_cluster)
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            cache.listen(resource, self._observe_binding)

    async def stop(self) -> None:
        await super().stop()
        self._line.clear()
        self._changed.clear()
        self._told.clear()
        self._guard.clear()

    def _subject(self, key: Stay) -> Key | None:
        return key.binding if key != LOOK else None

    def resync(self) -> None:
        self._not_ready = {name for name in self._clusters.by_name if not self._clusters.is_ready(name)}
        self._tainted = {name for name, cluster in self._clusters.by_name.items() if no_execute(cluster)}
        self._set_pace()
        self._changed.update(self._clusters.by_name)
        self.queue.add(LOOK, background=True)

    def _observe_cluster(self, event: Event) -> None:
        """``Clusters`` has seen the event before us: it listens first."""
        old, new = event.old, event.new
        cluster = self._clusters.get(event.key.name)
        self._note_health(event.key.name)
        if cluster is not None and no_execute(cluster):
            self._tainted.add(event.key.name)
        else:
            self._tainted.discard(event.key.name)
        is_same = not event.generation_changed
        is_approval = cluster is not None and _approval(old) != _approval(new) and is_approved(cluster)
        if is_same and not is_approval:
            return
        was_held = self._guard.release(event.key.name)
        if cluster is not None and was_held and is_approved(cluster):
            self._guard.approved(cluster)
        if was_held or not is_same:
            self._changed.add(event.key.name)
            self.queue.add(LOOK)

    def _note_health(self, name: str) -> None:
        if name not in self._clusters.by_name or self._clusters.is_ready(name):
            self._not_ready.discard(name)
        else:
            self._not_ready.add(name)
        self._set_pace()

    def _set_pace(self) -> None:
        before = self._pace
        self._pace = self._rates.pace(Health(len(self._clusters.by_name), len(self._not_ready)))
        RATE.set(self._pace.rate)
        if self._pace.rate == before.rate:
            return
        told, self._told = self._told, set()
        if self._pace.because:
            for name in {stay.cluster for stay in self._line}:
                self._tell_pace(name)
        else:
            for cluster in filter(None, map(self._clusters.get, told)):
                self._recorder.event(cluster, "Normal", EVENT_RESUMED, "Enough clusters are Ready again")
        if self._line:
            self.queue.add(next(iter(self._line)))

    def _tell_pace(self, name: str) -> None:
        """To a cluster that something waits in, once."""
        cluster = self._clusters.get(name)
        if self._pace.because and cluster is not None and name not in self._told:
            self._told.add(name)
            reason = EVENT_HALTED if self._pace.is_halted else EVENT_SLOWED
            self._recorder.event(cluster, "Warning", reason, self._pace.because)

    def _observe_binding(self, event: Event) -> None:
        """A binding that comes to a cluster, or tolerates less, while the taint is there."""
        if not self._tainted or event.new is None or not event.generation_changed:
            return
        for name in sorted(target_names(stored_binding(event.new)["spec"]) & self._tainted):
            self._guard.binding_changed()
            self.queue.add(Stay(event.key, name))

    async def _reconcile(self, stay: Stay) -> None:
        if stay == LOOK:
            await self._look_for_bindings()
            return
        kind = self._kinds.of_binding(stay.binding)
        try:
            binding, left = self._tolerated_for(kind, stay)
            is_due = binding is not None and left is not None and left <= 0
            is_held = is_due and await self._is_held(stay.cluster)
        except Exception:  # whatever somebody wrote into this binding or its cluster: the others do not wait for it
            self._leave_line(stay)
            raise
        if binding is None or not is_due:
            self._leave_line(stay)
            if left is not None:
                raise Requeue(left + 0.001, timed=True)
            return
        if is_held:
            self._leave_line(stay)
            return  # whoever approves, or takes a taint away, brings it back
        if not self._takes_turn(stay):
            return  # whoever leaves the line before it wakes it
        where = stay.binding.namespace
        try:
            await self._registry.modify(
                kind, where, stay.binding.name, lambda current: self._evicted(current, stay.cluster), OPTIONS
            )
        except Exception:
            record_for_binding(self._recorder, binding, *evicted_event(stay.cluster, failed=True))
            raise
        EVICTIONS.labels(constants.PRODUCER_TAINT_MANAGER).inc()

    async def _look_for_bindings(self) -> None:
        """In all clusters that changed meanwhile at once: when many go down together, that is one pass over all bindings."""
        released = await self._guard.released()
        names, self._changed = self._changed | released, set()
        try:
            await carry_out(self._enqueueing_bindings_in(names))
        except BaseException:
            self._changed |= names
            raise

    def _enqueueing_bindings_in(self, names: Iterable[str]) -> Chunks:
        """What has no taint, or is gone, drives nothing out."""
        clusters = [cluster for name in names if (cluster := self._clusters.get(name)) is not None]
        tainted = [cluster["metadata"]["name"] for cluster in clusters if no_execute(cluster)]
        wanted = [(name, needles.field("name", name)) for name in tainted]
        asked = 0
        for resource in (BINDINGS, CLUSTER_BINDINGS) if wanted else ():
            for chunk in self._registry.cache.resource(resource).chunks():
                for entry in chunk:
                    for name, needle in wanted:
                        if entry.mentions(needle):
                            self.queue.add(Stay(entry.key, name), background=True)
                    asked += len(wanted)
                    if asked >= AT_ONCE_ASKED:
                        yield
                        asked = 0

    async def _is_held(self, name: str) -> bool:
        """Also one that is gone. Raises StatusError."""
        cluster = self._clusters.get(name)
        return cluster is None or await self._guard.holds(cluster)

    def _tolerated_for(self, kind: Kind, stay: Stay) -> tuple[Binding | None, float | None]:
        """The binding, None when it is not there any more, and seconds, None for ever. Raises ValueError."""
        entry = self._registry.cache.get(*stay.binding)
        cluster = self._clusters.get(stay.cluster)
        if entry is None or entry.meta.deletionTimestamp or cluster is None:
            return None, None
        binding = self._kinds.read_binding(entry)
        if stay.cluster not in target_names(binding["spec"]):
            return None, None
        return binding, toleration_left(no_execute(cluster), _tolerations(binding), time.time())

    def _takes_turn(self, stay: Stay) -> bool:
        """Evictions come one by one, so that a taint by mistake does not empty a cluster at once. Raises Requeue.

        Time passes for the first in the line only, which is checked once more before it takes its turn: those
        that may stay by now cost the others nothing. Whoever sets another pace wakes the first.
        """
        self._line.setdefault(stay)
        self._tell_pace(stay.cluster)
        if next(iter(self._line)) != stay:
            return False
        now = time.monotonic()
        if self._pace.is_halted:
            raise Requeue(HALTED, timed=True)
        interval = 1 / self._pace.rate if self._pace.rate else HALTED
        if (due := self._last + interval) > now:
            raise Requeue(due - now, timed=True)
        self._last = taken_at(self._last, interval, now)
        self._leave_line(stay)
        return True

    def _leave_line(self, stay: Stay) -> None:
        if stay in self._line:
            del self._line[stay]
            if self._line:
                self.queue.add(next(iter(self._line)))

    def _evicted(self, binding: Binding, cluster: str) -> Binding:
        failover = (binding["spec"].get("failover") or {}).get("cluster")
        mode = self._purge_mode if failover is None else failover.get("purgeMode") or constants.GRACEFULLY
        kept: dict[str, str] = {}
        if failover is not None and STATEFUL_FAILOVER_INJECTION in self._gates:
            kept = preserved_state(failover, binding.get("status") or {}, cluster)
        spec = evict(
            binding["spec"],
            cluster,
            time.time(),
            reason=constants.EVICTION_TAINT,
            producer=constants.PRODUCER_TAINT_MANAGER,
            purge_mode=mode,
            preserved_labels=kept,
        )
        return binding if spec is binding["spec"] else {**binding, "spec": spec}


def _leaves(binding: Binding, cluster: Cluster) -> bool:
    """For the cluster's taints, now or later; one of which nobody knows what it tolerates does not."""
    try:
        return toleration_left(no_execute(cluster), _tolerations(binding), 0.0) is not None
    except Exception:  # whatever somebody wrote into its annotation: the others are counted all the same
        return False


def _approval(entry: Entry | None) -> str | None:
    return (entry.meta.annotations or {}).get(APPROVED) if entry is not None else None


def _tolerations(binding: Binding) -> list[Object]:
    """Of the placement that the clusters were chosen by. Raises ValueError."""
    applied = (binding["metadata"].get("annotations") or {}).get(constants.APPLIED_PLACEMENT)
    if not applied:
        raise ValueError("the applied placement for ResourceBining can not be empty")
    found: list[Object] = json.loads(applied).get("clusterTolerations") or []
    return found
