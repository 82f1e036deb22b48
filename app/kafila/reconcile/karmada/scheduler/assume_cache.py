"""Overcommit protection: work that was placed and is not healthy yet counts as taken, though no summary shows it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import final

from kafila.core.feature_gates import SCHEDULING_OVERCOMMIT_PROTECTION, Gates
from kafila.core.resources import Key
from kafila.placement import constants
from kafila.placement.scheduler.estimate import Assumed
from kafila.placement.spec import is_workload, targets
from kafila.placement.types import Binding, Component, ResourceBindingSpec, TargetCluster

LIFETIME = 300.0  # seconds, for work that never gets healthy


@final
class AssumeCache:
    """In memory only, as in Karmada: whoever takes over sees what runs by then in the summaries."""

    def __init__(self, gates: Gates) -> None:
        self._on = SCHEDULING_OVERCOMMIT_PROTECTION in gates
        self._found: dict[Key, tuple[float, dict[str, Assumed]]] = {}

    def by_cluster(self) -> Mapping[str, Sequence[Assumed]]:
        now = time.monotonic()
        gone = [key for key, (until, _) in self._found.items() if until < now]
        for key in gone:
            del self._found[key]
        by_cluster: dict[str, list[Assumed]] = {}
        for _, entries in self._found.values():
            for cluster, work in entries.items():
                by_cluster.setdefault(cluster, []).append(work)
        return by_cluster

    @contextmanager
    def placing(self, key: Key, before: Binding | None, binding: Binding) -> Iterator[None]:
        """While it is stored, whoever is decided about meanwhile must not get the same resources; what fails takes none."""
        known = self._found.get(key)
        self.placed(key, before, binding)
        try:
            yield
        except BaseException:
            if known is None:
                self._found.pop(key, None)
            else:
                self._found[key] = known
            raise

    def placed(self, key: Key, before: Binding | None, binding: Binding) -> None:
        """The binding is stored with another result."""
        spec = binding["spec"]
        if not self._on or not is_workload(spec):
            return
        if before is not None and targets(before["spec"]) == targets(spec):
            return
        entries = {target["name"]: Assumed(_components(spec, target)) for target in targets(spec)}
        if entries:
            self._found[key] = (time.monotonic() + LIFETIME, entries)
        else:
            self._found.pop(key, None)

    def settled(self, key: Key, before: Binding | None, binding: Binding) -> None:
        """Where it has become healthy it shows in the summaries."""
        known = self._found.get(key)
        if known is None:
            return
        for cluster in _healthy(binding) - (_healthy(before) if before is not None else frozenset()):
            known[1].pop(cluster, None)
        if not known[1]:
            del self._found[key]

    def forget(self, key: Key) -> bool:
        """Returns whether anything was taken."""
        return self._found.pop(key, None) is not None


def _components(spec: ResourceBindingSpec, target: TargetCluster) -> list[Component]:
    if spec.get("components"):
        found: list[Component] = spec["components"]
        return found
    made: Component = {"name": spec["resource"].get("name", ""), "replicas": target.get("replicas") or 0}
    if spec.get("replicaRequirements") is not None:
        made["replicaRequirements"] = spec["replicaRequirements"]
    return [made]


def _healthy(binding: Binding) -> set[str]:
    items = (binding.get("status") or {}).get("aggregatedStatus") or ()
    return {item.get("clusterName", "") for item in items if item.get("health") == constants.HEALTHY}
