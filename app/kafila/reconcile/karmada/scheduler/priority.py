"""Which templates go first: the priority that their policies give to their bindings."""

from __future__ import annotations

from typing import final

from kafila.core.feature_gates import PRIORITY_BASED_SCHEDULING, Gates
from kafila.core.resources import Key
from kafila.placement.detector import binding as bindings
from kafila.placement.detector.match import choose_policy
from kafila.placement.types import PropagationPolicy
from kafila.reconcile.karmada.priority_classes import PriorityClasses
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES, PolicyIndex
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.watch import Entry


@final
class Priorities:
    """Karmada's scheduler orders bindings by ``spec.schedulePriority``; here template, binding and decision are one."""

    def __init__(
        self, registry: Registry, priority_classes: PriorityClasses, gates: Gates, policies: PolicyIndex
    ) -> None:
        self._priority_classes = priority_classes
        self._cache = registry.cache
        self._catalog = registry.catalog
        self._policies = policies
        self._on = PRIORITY_BASED_SCHEDULING in gates

    def of(self, key: Key) -> int:
        """Of a template; 0 where nobody asks for more or less. Bindings of cluster-scoped ones have no priority."""
        if not self._on or not key.namespace or not self._policies.any_with_priority:
            return 0
        template = self._cache.get(*key)
        policy = self._policy(template) if template is not None else None
        wanted = policy["spec"].get("schedulePriority") if policy is not None else None
        return self._priority_classes.values().get(wanted.get("priorityClassName") or "", 0) if wanted else 0

    def _policy(self, entry: Entry) -> PropagationPolicy | None:
        """The policy that has claimed the template; one that is new gets the best that selects it."""
        known = {"labels": entry.meta.labels, "annotations": entry.meta.annotations}
        claimed = bindings.claimed_by({"metadata": known})
        if claimed is not None:
            namespace, name, _ = claimed
            return self._policies.get(Key(POLICIES if namespace else CLUSTER_POLICIES, namespace, name))
        kind = self._catalog.storage_kind(entry.key.resource)
        if kind is None:
            return None
        template = decode_entry(kind, entry)
        return choose_policy(template, *self._policies.candidates(template)).policy
