"""Hands every Work to the execution controller of its cluster, and ends those whose cluster has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import final

from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import INTERPRETERS, Interpreting
from kafila.reconcile.karmada.binding_events import record_left_behind
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import CLUSTERS, WORKS, Kinds
from kafila.reconcile.karmada.writes import drop_finalizer
from kafila.registry import Registry
from kafila.settings.federation import FederationOptions
from kafila.watch import Event

from .cluster_status import ClusterStatus, collection_failed, unmeasured
from .execution import ExecutionController
from .manager import MemberConnection, MemberController
from .object_writer import ObjectWriter
from .shards import Concerns, Shards
from .works import StoredWorks


@final
class WorkRouter(QueueController[Key]):
    name = "execution"

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        interpreting: Interpreting,
        clusters: Clusters,
        options: FederationOptions,
        shards: Shards,
        further: Sequence[Callable[[MemberConnection], list[MemberController]]] = (),
    ) -> None:
        """``further``: what else runs for each member."""
        super().__init__(registry.cache, self.name, concurrency=4)
        self._further = further
        self._cache = registry.cache
        self._catalog = registry.catalog
        self._shards = shards
        self._kinds = Kinds(registry)
        self._recorder = recorder
        self._interpreting = interpreting
        self._clusters = clusters
        self._options = options
        self._executors: dict[str, ExecutionController] = {}  # by execution namespace
        self._refused: set[str] = set()  # clusters that no client can be made for
        registry.cache.listen(WORKS, self._observe)
        registry.cache.listen(CLUSTERS, self._observe_cluster)
        shards.listen(self._shards_changed)
        for resource in INTERPRETERS:
            registry.cache.listen(resource, self._observe_interpreter)

    async def start(self) -> None:
        self._refused.clear()  # another process may have worked meanwhile
        await super().start()

    def resync(self) -> None:
        for executor in self._executors.values():
            executor.resync()
        self._shards_changed(lambda cluster: True)

    def _shards_changed(self, concerns: Concerns) -> None:
        """Whoever had them before may not have ended all Works; of a cluster that cannot be connected another process knows."""
        for cluster in [each for each in self._refused if not self._shards.holds(each)]:
            self._refused.discard(cluster)
            unmeasured(cluster)
        for entry in self._cache.resource(WORKS).entries():
            if entry.meta.deletionTimestamp and self._is_ours(entry.key.namespace, concerns):
                self.queue.add(entry.key, background=True)

    def _is_ours(self, space: str, concerns: Concerns = lambda cluster: True) -> bool:
        """Users may put Works into namespaces that are no cluster's."""
        if not space.startswith(constants.EXECUTION_NAMESPACE_PREFIX):
            return False
        cluster = constants.cluster_of(space)
        return self._shards.holds(cluster) and concerns(cluster)

    # -- members -------------------------------------------------------------------------------------------------------

    def controllers_for(self, connection: MemberConnection) -> list[MemberController]:
        """The controllers of a new connection, in the order in which they start."""
        registry = self._shards.registry(connection.name)
        member = partial(ObjectWriter, connection, self._catalog, self._interpreting)
        executor = ExecutionController(
            StoredWorks(
                registry,
                self._recorder,
                self._interpreting,
                self._clusters,
                connection,
                self._options.cluster_leave_timeout,
            ),
            member,
        )
        self._refused.discard(connection.name)
        status = ClusterStatus(registry, self._recorder, self._clusters, connection, self._options, executor)
        more = [controller for make in self._further for controller in make(connection)]
        return [status, executor, _Listed(self, executor), *more]

    def opened(self, executor: ExecutionController) -> None:
        self._executors[executor.space] = executor

    def closed(self, executor: ExecutionController) -> None:
        """What it has not ended it never will."""
        self._executors.pop(executor.space, None)
        self._end_all(constants.cluster_of(executor.space))

    async def refused(self, cluster: str, why: str) -> None:
        self._refused.add(cluster)
        registry = self._shards.registry(cluster)
        await collection_failed(registry, self._recorder, self._clusters, cluster, why)
        self._end_all(cluster)

    def observed_body(self, cluster: str, copy: Object) -> bytes | None:
        """The newest known state of a managed object in a connected member, as JSON, the same bytes until it changes; ``copy``: apiVersion, kind and metadata of it."""
        executor = self._executors.get(constants.execution_namespace(cluster))
        return executor.observed_body(copy) if executor is not None else None

    # -- works ---------------------------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        old, new = event.old, event.new
        if new is None:
            return
        if old is not None and old.meta.generation == new.meta.generation:
            if old.meta.deletionTimestamp == new.meta.deletionTimestamp:
                return
        executor = self._executors.get(event.key.namespace)
        if executor is not None:
            executor.queue.add(event.key)
        elif new.meta.deletionTimestamp and self._is_ours(event.key.namespace):
            self.queue.add(event.key)

    def _observe_interpreter(self, event: Event) -> None:
        if self._interpreting.concerned(event):
            for executor in self._executors.values():
                executor.interpret_again()

    def _observe_cluster(self, event: Event) -> None:
        """``Clusters`` has seen the event before us: it listens first."""
        name = event.key.name
        executor, ready = self._executors.get(constants.execution_namespace(name)), self._clusters.is_ready(name)
        if executor is not None:
            executor.ready_changed(ready)
        if event.new is None:
            self._refused.discard(name)
        if self._clusters.is_leaving(name):
            if executor is not None and not ready:
                executor.resync(ending_only=True)  # what waited for the member does so no longer
            self._end_all(name)

    def _end_all(self, cluster: str) -> None:
        space = constants.execution_namespace(cluster)
        for entry in self._cache.resource(WORKS).entries(space) if self._is_ours(space) else ():
            if entry.meta.deletionTimestamp:
                self.queue.add(entry.key)

    async def _reconcile(self, key: Key) -> None:
        """A Work whose cluster leaves and cannot be asked takes its finalizer along; in all other cases it waits."""
        entry = self._cache.get(*key)
        if entry is None or not entry.meta.deletionTimestamp or key.namespace in self._executors:
            return
        if not self._is_ours(key.namespace):
            return
        cluster = constants.cluster_of(key.namespace)
        if constants.FINALIZER_EXECUTION not in (entry.meta.finalizers or ()) or not self._clusters.is_leaving(cluster):
            return
        found = self._clusters.get(cluster)
        pulled = found is not None and found["spec"].get("syncMode") == "Pull"  # the agent ends its Works
        if found is None or cluster in self._refused or (pulled and not self._clusters.is_ready(cluster)):
            work = self._kinds.read_work(entry)
            record_left_behind(self._recorder, self._clusters, cluster, work)
            registry = self._shards.registry(cluster)
            await drop_finalizer(registry, self._kinds.work, work, constants.FINALIZER_EXECUTION)


@final
class _Listed:
    """Keeps an executor findable while its connection is open."""

    def __init__(self, router: WorkRouter, executor: ExecutionController) -> None:
        self._router = router
        self._executor = executor

    def start(self) -> None:
        self._router.opened(self._executor)

    async def stop(self) -> None:
        self._router.closed(self._executor)
