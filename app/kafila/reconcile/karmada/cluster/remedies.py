"""The remedy controller: Remedies write into a Cluster's status what is to be done about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from prometheus_client import Gauge

from kafila.core.errors import ignoring_not_found
from kafila.core.values import AnyObject, Object
from kafila.placement.remedy import Actions, actions_for, clusters_named
from kafila.placement.types import Cluster
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS, OPTIONS
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.telemetry.members import of_member
from kafila.watch import Event

EVENT_CHANGED = "RemedyActionsChanged"
EVENT_LEFT_OUT = "RemedyActionsLeftOut"
ACTIONS = of_member(
    Gauge(
        "kafila_cluster_remedy_actions",
        "Actions that remedies ask for, in the status of the Cluster.",
        ["member_cluster"],
    )
)


@final
class _Remedies:
    """Decoded once, by the clusters that they are for."""

    def __init__(self, remedies: Iterable[Object]) -> None:
        self._of_all: list[Object] = []
        self._of_one: dict[str, list[Object]] = {}
        for remedy in remedies:
            named = clusters_named(remedy)
            if named is None:
                self._of_all.append(remedy)
            for cluster in dict.fromkeys(named or ()):
                self._of_one.setdefault(cluster, []).append(remedy)

    def of(self, cluster: str) -> list[Object]:
        return [*self._of_all, *self._of_one.get(cluster, ())]


@final
class RemedyController(QueueController[str]):
    name = "remedy"
    about = CLUSTERS

    def __init__(self, registry: Registry, recorder: Recorder, clusters: Clusters) -> None:
        super().__init__(registry.cache, "remedy", concurrency=2)
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._kind = registry.kind("remedy.karmada.io", "v1alpha1", "remedies")
        self._known: _Remedies | None = None
        registry.cache.listen(CLUSTERS, self._observe_cluster)
        registry.cache.listen(self._kind.resource, self._observe_remedy)

    async def stop(self) -> None:
        await super().stop()
        ACTIONS.clear()

    def resync(self) -> None:
        self._known = None
        for name in self._clusters.by_name:
            self.queue.add(name, background=True)

    def _observe_cluster(self, event: Event) -> None:
        if event.new is not None:
            self.queue.add(event.key.name)

    def _observe_remedy(self, event: Event) -> None:
        """Those of the clusters that it is for, or was."""
        self._known = None
        for entry in (event.old, event.new):
            named = clusters_named(decode_entry(self._kind, entry)) if entry is not None else []
            for name in self._clusters.by_name if named is None else named:
                self.queue.add(name)

    @property
    def _remedies(self) -> _Remedies:
        if self._known is None:
            entries = self._registry.cache.resource(self._kind.resource).entries()
            self._known = _Remedies(decode_entry(self._kind, entry) for entry in entries)
        return self._known

    async def _reconcile(self, name: str) -> None:
        cluster = self._clusters.get(name)
        if cluster is None or cluster["metadata"].get("deletionTimestamp"):
            return
        remedies = self._remedies.of(name)
        wanted = actions_for(cluster, remedies)
        if wanted.actions != _actions_of(cluster):
            await self._write(cluster, remedies, wanted)
        ACTIONS.labels(name).set(len(wanted.actions))

    async def _write(self, cluster: Cluster, remedies: list[Object], wanted: Actions) -> None:
        def changed(current: Cluster) -> Object:
            """By its conditions as they are by then."""
            status: Object = {**(current.get("status") or {}), "remedyActions": actions_for(current, remedies).actions}
            if not status["remedyActions"]:
                del status["remedyActions"]
            return {**current, "status": status}

        name = cluster["metadata"]["name"]
        with ignoring_not_found():
            await self._registry.modify(self._clusters.kind, "", name, changed, OPTIONS, "status")
        text = (
            f"Remedies ask for: {', '.join(wanted.actions)}" if wanted.actions else "Remedies ask for nothing any more"
        )
        self._recorder.event(cluster, "Normal", EVENT_CHANGED, text)
        if wanted.left_out:
            text = f"{wanted.left_out} actions of remedies are left out: there are too many, or they are too long"
            self._recorder.event(cluster, "Warning", EVENT_LEFT_OUT, text)


def _actions_of(cluster: AnyObject) -> list[str]:
    return list((cluster.get("status") or {}).get("remedyActions") or ())
