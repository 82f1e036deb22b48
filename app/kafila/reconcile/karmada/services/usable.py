"""Whether something has changed that decides to or from which clusters services are brought."""

from __future__ import annotations

from typing import Any, final

from kafila.placement.services.multicluster import unusable
from kafila.reconcile.karmada.clusters import Clusters
from kafila.watch import Event


@final
class UsableClusters:
    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._known: dict[str, Any] = {}

    def changed(self, event: Event) -> bool:
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
