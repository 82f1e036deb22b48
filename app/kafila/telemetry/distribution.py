"""A histogram in plain numbers, of which metrics are made when somebody asks: what is observed at each write pays for two additions."""

from __future__ import annotations

from math import inf
from typing import final


@final
class Distribution:
    """How often a value was how large: ``counts[bisect_left(bounds, value)]``."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def total(self) -> int:
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        found, total = [], 0
        for bound, count in zip((*self._bounds, inf), self.counts, strict=True):
            total += count
            found.append(("+Inf" if bound == inf else str(bound), float(total)))
        return found
