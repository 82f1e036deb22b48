"""Whether a cluster in pull mode is reached through its agent's tunnel: a condition of its Cluster, and an event when that changes.

It follows from the tunnel's Lease, which the process has that the tunnel ends in (``api/tunnels.py``). One that nobody renews has
ended with its process.
"""

from __future__ import annotations

import time
from typing import Final, final

from kafila.core import tunnels
from kafila.core.cluster_conditions import TUNNEL, step
from kafila.core.conditions import condition, conditions_of, find, with_condition
from kafila.core.tunnels import Route
from kafila.core.values import AnyObject, Object
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS
from kafila.reconcile.queue import Requeue
from kafila.registry import Options, Registry
from kafila.watch import Event

OPTIONS: Final = Options(manager="kafila-tunnel")
GRACE: Final = 5.0  # seconds that an agent has to come back before anybody is told
CONNECTED: Final = "TunnelConnected"
DISCONNECTED: Final = "TunnelDisconnected"


def wanted(route: Route | None, pulled: bool, before: AnyObject | None) -> Object | None:
    """The condition; None where there is nothing to say. ``route``: None when no tunnel is open."""
    if route is not None and pulled:
        quick = f", and answers within {step(route.latency)}ms" if route.latency else ""
        return condition(TUNNEL, "True", CONNECTED, f"the agent's tunnel ends in {route.address}{quick}")
    if before is None:
        return None
    return condition(
        TUNNEL, "False", DISCONNECTED, "the agent has no tunnel open: logs, exec and the proxy do not reach it"
    )


def same(before: AnyObject | None, after: AnyObject) -> bool:
    return before is not None and all(before.get(field) == after[field] for field in ("status", "reason", "message"))


@final
class TunnelConditions(QueueController[str]):
    name = "cluster-tunnel"
    about = CLUSTERS

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters) -> None:
        super().__init__(registry.cache, "cluster-tunnel")
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._missed: dict[str, float] = {}  # since when there is no tunnel, by our clock
        registry.cache.listen(tunnels.LEASES, self._observe_lease)
        registry.cache.listen(CLUSTERS, self._observe)

    def resync(self) -> None:
        for name in self._clusters.by_name:
            self.queue.add(name, background=True)

    def _observe(self, event: Event) -> None:
        if event.new is None:
            self._missed.pop(event.key.name, None)
        elif event.generation_changed:
            self.queue.add(event.key.name)

    def _observe_lease(self, event: Event) -> None:
        if event.key.namespace == tunnels.NAMESPACE and (name := tunnels.cluster_of(event.key.name)):
            self.queue.add(name)

    async def _reconcile(self, name: str) -> None:
        cluster = self._clusters.get(name)
        if cluster is None:
            return
        entry = self._registry.cache.get(tunnels.LEASES, tunnels.NAMESPACE, tunnels.lease_name(name))
        route, now = (tunnels.route_of(entry.decode()) if entry is not None else None), time.time()
        if route is not None and route.until <= now:
            route = None
        pulled = cluster["spec"].get("syncMode") == "Pull"
        before = find(conditions_of(cluster), TUNNEL)
        after = wanted(route, pulled, before)
        if after is not None and not same(before, after):
            if route is None and (left := self._missed.setdefault(name, now) + GRACE - now) > 0:
                raise Requeue(left + 0.01, timed=True)
            await self._write(name, after)
            if before is None or before["status"] != after["status"]:
                kind = "Normal" if after["status"] == "True" else "Warning"
                self._recorder.event(cluster, kind, after["reason"], after["message"])
        self._missed.pop(name, None)
        if route is not None:
            raise Requeue(max(route.until - now, 0.0) + 0.01, timed=True)

    async def _write(self, name: str, after: Object) -> None:
        def judged(obj: Object) -> Object:
            status = dict(obj.get("status") or {})
            status["conditions"] = with_condition(status.get("conditions"), after)
            return {**obj, "status": status}

        await self._registry.modify(self._clusters.kind, "", name, judged, OPTIONS, "status")
