"""The cluster-status controller: a member is probed every few seconds, and its status written when something changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol, final

import structlog
from prometheus_client import Gauge

from kafila.core.cluster_conditions import HEARTBEAT, RESPONSIVE
from kafila.core.cluster_conditions import READY as READY_CONDITION
from kafila.core.conditions import conditions_of, find
from kafila.core.errors import StatusError
from kafila.core.values import AnyObject, Object
from kafila.members.credentials import token_expiry
from kafila.members.health import (
    History,
    Observation,
    cluster_status,
    observe,
    ready_condition,
    set_condition,
    with_expiry,
    with_heartbeat,
    with_summary,
)
from kafila.members.informer import Change, Informer
from kafila.members.reporting import EVERY, conditions, news, with_conditions
from kafila.members.resource_summary import ResourceSummary, node_facts, pod_facts
from kafila.placement.types import Cluster, ResourceModel
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import NODES, READY, READY_NODES, Clusters
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.reconcile.karmada.measures import CLUSTER_SYNC
from kafila.registry import Registry
from kafila.settings.federation import FederationOptions
from kafila.telemetry.members import forget, of_member
from kafila.telemetry.tasks import cancelled

from .manager import MemberConnection
from .object_watcher import Following

log = structlog.get_logger(__name__)

SEEN = "ClusterSeenAgain"
VERSION_EVERY = 60.0  # seconds: it changes with another server only
FIRST_SUMMARY = 10.0  # seconds that the first status waits for the lists of nodes and pods
LATENCY = of_member(
    Gauge("kafila_member_latency_seconds", "How long the last probes of the member took.", ["member_cluster"])
)
THROTTLED = of_member(
    Gauge(
        "kafila_member_throttled_requests", "Requests that the member throttled in the last minute.", ["member_cluster"]
    )
)
FAILED = of_member(
    Gauge("kafila_member_failed_requests", "Requests that failed in the member in the last minute.", ["member_cluster"])
)
MISSING = of_member(
    Gauge(
        "kafila_member_missing_permissions", "Permissions that the member did not give us of late.", ["member_cluster"]
    )
)
_OF_MEMBERS = (READY, LATENCY, NODES, READY_NODES, THROTTLED, FAILED, MISSING, CLUSTER_SYNC)


class Executor(Protocol):
    """What waits while a member does not answer (:class:`.execution.ExecutionController`)."""

    @property
    def waiting(self) -> int:
        """Works that are to be written to it, or looked at."""
        ...

    def reached(self) -> None:
        """The member answers again."""


@final
class ClusterStatus:
    """The status of a connected member."""

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        clusters: Clusters,
        connection: MemberConnection,
        options: FederationOptions,
        executor: Executor,
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._clusters = clusters
        self._connection = connection
        self._frequency = options.cluster_status_frequency
        self._success_threshold = options.cluster_success_threshold
        self._failure_threshold = options.cluster_failure_threshold
        self._executor = executor
        self._online = True
        self._failing: bool | None = None  # at the last probe
        self._seen = 0.0  # the last good probe, Unix seconds
        self._version = ("", 0.0)  # and when it was asked for
        self._reworded: float | None = None  # when what is said of its conduct last changed its words, or first could
        self._resource_summary = ResourceSummary()
        self._history: History | None = None
        self._waited = False  # for the first summary
        self._informers = [
            Informer(connection.client, "/api/v1/nodes", self._node_changed, selector="", keep=node_facts),
            Informer(connection.client, "/api/v1/pods", self._pod_changed, selector="", keep=pod_facts),
        ]
        self._following: list[Following] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._following = [Following(informer) for informer in self._informers]
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await cancelled(self._task)
        for following in self._following:
            await following.stop()
        unmeasured(self._connection.name)

    def _node_changed(self, change: Change) -> None:
        self._resource_summary.node(change.name.name, change.after.kept if change.after is not None else None)

    def _pod_changed(self, change: Change) -> None:
        before = change.before.kept if change.before is not None else None
        self._resource_summary.pod(before, change.after.kept if change.after is not None else None)

    async def _run(self) -> None:
        while True:
            started = time.monotonic()
            # the first summary waits for the informers, not for a whole period: what comes meanwhile is in the next one
            pause = self._frequency if self._is_synced() else min(1.0, self._frequency)
            try:
                with CLUSTER_SYNC.labels(self._connection.name).time():
                    await self._collect()
            except StatusError as error:
                log.warning("cluster status not written", cluster=self._connection.name, error=str(error))
            except Exception:
                log.exception("cluster status not collected", cluster=self._connection.name)
            await asyncio.sleep(max(pause - (time.monotonic() - started), 0.1))

    def _is_synced(self) -> bool:
        return all(informer.synced.is_set() for informer in self._informers)

    async def _collect(self) -> None:
        cluster = self._clusters.get(self._connection.name)
        if cluster is None:
            return
        models = (cluster.get("spec") or {}).get("resourceModels") or ()
        observation = await self._observe(models)
        if observation.healthy and not self._waited:
            # not ready before its free resources are known: the scheduler would take it for full
            self._waited = True
            if observation.resource_summary is None and await self._synced_within(FIRST_SUMMARY):
                observation = await self._observe(models)
        await self._notice(observation.online)
        now = time.time()
        if observation.healthy:
            self._seen = now
        self._record(cluster, observation)
        clock = asyncio.get_running_loop().time()
        conduct = self._connection.client.conduct
        wanted: dict[str, Object | None] = {RESPONSIVE: None}
        if observation.online:
            wanted = conditions(conduct, self._executor.waiting, clock)
        if self._reworded is None:
            self._reworded = clock
        reword = clock > self._reworded + EVERY

        def reported(obj: AnyObject) -> Object:
            """Of the status as it is by then: others have conditions in it too."""
            status, self._history = cluster_status(
                obj.get("status") or {},
                observation,
                now,
                self._history,
                success_threshold=self._success_threshold,
                failure_threshold=self._failure_threshold,
            )
            status = with_summary(with_heartbeat(status, observation, self._seen, now), observation, now)
            status = with_conditions(status, wanted, now, reword)
            return {**obj, "status": with_expiry(status, token_expiry(self._connection.token), now)}

        judged = reported(cluster)["status"]
        self._measure(observation)
        if judged == (cluster.get("status") or {}):
            return
        if reword:
            self._reworded = clock
        for said in news(conditions_of(cluster), judged["conditions"]):
            self._recorder.event(cluster, "Warning", said["reason"], said["message"])
        kind = self._clusters.kind
        await self._registry.modify(kind, "", self._connection.name, reported, OPTIONS, "status")

    async def _observe(self, models: Sequence[ResourceModel]) -> Observation:
        resource_summary = self._resource_summary if self._is_synced() else None
        known, at = self._version
        now = asyncio.get_running_loop().time()
        if self._failing or now > at + VERSION_EVERY:  # another server may answer by now
            known = ""
        observed = await observe(self._connection.client, self._connection.discovery, resource_summary, models, known)
        if observed.version and not known:
            self._version = observed.version, now
        return observed

    async def _synced_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                for informer in self._informers:
                    await informer.synced.wait()
        except TimeoutError:  # it may never be allowed to list them
            return False
        return True

    async def _notice(self, online: bool) -> None:
        if online and not self._online:
            self._executor.reached()
            for following in self._following:
                await following.wake()
        self._online = online

    def _record(self, cluster: Cluster, observation: Observation) -> None:
        """Says at the first failed probe that it fails, long before the member counts as not ready, and when that is over."""
        before = self._failing
        self._failing = not observation.healthy
        if before is None:  # what is stored was recorded by whoever led before us
            before = find(conditions_of(cluster), HEARTBEAT) is not None
        if self._failing == before:
            return
        if observation.healthy:
            log.info("member seen again", cluster=self._connection.name)
            self._recorder.event(cluster, "Normal", SEEN, f"cluster {self._connection.name} is seen again")
            return
        ready = ready_condition(observation)
        why = observation.why or observation.unusable
        log.warning("member not seen", cluster=self._connection.name, reason=ready["reason"], error=why)
        message = f"{ready['message']}: {why}" if observation.why else ready["message"]
        self._recorder.event(cluster, "Warning", ready["reason"], message)

    def _measure(self, observation: Observation) -> None:
        name = self._connection.name
        READY.labels(name).set(1 if observation.healthy else 0)
        conduct, now = self._connection.client.conduct, asyncio.get_running_loop().time()
        LATENCY.labels(name).set(conduct.took)
        THROTTLED.labels(name).set(conduct.throttled(now))
        FAILED.labels(name).set(conduct.failed(now)[0])
        MISSING.labels(name).set(len(conduct.missing(now)))
        if observation.node_summary is not None:
            NODES.labels(name).set(observation.node_summary.get("totalNum", 0))
            READY_NODES.labels(name).set(observation.node_summary.get("readyNum", 0))


def unmeasured(cluster: str) -> None:
    """Another process looks at it."""
    forget(cluster, _OF_MEMBERS)


async def collection_failed(registry: Registry, recorder: Recorder, clusters: Clusters, name: str, why: str) -> None:
    """No client can be made for the cluster; it counts as not ready at once."""
    condition = ready_condition(Observation(online=False, failure=why))
    cluster = clusters.get(name)
    old = find(conditions_of(cluster or {}), READY_CONDITION) or {}
    READY.labels(name).set(0)
    if cluster is None or {**old, **condition} == old:
        return
    log.warning("member not seen", cluster=name, reason=condition["reason"], error=why)
    recorder.event(cluster, "Warning", condition["reason"], condition["message"])

    def reported(obj: Object) -> Object:
        status = obj.setdefault("status", {})
        status["conditions"] = set_condition(status.get("conditions"), condition, time.time())
        return obj

    await registry.modify(clusters.kind, "", name, reported, OPTIONS, "status")
