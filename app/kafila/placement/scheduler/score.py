"""How much a feasible cluster is preferred: where the resource already is, it should stay."""

from __future__ import annotations

from typing import Final

MAX_SCORE: Final = 100


def locality_score(cluster: str, present: frozenset[str]) -> int:
    """ClusterLocality, the only plugin of Karmada that gives points: ``present`` are the clusters of the last result."""
    return MAX_SCORE if cluster in present else 0
