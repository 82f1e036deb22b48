"""What is stored of templates, and the small writes to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from kafila.catalog.kind import Kind
from kafila.core.feature_gates import Gates
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.objects import identity
from kafila.placement.rollout.begin import is_under_way
from kafila.placement.types import PropagationPolicy
from kafila.reconcile.karmada.indexes import WorkIndex, binding_key
from kafila.reconcile.karmada.kinds import Kinds, stored_binding
from kafila.reconcile.karmada.override_policies import OverrideIndex
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES, PolicyIndex
from kafila.reconcile.karmada.writes import unclaim
from kafila.registry import Registry
from kafila.registry.threads import decoded
from kafila.watch import Entry

from .claim import PolicyClaim


@final
class StoredTemplates:
    """`propagation.Templates`."""

    def __init__(self, registry: Registry, works: WorkIndex, overrides: OverrideIndex, claim: PolicyClaim) -> None:
        self._registry = registry
        self._kinds = Kinds(registry)
        self._cache = registry.cache
        self._works = works
        self._overrides = overrides
        self.claim = claim.claim

    async def decoded(self, kind: Kind, entry: Entry) -> Object:
        return await decoded(kind, entry)

    def binding_of(self, template: Object) -> Entry | None:
        return self._cache.get(*binding_key(self._cache, identity(template)))

    async def lags_behind(self, template: Object, existing: Entry) -> bool:
        await self._overrides.read_ahead(template)
        if is_under_way((stored_binding(existing).get("status") or {}).get("rollout")):
            return True  # time goes on
        return self._works.lag_behind(existing) or self._overrides.changed_since(template, self._works.of(existing))

    async def unclaim(self, kind: Kind, entry: Entry) -> Entry:
        return await unclaim(self._registry, kind, entry)

    async def unclaim_binding(self, entry: Entry) -> Entry:
        return await unclaim(self._registry, self._kinds.of_binding(entry.key), entry)


@final
class StoredPolicies:
    """`steps.facts.PolicyFacts`."""

    def __init__(self, gates: Gates, policies: PolicyIndex, overrides: OverrideIndex) -> None:
        self.gates = gates
        self._policies = policies
        self._overrides = overrides

    def policy(self, namespace: str, name: str) -> PropagationPolicy | None:
        return self._policies.get(Key(POLICIES if namespace else CLUSTER_POLICIES, namespace, name))

    def candidates(self, template: Object) -> tuple[Sequence[PropagationPolicy], Sequence[PropagationPolicy]]:
        return self._policies.candidates(template)

    def override_exists(self, namespace: str, name: str) -> bool:
        return self._overrides.exists(namespace, name)
