"""The descheduler: looks now and then for replicas that find no node in their cluster, and has them placed elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from prometheus_client import Counter

from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.scheduler.deschedule import about, descheduled, may_be_descheduled, message, shortages, taken
from kafila.placement.types import Binding
from kafila.reconcile.controller import QueueController
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.binding_events import record_for_binding
from kafila.reconcile.karmada.kinds import BINDINGS, Kinds
from kafila.reconcile.queue import Requeue
from kafila.registry import Options, Registry
from kafila.watch import Entry, needles

from .estimators import Estimators

OPTIONS: Final = Options(manager="karmada-descheduler")
_MARK: Final = needles.field("aggregatedStatus")  # nothing is known of a binding without it
TAKEN: Final = Counter(
    "kafila_descheduled_replicas_total", "Replicas that found no node and were taken from a cluster.", ["cluster"]
)


@final
class Descheduler(QueueController[Key]):
    """``interval``: seconds between two looks at all bindings; ``threshold``: for how many a pod has to have found no node."""

    name = "descheduler"

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        make_estimators: Callable[[], Estimators],
        interval: float,
        threshold: float,
    ) -> None:
        super().__init__(registry.cache, "descheduler", concurrency=4)
        self._registry = registry
        self._recorder = recorder
        self._kinds = Kinds(registry)
        self._make_estimators = make_estimators  # when it starts: who has it off needs no certificates for them
        self._estimators: Estimators | None = None
        self._interval = interval
        self._threshold = threshold
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._estimators = self._make_estimators()
        self.queue.start()
        self._look()

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await super().stop()
        if self._estimators is not None:
            self._estimators.close()
            self._estimators = None

    def resync(self) -> None:
        for entry in self._registry.cache.resource(BINDINGS).entries():
            if entry.mentions(_MARK):
                self.queue.add(entry.key, background=True)

    def _look(self) -> None:
        self.resync()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp or self._estimators is None:
            return
        binding = self._kinds.read_binding(entry)
        short = shortages(binding) if may_be_descheduled(binding) else []
        if not short:
            return
        clusters = [each.cluster for each in short]
        request = self._estimators.unschedulable_request(about(binding), clusters, self._threshold)
        lost = taken(short, await self._estimators.ask(request))
        if lost:
            await self._take(entry, binding, lost)

    async def _take(self, entry: Entry, binding: Binding, lost: dict[str, int]) -> None:
        """What was asked about is what is changed: a binding that is another one by now is looked at once more."""
        kind = self._kinds.of_binding(entry.key)
        try:
            change = self._registry.stage_update(kind, entry, descheduled(binding, lost), OPTIONS)
            await self._registry.commit_together([change])
        except StatusError as error:
            if error.is_conflict:
                raise Requeue(0) from error
            record_for_binding(self._recorder, binding, "Warning", constants.EVENT_DESCHEDULE_FAILED, str(error))
            error.is_recorded = True
            raise
        record_for_binding(self._recorder, binding, "Normal", constants.EVENT_DESCHEDULE, message(lost))
        for cluster, count in lost.items():
            TAKEN.labels(cluster).inc(count)
