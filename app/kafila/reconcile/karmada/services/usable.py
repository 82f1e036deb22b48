"""Whether something has changed that decides to or from which clusters services are brought."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from kafila.placement.services.multicluster import unusable
from kafila.reconcile.karmada.clusters import Clusters, limit_in
from kafila.reconcile.karmada.kinds import CLUSTERS
from kafila.watch import Cache, Event


@final
class UsableClusters:
    """``changed`` is told the namespace whose services may use other clusters now, "" for all."""

    def __init__(self, cache: Cache, clusters: Clusters, changed: Callable[[str], None]) -> None:
        self._clusters = clusters
        self._changed = changed
        self._known: dict[str, Any] = {}
        cache.listen(CLUSTERS, self._observe)
        cache.listen("namespaces", self._observe_namespace)

    def _observe(self, event: Event) -> None:
        if self._is_other(event):
            self._changed("")

    def _is_other(self, event: Event) -> bool:
        """``Clusters`` has seen the event before: it listens first."""
        name, cluster = event.key.name, self._clusters.get(event.key.name)
        if cluster is None or event.new is None:
            self._known.pop(name, None)
            return True
        meta = event.new.meta
        now = unusable(cluster, name, "", ""), meta.labels, meta.deletionTimestamp
        if event.old is not None and self._known.get(name) == now:
            return False
        self._known[name] = now
        return True

    def _observe_namespace(self, event: Event) -> None:
        if limit_in(event.old) != limit_in(event.new):
            self._changed(event.key.name)
