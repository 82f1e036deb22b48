"""The clusters as the scheduler looks at them: prepared once, asked for every binding.

A fleet is a snapshot. It remembers what it answered, so that bindings with the same placement or the same requests cost little; a
change of any cluster means another fleet, which takes over the members that did not change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar, final

from app.core import quantity
from app.placement.clusters import api_enabled, is_terminating
from app.placement.objects import Object, name, status

T = TypeVar("T")
_REMEMBERED: Final = 4096  # answers; past that all are forgotten, which costs less than to know the oldest


@final
class Member:
    """One cluster. Its object must not be changed any more."""

    __slots__ = ("_free", "_pods", "cluster", "name", "terminating")

    def __init__(self, cluster: Object) -> None:
        self.cluster = cluster
        self.name = name(cluster)
        self.terminating = is_terminating(cluster)
        self._free: dict[str, int] | None = None
        self._pods: int | None = None

    @property
    def summary(self) -> Object | None:
        found: Object | None = status(self.cluster).get("resourceSummary")
        return found

    @property
    def free_pods(self) -> int:
        if self._pods is None:
            free = 0
            for part, sign in (("allocatable", 1), ("allocated", -1), ("allocating", -1)):
                amount = ((self.summary or {}).get(part) or {}).get("pods")
                if amount is not None:
                    free += sign * quantity.to_int(amount)
            self._pods = max(free, 0)
        return self._pods

    @property
    def free(self) -> dict[str, int]:
        """What is left of every allocatable resource: cpu in milli, everything else in whole units."""
        if self._free is None:
            summary = self.summary or {}
            used = [summary.get(part) or {} for part in ("allocated", "allocating")]
            self._free = {}
            for resource, amount in (summary.get("allocatable") or {}).items():
                left = quantity.of(amount)
                for part in used:
                    if resource in part:
                        left = left - quantity.of(part[resource])
                self._free[resource] = quantity.to_milli(left) if resource == "cpu" else quantity.to_int(left)
        return self._free


@final
class Fleet:
    """All clusters, those that are being removed among them."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members: tuple[Member, ...] = tuple(members)
        self._answers: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.members)

    def remember(self, key: Hashable, ask: Callable[[], T]) -> T:
        """``ask()``, once for the key. The answer is shared: nobody may change it."""
        try:
            found: T = self._answers[key]
        except KeyError:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            found = self._answers[key] = ask()
        return found

    def serving(self, api_version: str, kind: str) -> frozenset[str]:
        """Names of the clusters that serve the kind."""
        return self.remember(
            ("api", api_version, kind),
            lambda: frozenset(m.name for m in self.members if api_enabled(m.cluster, api_version, kind)),
        )

    def leaving(self) -> frozenset[str]:
        """Names of the clusters that are being removed."""
        return self.remember("leaving", lambda: frozenset(m.name for m in self.members if m.terminating))


def fleet_of(clusters: Sequence[Object] | Fleet) -> Fleet:
    return clusters if isinstance(clusters, Fleet) else Fleet(map(Member, clusters))
