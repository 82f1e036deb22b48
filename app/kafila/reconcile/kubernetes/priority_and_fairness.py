"""Keeps FlowSchemas and priority levels that every server has, and says which FlowSchemas name a level that is not there.

kube-apiserver has both in itself (its config producer and consumer).
"""

from __future__ import annotations

from typing import NamedTuple, final

from kafila.flowcontrol.bootstrap import WANTED
from kafila.flowcontrol.objects import GROUP
from kafila.reconcile.controller import QueueController
from kafila.registry import Registry
from kafila.registry.flowcontrol import ensure_bootstrap_object, remove_left_over, write_dangling
from kafila.watch import Event


class About(NamedTuple):
    kind: str
    name: str


@final
class PriorityAndFairness(QueueController[About]):
    name = "priority-and-fairness"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._schemas = registry.kind(GROUP, "v1", "flowschemas")
        self._levels = registry.kind(GROUP, "v1", "prioritylevelconfigurations")
        registry.cache.listen(self._schemas.resource, self._observe_schema)
        registry.cache.listen(self._levels.resource, self._observe_level)

    def resync(self) -> None:
        for kind, name in WANTED:
            self.queue.add(About(kind, name))
        for kind in (self._schemas, self._levels):
            for entry in self._registry.cache.resource(kind.resource).entries():
                self.queue.add(About(kind.kind, entry.key.name))

    def _observe_schema(self, event: Event) -> None:
        self.queue.add(About(self._schemas.kind, event.key.name))

    def _observe_level(self, event: Event) -> None:
        """Whether it is there matters to the FlowSchemas that name it."""
        self.queue.add(About(self._levels.kind, event.key.name))
        if event.old is None or event.new is None:
            for entry in self._registry.cache.resource(self._schemas.resource).entries():
                self.queue.add(About(self._schemas.kind, entry.key.name))

    async def _reconcile(self, key: About) -> None:
        if (key.kind, key.name) in WANTED:
            await ensure_bootstrap_object(self._registry, key.kind, key.name)
        kind = self._schemas if key.kind == self._schemas.kind else self._levels
        entry = self._registry.cache.get(kind.resource, "", key.name)
        if entry is not None:
            await remove_left_over(self._registry, kind, entry)
        if kind is self._schemas:
            await write_dangling(self._registry, key.name)
