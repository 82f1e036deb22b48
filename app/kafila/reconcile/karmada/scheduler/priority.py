"""Which templates go first: the priority that their policies give to their bindings."""

from __future__ import annotations

from typing import final

from kafila.core.feature_gates import PRIORITY_BASED_SCHEDULING
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.detector import binding as bindings
from kafila.placement.detector.match import choose_policy
from kafila.reconcile.karmada.federation import Federation
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES, PolicyIndex
from kafila.registry.codec import decode_entry
from kafila.watch import Entry


@final
class Priorities:
    """Karmada's scheduler orders bindings by ``spec.schedulePriority``; here template, binding and decision are one."""

    def __init__(self, federation: Federation, policies: PolicyIndex) -> None:
        self._federation = federation
        self._cache = federation.registry.cache
        self._catalog = federation.registry.catalog
        self._policies = policies
        self._on = PRIORITY_BASED_SCHEDULING in federation.gates

    def of(self, key: Key) -> int:
        """Of a template; 0 where nobody asks for more or less. Bindings of cluster-scoped ones have no priority."""
        if not self._on or not key.namespace or not self._policies.any_with_priority:
            return 0
        template = self._cache.get(*key)
        policy = self._policy(template) if template is not None else None
        wanted = ((policy or {}).get("spec") or {}).get("schedulePriority") or {}
        return self._federation.priority_classes().get(wanted.get("priorityClassName") or "", 0)

    def _policy(self, entry: Entry) -> Object | None:
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
