"""The cluster-status controller: one look at a member every few seconds, written when something changed."""

from __future__ import annotations

import asyncio
import time
from typing import Any, final

import structlog
from prometheus_client import Gauge

from app.core.errors import StatusError
from app.members.discovery import Discovery
from app.members.health import History, Observation, cluster_status, observe
from app.members.informer import Change, Informer
from app.members.tally import Tally, node_facts, pod_facts

from .federation import OPTIONS, Federation
from .rooms import Room

log = structlog.get_logger(__name__)
Object = dict[str, Any]

READY = Gauge("cluster_ready_state", "Whether the member is ready.", ["member_cluster"])
NODES = Gauge("cluster_node_number", "Nodes of the member.", ["member_cluster"])
READY_NODES = Gauge("cluster_ready_node_number", "Ready nodes of the member.", ["member_cluster"])


@final
class ClusterStatus:
    """A tenant of a room. ``on_ready`` is called when the member became ready."""

    def __init__(self, federation: Federation, room: Room, frequency: float) -> None:
        self._federation = federation
        self._room = room
        self._frequency = frequency
        self._discovery = Discovery(room.client)
        self._tally = Tally()
        self._history: History | None = None
        self._informers = [
            Informer(room.client, "/api/v1/nodes", self._node_changed, selector="", keep=node_facts),
            Informer(room.client, "/api/v1/pods", self._pod_changed, selector="", keep=pod_facts),
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(informer.run()) for informer in self._informers]
        self._tasks.append(asyncio.create_task(self._run()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _node_changed(self, change: Change) -> None:
        self._tally.node(change.name.name, change.after.kept if change.after is not None else None)

    def _pod_changed(self, change: Change) -> None:
        before = change.before.kept if change.before is not None else None
        self._tally.pod(before, change.after.kept if change.after is not None else None)

    async def _run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._collect()
            except StatusError as error:
                log.warning("cluster status not written", cluster=self._room.name, error=str(error))
            except Exception:
                log.exception("cluster status not collected", cluster=self._room.name)
            # the first summary waits for the informers, not for a whole period
            pause = self._frequency if all(i.synced.is_set() for i in self._informers) else min(1.0, self._frequency)
            await asyncio.sleep(max(pause - (time.monotonic() - started), 0.1))

    async def _collect(self) -> None:
        cluster = self._federation.cluster(self._room.name)
        if cluster is None:
            return
        synced = all(informer.synced.is_set() for informer in self._informers)
        models = (cluster.get("spec") or {}).get("resourceModels") or ()
        observation = await observe(self._room.client, self._discovery, self._tally if synced else None, models)
        status, self._history = cluster_status(cluster.get("status") or {}, observation, time.time(), self._history)
        self._measure(observation)
        if status == (cluster.get("status") or {}):
            return

        def reported(obj: Object) -> Object:
            obj["status"] = {**(obj.get("status") or {}), **status}
            return obj

        kind = self._federation.cluster_kind
        await self._federation.registry.modify(kind, "", self._room.name, reported, OPTIONS, "status")

    def _measure(self, observation: Observation) -> None:
        name = self._room.name
        READY.labels(name).set(1 if observation.healthy else 0)
        if observation.node_summary is not None:
            NODES.labels(name).set(observation.node_summary.get("totalNum", 0))
            READY_NODES.labels(name).set(observation.node_summary.get("readyNum", 0))
