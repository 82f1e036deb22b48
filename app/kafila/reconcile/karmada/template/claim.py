"""A policy claims a template: the template says whose it is before anything else follows from it."""

from __future__ import annotations

from typing import final

from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.detector import binding as bindings
from kafila.placement.types import PropagationPolicy
from kafila.reconcile.karmada.kinds import OPTIONS
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES, PolicyIndex
from kafila.registry import Registry
from kafila.registry.threads import decoded

from .changes import EnqueueReason, OwnWrites
from .template_queue import TemplateQueue


@final
class PolicyClaim:
    def __init__(self, registry: Registry, policies: PolicyIndex, own: OwnWrites, templates: TemplateQueue) -> None:
        self._registry = registry
        self._policies = policies
        self._own = own
        self._templates = templates

    async def claim(self, kind: Kind, key: Key, template: Object, policy: PropagationPolicy) -> Object:
        """The first commit: the template says whose it is. The binding stores the revision that this gives."""
        if bindings.claim(template, policy) is template:
            return template
        revision = 0
        self._own.begin((key,))
        try:
            entry = await self._registry.modify(
                kind, key.namespace, key.name, lambda current: bindings.claim(current, policy), OPTIONS
            )
            revision = entry.revision
        finally:
            missed = self._own.end(key) > revision
        metadata = policy["metadata"]
        resource = POLICIES if metadata.get("namespace") else CLUSTER_POLICIES
        current = self._policies.get(Key(resource, metadata.get("namespace", ""), metadata["name"]))
        if current is not policy:  # it has changed, and had not claimed the template yet
            self._templates.enqueue(key, EnqueueReason.CLAIMING_POLICY)
        elif missed:
            self._templates.enqueue(key, EnqueueReason.DEPENDENCY)
        return await decoded(kind, entry)
