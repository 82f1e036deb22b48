"""ClusterScores, which policies name as weights."""

from __future__ import annotations

from typing import Final, final

from kafila.placement.cluster_scores import Score, score_of
from kafila.watch import Cache, Event

CLUSTER_SCORES: Final = "clusterscores.placement.kafila.io"


@final
class ClusterScores:
    """Read when a decision asks for them, once for each change."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._read: dict[str, Score] = {}
        cache.listen(CLUSTER_SCORES, self._forget)
        cache.on_reset(self._read.clear)

    def _forget(self, event: Event) -> None:
        self._read.pop(event.key.name, None)

    def get(self, name: str) -> Score | None:
        found = self._read.get(name)
        if found is None:
            entry = self._cache.get(CLUSTER_SCORES, "", name)
            if entry is None:
                return None
            found = self._read[name] = score_of(entry.decode())
        return found
