"""Finished Jobs go when their ttlSecondsAfterFinished is over (kube-controller-manager's ttl-after-finished controller).

Members' copies come without the field: here the template goes, and takes its copies along.
"""

from __future__ import annotations

import time
from typing import final

from kafila.core.clock import parse_rfc3339
from kafila.core.conditions import conditions_of
from kafila.core.errors import ignoring_not_found
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.context import DeleteOptions
from kafila.watch import Event

FINISHED = ("Complete", "Failed")


@final
class FinishedJobs(QueueController[Key]):
    name = "ttl-after-finished"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("batch", "v1", "jobs")
        registry.cache.listen(self._kind.resource, self._observe)

    def resync(self) -> None:
        for entry in self._registry.cache.resource(self._kind.resource).entries():
            self.queue.add(entry.key, background=True)

    def _observe(self, event: Event) -> None:
        if event.new is not None:
            self.queue.add(event.key)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None or entry.meta.deletionTimestamp:
            return
        ends = end_of(entry.decode())
        if ends is None:
            return
        left = ends - time.time()
        if left > 0:
            raise Requeue(left + 0.001, timed=True)
        # of the revision that was read: the time may have been made longer
        options = DeleteOptions(uid=entry.meta.uid, resource_version=str(entry.revision), propagation="Foreground")
        with ignoring_not_found():
            await self._registry.delete(self._kind, key.namespace, key.name, options)


def end_of(job: Object) -> float | None:
    """When a Job is to be deleted (seconds since the epoch), None when it is not, or not yet, known."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    finished = next((c for c in conditions_of(job) if c["type"] in FINISHED and c["status"] == "True"), None)
    at = finished.get("lastTransitionTime") if finished else None
    return parse_rfc3339(at) + seconds if at and seconds is not None else None
