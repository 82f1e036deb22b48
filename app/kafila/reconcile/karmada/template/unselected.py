"""A workload that nobody's policy selects says so, once: it was made to run somewhere, and stays in the control plane.

Other kinds are silent: most ConfigMaps, Secrets and Roles are not meant to go anywhere, or follow a workload.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.placement.detector.match import choose_policy, is_skipped_object
from kafila.placement.interpreter import Operation
from kafila.placement.objects import identity
from kafila.reconcile.events import Recorder
from kafila.reconcile.interpreter.interpreting import Interpreting
from kafila.reconcile.karmada.indexes import binding_key, owns
from kafila.reconcile.karmada.propagation_policies import PolicyIndex
from kafila.reconcile.queue import WorkQueue
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry

GRACE_PERIOD = 10.0  # seconds: the policy may come with the same "kubectl apply"
EVENT_NO_POLICY: Final = "NoPolicySelects"
MESSAGE: Final = "no PropagationPolicy or ClusterPropagationPolicy selects it: it stays in the control plane"
_FURTHER: Final = ("DaemonSet", "CronJob")  # workloads without replicas of their own


@final
class Unselected:
    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        interpreting: Interpreting,
        policies: PolicyIndex,
        skipped: Sequence[re.Pattern[str]],
    ) -> None:
        self._recorder = recorder
        self._interpreting = interpreting
        self._cache = registry.cache
        self._catalog = registry.catalog
        self._policies = policies
        self._skipped = skipped
        self.queue: WorkQueue[Key] = WorkQueue("unselected", self._reconcile)

    def created(self, entry: Entry) -> None:
        kind = self._catalog.storage_kind(entry.key.resource)
        if kind is not None and self._is_workload(kind) and not self._stays(kind, entry):
            self.queue.add_after(entry.key, GRACE_PERIOD, background=True)

    def _is_workload(self, kind: Kind) -> bool:
        sources = self._interpreting.sources
        return kind.kind in _FURTHER or sources.hook_enabled(kind.gvk, Operation.REPLICA)

    def _stays(self, kind: Kind, entry: Entry) -> bool:
        """Nobody expects it elsewhere."""
        key = entry.key
        if any(owner.controller for owner in entry.meta.ownerReferences or ()):
            return True
        return is_skipped_object(kind.kind, key.namespace, key.name, self._skipped)

    async def _reconcile(self, key: Key) -> None:
        entry, kind = self._cache.get(*key), self._catalog.storage_kind(key.resource)
        if entry is None or kind is None or entry.meta.deletionTimestamp:
            return
        template = decode_entry(kind, entry)
        own, cluster_wide = self._policies.candidates(template)
        binding = self._cache.get(*binding_key(self._cache, identity(template)))
        if choose_policy(template, own, cluster_wide).policy is None and (
            binding is None or not owns(template, binding)
        ):
            self._recorder.event(template, "Warning", EVENT_NO_POLICY, MESSAGE)
