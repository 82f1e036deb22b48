"""Keys that wait in the order of their priorities."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar, final

K = TypeVar("K", bound=Hashable)


@final
class PriorityQueue(Generic[K]):
    """The highest priority first; among equals the one that came first. A key stands in it once."""

    def __init__(self) -> None:
        self._places: dict[K, tuple[int, int]] = {}  # negated priority, arrival
        self._heap: list[
            tuple[int, int, K]
        ] = []  # with places that were left since; arrivals differ, keys are not compared
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: K) -> bool:
        return key in self._places

    def put(self, key: K, priority: int = 0) -> bool:
        """Returns whether that changed anything: a key keeps its place as long as its priority is the same."""
        known = self._places.get(key)
        if known is not None and known[0] == -priority:
            return False
        self._arrivals += 1
        self._places[key] = place = (-priority, self._arrivals)
        heapq.heappush(self._heap, (*place, key))
        return True

    def discard(self, key: K) -> None:
        self._places.pop(key, None)

    def highest(self) -> int:
        """The priority of the one that is next. Raises IndexError when nobody waits."""
        return -self._next()[0]

    def pop(self) -> K:
        """Raises IndexError when nobody waits."""
        key = self._next()[2]
        heapq.heappop(self._heap)
        del self._places[key]
        return key

    def _next(self) -> tuple[int, int, K]:
        while self._places.get((place := self._heap[0])[2]) != place[:2]:
            heapq.heappop(self._heap)
        return place

    def clear(self) -> None:
        self._places.clear()
        self._heap.clear()
