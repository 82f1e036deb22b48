"""WorkloadRebalancer: asks the scheduler for a fresh decision about the workloads it lists."""

from __future__ import annotations

import time
from typing import final

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.values import Object
from kafila.placement.objects import identity_in
from kafila.placement.rebalance import (
    FAILED,
    SUCCESSFUL,
    Workload,
    identity,
    is_pending,
    observed_workloads,
    with_results,
)
from kafila.placement.types import Binding
from kafila.reconcile.controller import ResourceController
from kafila.reconcile.karmada.indexes import binding_key
from kafila.reconcile.karmada.kinds import OPTIONS, Kinds
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions
from kafila.watch import Event


@final
class Rebalancer(ResourceController):
    name = "workloadRebalancer"
    about = "workloadrebalancers.apps.karmada.io"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, "workload-rebalancer", concurrency=2)
        self._registry = registry
        self._kinds = Kinds(registry)
        self._kind = self._registry.kind("apps.karmada.io", "v1alpha1", "workloadrebalancers")

    def _observe(self, event: Event) -> None:
        if event.new is not None and (event.old is None or event.old.meta.generation != event.new.meta.generation):
            self.queue.add(event.key.name)

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(self._kind.resource, "", name)
        if entry is None or entry.meta.deletionTimestamp:
            return
        rebalancer = decode_entry(self._kind, entry)
        items = observed_workloads(rebalancer)
        done: dict[Workload, str] = {}
        failure: StatusError | None = None
        for item in filter(is_pending, items):
            try:
                done[identity(item["workload"])] = await self._trigger(rebalancer, item["workload"])
            except StatusError as error:
                failure = error
        status = with_results(rebalancer, items, done, rfc3339())
        if status != (rebalancer.get("status") or {}):
            await self._registry.modify(
                self._kind, "", name, lambda current: {**current, "status": status}, OPTIONS, "status"
            )
        if failure is not None:
            raise failure
        await self._expire(rebalancer, status)

    async def _trigger(self, rebalancer: Object, workload: Object) -> str:
        asked = rebalancer["metadata"]["creationTimestamp"]
        key = binding_key(self._registry.cache, identity_in(workload))
        kind = self._kinds.of_binding(key)

        def triggered(binding: Binding) -> Binding:
            before = binding["spec"].get("rescheduleTriggeredAt")
            if before and parse_rfc3339(before) >= parse_rfc3339(asked):
                return binding
            return {**binding, "spec": {**binding["spec"], "rescheduleTriggeredAt": asked}}

        with ignoring_not_found():
            await self._registry.modify(kind, key.namespace, key.name, triggered, OPTIONS)
            return SUCCESSFUL
        return FAILED

    async def _expire(self, rebalancer: Object, status: Object) -> None:
        seconds = rebalancer["spec"].get("ttlSecondsAfterFinished")
        if seconds is None or not status.get("finishTime"):
            return
        left = parse_rfc3339(status["finishTime"]) + seconds - time.time()
        if left > 0:
            raise Requeue(left + 0.001, timed=True)
        metadata = rebalancer["metadata"]
        with ignoring_not_found():
            await self._registry.delete(self._kind, "", metadata["name"], DeleteOptions(uid=metadata["uid"]))
