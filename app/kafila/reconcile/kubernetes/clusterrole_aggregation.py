"""ClusterRoles that take their rules from others (kube-controller-manager's clusterrole-aggregation controller)."""

from __future__ import annotations

from typing import Final, final

from kafila.core import selectors
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.registry import Options, Registry
from kafila.registry.patching import Patch
from kafila.watch import Entry, Event, needles

OPTIONS: Final = Options(manager="clusterrole-aggregation-controller", force=True)
_AGGREGATES = needles.field("aggregationRule")


@final
class ClusterRoleAggregation(QueueController[str]):
    """Its keys are names of roles that aggregate: any change of any role may matter to each of them."""

    name = "clusterrole-aggregation"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("rbac.authorization.k8s.io", "v1", "clusterroles")
        self._aggregating: set[str] = set()
        registry.cache.listen(self._kind.resource, self._observe)

    def _entries(self) -> list[Entry]:
        return list(self._registry.cache.resource(self._kind.resource).entries())

    def resync(self) -> None:
        self._aggregating = {entry.key.name for entry in self._entries() if _aggregates(entry)}
        self._enqueue()

    def _observe(self, event: Event) -> None:
        if event.new is not None and _aggregates(event.new):
            self._aggregating.add(event.key.name)
        else:
            self._aggregating.discard(event.key.name)
        self._enqueue()

    def _enqueue(self) -> None:
        for name in sorted(self._aggregating):
            self.queue.add(name)

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(self._kind.resource, "", name)
        if entry is None or entry.meta.deletionTimestamp:
            return
        role = entry.decode()
        chosen = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
        if role.get("aggregationRule") is None:
            return
        rules = self._rules(name, chosen or [])
        if rules == (role.get("rules") or []):
            return
        document = {
            "apiVersion": self._kind.api_version,
            "kind": self._kind.kind,
            "metadata": {"name": name},
            "rules": rules,
        }
        await self._registry.patch(self._kind, "", name, Patch("apply", document), OPTIONS)

    def _rules(self, name: str, chosen: list[Object]) -> list[Object]:
        """Those of all roles that are selected, each once: by selector, then by name of the role."""
        rules: list[Object] = []
        for selector in chosen:
            matches = selectors.from_object(selector).matches
            for other in self._entries():
                if other.key.name != name and matches(other.meta.labels):
                    rules += [rule for rule in other.decode().get("rules") or () if rule not in rules]
        return rules


def _aggregates(entry: Entry) -> bool:
    return entry.mentions(_AGGREGATES)
