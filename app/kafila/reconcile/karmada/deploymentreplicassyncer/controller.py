"""Deployments whose replicas members' autoscalers own (label ``retain-replicas``): the template's follow those of the members.

Only once the status is known to tell of the replicas that the template asks for now: else a change of a user's would be undone.
"""

from __future__ import annotations

from typing import Final, final

from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.constants import Identity
from kafila.placement.retained_replicas import is_collected, replicas_to_follow
from kafila.reconcile.controller import QueueController
from kafila.reconcile.karmada.indexes import binding_key, template_key_of
from kafila.reconcile.karmada.kinds import BINDINGS, OPTIONS, Kinds
from kafila.reconcile.queue import Requeue
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry, Event

DEPLOYMENTS: Final = "deployments.apps"


@final
class DeploymentReplicasSyncer(QueueController[Key]):
    name = "deploymentReplicasSyncer"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, "deployment-replicas-syncer", concurrency=2)
        self._registry = registry
        self._kinds = Kinds(registry)
        self._kind = registry.kind("apps", "v1", "deployments")
        registry.cache.listen(DEPLOYMENTS, self._observe)
        registry.cache.listen(BINDINGS, self._observe_binding)

    def resync(self) -> None:
        for entry in self._registry.cache.resource(DEPLOYMENTS).entries():
            self._add(entry, background=True)

    def _observe(self, event: Event) -> None:
        if event.new is not None:
            self._add(event.new)

    def _observe_binding(self, event: Event) -> None:
        """What the members tell comes to the binding first."""
        if event.new is None or (template := template_key_of(event.new, self._registry.catalog)) is None:
            return
        entry = self._registry.cache.get(*template) if template.resource == DEPLOYMENTS else None
        if entry is not None:
            self._add(entry)

    def _add(self, entry: Entry, background: bool = False) -> None:
        labels = entry.meta.labels or {}
        if labels.get(constants.RETAIN_REPLICAS) == constants.TRUE and not entry.meta.deletionTimestamp:
            self.queue.add(entry.key, background)

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        if entry is None or (entry.meta.labels or {}).get(constants.RETAIN_REPLICAS) != constants.TRUE:
            return
        identity = Identity(self._kind.group, self._kind.kind, key.namespace, key.name)
        stored = self._registry.cache.get(*binding_key(self._registry.cache, identity))
        if stored is None:
            return
        deployment, binding = decode_entry(self._kind, entry), self._kinds.read_binding(stored)
        replicas = replicas_to_follow(deployment, binding)
        if replicas is None or not is_collected(deployment, binding):
            return  # the next status brings it here again
        followed = {**deployment, "spec": {**deployment["spec"], "replicas": replicas}}
        try:
            await self._registry.commit_together([self._registry.stage_update(self._kind, entry, followed, OPTIONS)])
        except StatusError as error:
            if error.is_conflict:
                raise Requeue(0) from error  # the newer one decides
            raise
