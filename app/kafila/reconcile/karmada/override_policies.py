"""Override policies as they are now, decoded once, and the templates that one of them touches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import final

from kafila.catalog.kind import Kind
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.override.apply import read_ahead
from kafila.placement.types import OverridePolicy
from kafila.placement.work.build import Overrides, records_overrides
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.kinds import read_override_policy
from kafila.registry import Registry
from kafila.watch import Entry, Event


async def read_long_texts(template: Object, policies: Iterable[OverridePolicy]) -> None:
    for read in read_ahead(template, policies):
        await asyncio.to_thread(read)


@final
class OverrideIndex:
    def __init__(self, registry: Registry, clusters: Clusters) -> None:
        self._clusters = clusters
        self._cache = registry.cache
        self._own: Kind = registry.kind("policy.karmada.io", "v1alpha1", "overridepolicies")
        self._cluster_wide: Kind = registry.kind("policy.karmada.io", "v1alpha1", "clusteroverridepolicies")
        self._loaded: tuple[list[OverridePolicy], dict[str, list[OverridePolicy]]] | None = None
        self._by_namespace: dict[str, Overrides] = {}
        self.resources = (self._own.resource, self._cluster_wide.resource)
        for resource in self.resources:
            self._cache.listen(resource, lambda event: self.forget())
        self._cache.on_reset(self.forget)

    def forget(self) -> None:
        self._loaded = None
        self._by_namespace.clear()

    def overrides(self, namespace: str) -> Overrides:
        """What may apply to a template of the namespace."""
        found = self._by_namespace.get(namespace)
        if found is None:
            cluster_wide, own = self._load()
            found = self._by_namespace[namespace] = Overrides(cluster_wide, own.get(namespace, ()))
        return found

    async def read_ahead(self, template: Object) -> None:
        """Does in threads what would take long about overriding the template."""
        found = self.overrides(template["metadata"].get("namespace", ""))
        await read_long_texts(template, (*found.cluster_policies, *found.policies))

    def changed_since(self, template: Object, works: Iterable[Entry]) -> bool:
        """Would others apply now than those that the Works record?"""
        overrides = self.overrides(template["metadata"].get("namespace", ""))
        for work in works:
            cluster = self._clusters.get(constants.cluster_of(work.key.namespace))
            recorded = {"metadata": {"annotations": work.meta.annotations or {}}}
            if cluster is not None and not records_overrides(recorded, template, cluster, overrides):
                return True
        return False

    def exists(self, namespace: str, name: str) -> bool:
        """Of the namespace, cluster-wide without one."""
        kind = self._own if namespace else self._cluster_wide
        return self._cache.get(kind.resource, namespace, name) is not None

    def versions(self, event: Event) -> list[OverridePolicy]:
        """The policy before and after a change of it."""
        kind = self._own if event.key.namespace else self._cluster_wide
        return [read_override_policy(kind, entry) for entry in (event.old, event.new) if entry is not None]

    def _load(self) -> tuple[list[OverridePolicy], dict[str, list[OverridePolicy]]]:
        if self._loaded is None:
            own: dict[str, list[OverridePolicy]] = {}
            for entry in self._entries(self._own):
                own.setdefault(entry.key.namespace, []).append(read_override_policy(self._own, entry))
            cluster_wide = [
                read_override_policy(self._cluster_wide, entry) for entry in self._entries(self._cluster_wide)
            ]
            self._loaded = (cluster_wide, own)
        return self._loaded

    def _entries(self, kind: Kind) -> list[Entry]:
        return list(self._cache.resource(kind.resource).entries())
