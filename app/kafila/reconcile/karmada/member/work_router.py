"""Hands every Work to the execution controller of its cluster, and ends those whose cluster has none."""

from __future__ import annotations

from functools import partial
from typing import final

from kafila.core.resources import Key
from kafila.placement import constants
from kafila.reconcile.controller import QueueController
from kafila.reconcile.interpreter.interpreting import INTERPRETERS
from kafila.reconcile.karmada.federation import CLUSTERS, WORKS, Federation
from kafila.registry.codec import decode_entry
from kafila.settings.federation import FederationOptions
from kafila.watch import Event

from .cluster_status import ClusterStatus, collection_failed
from .execution import ExecutionController
from .manager import MemberConnection, MemberController
from .object_writer import ObjectWriter
from .works import StoredWorks


@final
class WorkRouter(QueueController[Key]):
    name = "execution"

    def __init__(self, federation: Federation, options: FederationOptions) -> None:
        super().__init__(federation.registry.cache, self.name, concurrency=4)
        self._federation = federation
        self._options = options
        self._executors: dict[str, ExecutionController] = {}  # by execution namespace
        self._refused: set[str] = set()  # clusters that no client can be made for
        federation.registry.cache.listen(WORKS, self._observe)
        federation.registry.cache.listen(CLUSTERS, self._observe_cluster)
        for resource in INTERPRETERS:
            federation.registry.cache.listen(resource, self._observe_interpreter)

    async def start(self) -> None:
        self._refused.clear()  # another process may have worked meanwhile
        await super().start()

    def resync(self) -> None:
        for executor in self._executors.values():
            executor.resync()
        for entry in self._federation.registry.cache.resource(WORKS).entries():
            if entry.meta.deletionTimestamp:
                self.queue.add(entry.key, background=True)

    # -- members -------------------------------------------------------------------------------------------------------

    def controllers_for(self, connection: MemberConnection) -> list[MemberController]:
        """The controllers of a new connection, in the order in which they start."""
        catalog, interpreting = self._federation.registry.catalog, self._federation.interpreting
        member = partial(ObjectWriter, connection, catalog, interpreting)
        executor = ExecutionController(StoredWorks(self._federation, connection), member)
        self._refused.discard(connection.name)
        status = ClusterStatus(self._federation, connection, self._options, executor)
        return [status, executor, _Listed(self, executor)]

    def opened(self, executor: ExecutionController) -> None:
        self._executors[executor.space] = executor

    def closed(self, executor: ExecutionController) -> None:
        """What it has not ended it never will."""
        self._executors.pop(executor.space, None)
        self._end_all(constants.cluster_of(executor.space))

    async def refused(self, cluster: str, why: str) -> None:
        self._refused.add(cluster)
        await collection_failed(self._federation, cluster, why)
        self._end_all(cluster)

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
        elif new.meta.deletionTimestamp:
            self.queue.add(event.key)

    def _observe_interpreter(self, event: Event) -> None:
        if self._federation.interpreting.concerned(event):
            for executor in self._executors.values():
                executor.interpret_again()

    def _observe_cluster(self, event: Event) -> None:
        """The federation has seen the event before us: it listens first."""
        name = event.key.name
        executor, ready = self._executors.get(constants.execution_namespace(name)), self._federation.is_ready(name)
        if executor is not None:
            executor.ready_changed(ready)
        if event.new is None:
            self._refused.discard(name)
        if self._federation.is_leaving(name):
            if executor is not None and not ready:
                executor.resync(ending_only=True)  # what waited for the member does so no longer
            self._end_all(name)

    def _end_all(self, cluster: str) -> None:
        space = constants.execution_namespace(cluster)
        for entry in self._federation.registry.cache.resource(WORKS).entries(space):
            if entry.meta.deletionTimestamp:
                self.queue.add(entry.key)

    async def _reconcile(self, key: Key) -> None:
        """A Work whose cluster leaves and cannot be asked takes its finalizer along; in all other cases it waits."""
        entry = self._federation.registry.cache.get(*key)
        cluster = constants.cluster_of(key.namespace)
        if entry is None or not entry.meta.deletionTimestamp or key.namespace in self._executors:
            return
        if constants.FINALIZER_EXECUTION not in (entry.meta.finalizers or ()) or not self._federation.is_leaving(
            cluster
        ):
            return
        found = self._federation.cluster(cluster)
        pulled = found is not None and found["spec"].get("syncMode") == "Pull"  # the agent ends its Works
        if found is None or cluster in self._refused or (pulled and not self._federation.is_ready(cluster)):
            kind = self._federation.work_kind
            self._federation.left_behind(cluster, decode_entry(kind, entry))
            await self._federation.drop_finalizer(kind, decode_entry(kind, entry), constants.FINALIZER_EXECUTION)


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
