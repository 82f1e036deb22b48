"""The clusters as the scheduler sees them: prepared once, asked for every binding.

A snapshot remembers what it answered, so that bindings with the same placement or the same requests cost little; a change of
any cluster means another snapshot, which takes over the members that did not change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar, final

import orjson

from kafila.core import quantity
from kafila.core.values import AnyObject
from kafila.placement.cluster_affinity import api_enabled, is_terminating, matcher
from kafila.placement.cluster_expression import Outcome, outcome, seen
from kafila.placement.objects import name
from kafila.placement.types import Cluster

T = TypeVar("T")
ENDLESS: Final = 2**31 - 1
_EXPRESSIONS: Final = 256  # of each cluster whose outcome is remembered
_REMEMBERED: Final = 4096  # answers; past that all are forgotten, which costs less than to know the oldest


@final
class ClusterInfo:
    """One cluster. Its object must not be changed any more."""

    __slots__ = ("_forgot", "_free", "_outcomes", "_pods", "cluster", "name", "terminating", "to_ask")

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.name = name(cluster)
        self.terminating = is_terminating(cluster)
        self._free: dict[str, int] | None = None
        self._pods: int | None = None
        self._outcomes: dict[str, Outcome] = {}
        self._forgot = False
        self.to_ask: dict[str, None] = {}  # expressions that it did not match before it changed

    def take_over(self, before: ClusterInfo) -> None:
        """What was asked of it before it changed: the answers hold, or those it did not match are to be asked again."""
        self._forgot = before._forgot
        if (before._outcomes or before.to_ask) and seen(before.cluster) == seen(self.cluster):
            self._outcomes, self.to_ask = before._outcomes, before.to_ask  # the same, which a thread may add to
            return
        failed = list(before.to_ask)  # first: what is asked just now gets from one to the other
        failed += [text for text, found in list(before._outcomes.items()) if not found.matches]
        self.to_ask = dict.fromkeys(failed[:_EXPRESSIONS])
        self._forgot = self._forgot or len(failed) > _EXPRESSIONS

    def asked_again(self, most: int) -> bool:
        """Asks so many of `to_ask`. Does one match now, or may one that was forgotten?"""
        some = list(self.to_ask)[:most]
        matches = [self.outcome(expression).matches for expression in some]
        for expression in some:
            self.to_ask.pop(expression, None)
        forgot, self._forgot = self._forgot, False
        return any(matches) or forgot

    def outcome(self, expression: str) -> Outcome:
        """Of a cluster expression, which is evaluated once."""
        found = self._outcomes.get(expression)
        if found is None:
            if len(self._outcomes) >= _EXPRESSIONS:
                self._outcomes.clear()
                self._forgot = True
            found = self._outcomes[expression] = outcome(expression, self.cluster)
        return found

    def knows(self, expression: str) -> bool:
        """Would `outcome` answer at once?"""
        return expression in self._outcomes

    @property
    def summary(self) -> AnyObject | None:
        return (self.cluster.get("status") or {}).get("resourceSummary")

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

    def has_more_available_than(self, before: ClusterInfo) -> bool:
        """Of any resource, for any pod, or in nodes of any size."""
        if self.free_pods > before.free_pods:
            return True
        if any(amount > before.free.get(resource, 0) for resource, amount in self.free.items()):
            return True
        grades = before.nodes_by_grade
        return any(count > grades.get(grade, 0) for grade, count in self.nodes_by_grade.items())

    @property
    def nodes_by_grade(self) -> dict[int, int]:
        models = (self.summary or {}).get("allocatableModelings") or ()
        return {model.get("grade") or 0: model.get("count") or 0 for model in models}


@final
class ClusterSnapshot:
    """All clusters, those that are being removed among them."""

    def __init__(self, members: Iterable[ClusterInfo]) -> None:
        self.members: tuple[ClusterInfo, ...] = tuple(members)
        self._answers: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.members)

    def has_more_available_than(self, before: ClusterSnapshot) -> bool:
        """In any cluster that both know."""
        known = {member.name: member for member in before.members}
        found = ((member, known.get(member.name, member)) for member in self.members)
        return any(now is not then and now.has_more_available_than(then) for now, then in found)

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
            lambda: self._matching(lambda cluster: api_enabled(cluster, api_version, kind)),
        )

    def within(self, affinity: AnyObject) -> frozenset[str]:
        """Names of the clusters that an affinity means. Its parts are shared by more bindings than the whole."""
        found: frozenset[str] | None = None
        for part in ("labelSelector", "fieldSelector", "clusterNames", "exclude"):
            if affinity.get(part) is not None:
                only = {part: affinity[part]}
                mine = self.remember(("within", orjson.dumps(only)), lambda only=only: self._matching(matcher(only)))  # type: ignore[misc]
                found = mine if found is None else found & mine
        return found if found is not None else self.remember("all", lambda: self._matching(matcher(None)))

    def tainted(self) -> frozenset[str]:
        """Names of the clusters that have a taint at all."""
        return self.remember(
            "tainted", lambda: self._matching(lambda cluster: bool((cluster.get("spec") or {}).get("taints")))
        )

    def having(self, field: str) -> frozenset[str]:
        """Names of the clusters whose spec has the field."""
        return self.remember(
            ("having", field), lambda: self._matching(lambda cluster: bool((cluster.get("spec") or {}).get(field)))
        )

    def _matching(self, test: Callable[[Cluster], bool]) -> frozenset[str]:
        return frozenset(member.name for member in self.members if test(member.cluster))

    @property
    def unlimited(self) -> bool:
        """Does any cluster take replicas without limit? Then it takes as many as are asked for."""
        return self.remember("unlimited", lambda: any(member.free_pods >= ENDLESS for member in self.members))

    def leaving(self) -> frozenset[str]:
        """Names of the clusters that are being removed."""
        return self.remember("leaving", lambda: frozenset(m.name for m in self.members if m.terminating))


def snapshot_of(clusters: Sequence[Cluster] | ClusterSnapshot) -> ClusterSnapshot:
    return clusters if isinstance(clusters, ClusterSnapshot) else ClusterSnapshot(map(ClusterInfo, clusters))
