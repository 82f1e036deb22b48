"""The Works of one cluster, as they are stored, and what is known of the cluster itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import final

from kafila.core.errors import ignoring_not_found
from kafila.core.resources import Key, gvk_of
from kafila.core.values import Object
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.placement import constants
from kafila.placement.interpreter import InterpretError
from kafila.placement.types import Work
from kafila.placement.work.status import Reflected, manifest_status
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import Interpreting
from kafila.reconcile.karmada.binding_events import record_left_behind
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.indexes import binding_key_of_work
from kafila.reconcile.karmada.kinds import OPTIONS, WORKS, Kinds
from kafila.reconcile.karmada.writes import drop_finalizer
from kafila.reconcile.queue import is_expected
from kafila.reconcile.refusals import Refusals
from kafila.registry import Registry
from kafila.registry.threads import in_thread
from kafila.watch import Entry

from .manager import MemberConnection


@final
class StoredWorks:
    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        interpreting: Interpreting,
        clusters: Clusters,
        connection: MemberConnection,
        leave_timeout: float,
    ) -> None:
        self._leave_timeout = leave_timeout
        self._recorder = recorder
        self._interpreting = interpreting
        self._clusters = clusters
        self._registry = registry
        self._kinds = Kinds(registry)
        self._connection = connection
        self._refusals = Refusals(registry, recorder)
        self.cluster = connection.name
        self.namespace = constants.execution_namespace(connection.name)
        self.event = recorder.event

    # -- the cluster ---------------------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        return self._clusters.is_ready(self.cluster)

    def leaves_within(self) -> float | None:
        leaving = self._clusters.leaving_for(self.cluster)
        return None if leaving is None else self._leave_timeout - leaving

    def away_for(self) -> float:
        """Seconds until its circuit breaker lets a request through."""
        return self._connection.client.breaker.remaining(asyncio.get_running_loop().time())

    # -- Works ---------------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Entry | None:
        return self._registry.cache.get(*key)

    def entries(self) -> Iterable[Entry]:
        return self._registry.cache.resource(WORKS).entries(self.namespace)

    async def decoded(self, entry: Entry) -> Work:
        return await in_thread(len(entry.body), lambda: self._kinds.read_work(entry))

    async def write_status(self, key: Key, change: Callable[[Work], Work]) -> bool:
        """False: the Work is gone."""
        kind = self._kinds.work
        with ignoring_not_found():
            await self._registry.modify(kind, key.namespace, key.name, change, OPTIONS, "status")
            return True
        return False

    async def release(self, work: Work) -> None:
        """It may go: nothing of it is left in the member."""
        await drop_finalizer(self._registry, self._kinds.work, work, constants.FINALIZER_EXECUTION)

    def leave_behind(self, work: Work, why: str) -> None:
        """Says so."""
        record_left_behind(self._recorder, self._clusters, self.cluster, work, why)

    async def understand(self, work: Work, observed: Object, size: int) -> Reflected:
        """What the member says of an object is read as its kind, as Karmada does: a template's status is aggregated from it, beside
        what other members say. Raises InterpretError."""
        kind = self._registry.catalog.by_kind(*gvk_of(observed))
        try:
            if kind is not None and not kind.custom and "status" in observed:
                compile_decoder(kind.schema)({"status": observed["status"]})
            return await self._interpreting.decide(partial(manifest_status, work, observed), size)
        except (DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InterpretError(f"the member's object is not of its kind's shape: {error}"[:512]) from error

    def failed(self, controller: str, key: Key, error: Exception) -> None:
        """What nobody foresaw becomes an event on the Work, its binding and its template; a member's refusal is one already."""
        entry = self._registry.cache.get(*key)
        if entry is None or is_expected(error):
            return
        for subject in filter(None, (key, binding_key_of_work(entry))):
            self._refusals.record(controller, subject, error)
