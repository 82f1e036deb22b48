"""Nodes and pods of a member, reduced to the numbers that its Cluster's status needs, and added up as they change.

A pod counts as kube-scheduler counts it: the sum of its containers or the biggest init container, whichever is more, plus
overhead. Adding up incrementally keeps a status round independent of the number of pods.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeVar, final

from kafila.core import quantity
from kafila.core.conditions import is_true
from kafila.core.quantity import Format, Quantity
from kafila.core.values import AnyObject, Object

T = TypeVar("T")
Amounts = tuple[tuple[str, int], ...]  # name and amount: cpu in milli, everything else in units; sorted by name
Phase = Literal["waiting", "running", "finished"]

MOST_NAMES: Final = 256  # resources that a Cluster's status lists: a member may name as many as it likes
LONGEST_NAME: Final = 317  # characters of a qualified name
_FIRST: Final = ("cpu", "memory", "pods", "ephemeral-storage")
_BINARY: Final = frozenset({"memory", "ephemeral-storage"})
_interned: dict[Amounts, Amounts] = {}  # thousands of pods ask for the same few amounts
_INTERN_LIMIT: Final = 10_000


class NodeFacts(NamedTuple):
    ready: bool
    allocatable: tuple[tuple[str, Quantity], ...]


class PodFacts(NamedTuple):
    phase: Phase
    node: str
    requests: Amounts


def node_facts(node: Object) -> NodeFacts:
    status = node.get("status") or {}
    ready = is_true(status.get("conditions"), "Ready")
    allocatable = status.get("allocatable") or {}
    return NodeFacts(
        ready, tuple((sys.intern(name), quantity.parse(str(allocatable[name]))) for name in sorted(allocatable))
    )


def pod_facts(pod: Object) -> PodFacts:
    spec = pod.get("spec") or {}
    node = spec.get("nodeName") or ""
    if not node:
        return PodFacts("waiting", "", pod_requests(spec))
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return PodFacts("finished", sys.intern(node), ())
    return PodFacts("running", sys.intern(node), pod_requests(spec))


def pod_requests(spec: Object) -> Amounts:
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    peak: dict[str, int] = {}
    sidecars: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        asked = _requests(container)
        if container.get("restartPolicy") == "Always":  # stays, beside what comes after it
            _add(total, asked)
            _add(sidecars, asked)
            _raise(peak, sidecars)
        else:
            beside = dict(sidecars)
            _add(beside, asked)
            _raise(peak, beside)
    _raise(total, peak)
    _add(total, _amounts(spec.get("overhead") or {}))
    amounts = tuple(sorted((name, amount) for name, amount in total.items() if amount))
    if len(_interned) > _INTERN_LIMIT:
        _interned.clear()
    return _interned.setdefault(amounts, amounts)


def _requests(container: Object) -> dict[str, int]:
    return _amounts((container.get("resources") or {}).get("requests") or {})


def _amounts(listed: Mapping[str, Any]) -> dict[str, int]:
    return {
        sys.intern(name): quantity.to_milli(value) if name == "cpu" else quantity.to_int(value)
        for name, value in listed.items()
        if name in _COUNTED or _is_scalar(name)
    }


_COUNTED: Final = frozenset({"cpu", "memory", "ephemeral-storage", "pods"})


def _is_scalar(name: str) -> bool:
    return "/" in name or name.startswith(("hugepages-", "attachable-volumes-"))


def _add(total: dict[str, int], more: Mapping[str, int] | Iterable[tuple[str, int]], sign: int = 1) -> None:
    for name, amount in more.items() if isinstance(more, Mapping) else more:
        if added := total.get(name, 0) + sign * amount:
            total[name] = added
        else:  # nobody names it any more
            total.pop(name, None)


def _raise(total: dict[str, int], floor: Mapping[str, int]) -> None:
    for name, amount in floor.items():
        if amount > total.get(name, 0):
            total[name] = amount


def resource_list(amounts: Mapping[str, int]) -> dict[str, str]:
    """A ``ResourceList`` in the notation Karmada gives it; what is zero is left out."""
    return {
        name: str(quantity.from_milli(amount) if name == "cpu" else quantity.from_int(amount, _format(name)))
        for name, amount in sorted(amounts.items())
        if amount > 0
    }


def _format(name: str) -> Format:
    return "BinarySI" if name in _BINARY or name.startswith("hugepages-") else "DecimalSI"


def _most_wanted(names: set[str], allocatable: Container[str]) -> set[str]:
    """As many names as are listed: what every node has, what nodes have, and what somebody only asks for, by name."""
    lawful = {name for name in names if len(name) <= LONGEST_NAME}
    if len(lawful) <= MOST_NAMES:
        return lawful
    ordered = sorted(lawful, key=lambda name: (name not in _FIRST, name not in allocatable, name))
    return set(ordered[:MOST_NAMES])


@final
class ResourceSummary:
    """It is given every change, and so answers at once."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeFacts] = {}
        self._ready = 0
        self._allocatable: dict[str, tuple[int, Format, int]] = {}  # nano, notation, nodes that have it
        self._allocating: dict[str, int] = {}
        self._allocated: dict[str, int] = {}
        self._by_node: dict[str, dict[str, int]] = {}

    def node(self, name: str, facts: NodeFacts | None) -> None:
        """The node is like this now, or (None) gone."""
        if old := self._nodes.pop(name, None):
            self._ready -= old.ready
            self._count_node(old, -1)
        if facts is not None:
            self._nodes[name] = facts
            self._ready += facts.ready
            self._count_node(facts, 1)

    def _count_node(self, facts: NodeFacts, sign: int) -> None:
        for name, amount in facts.allocatable:
            nano, format, nodes = self._allocatable.get(name, (0, amount.format, 0))
            if nodes + sign:
                self._allocatable[name] = (nano + sign * amount.nano, format, nodes + sign)
            else:
                del self._allocatable[name]

    def pod(self, before: PodFacts | None, after: PodFacts | None) -> None:
        if before != after:
            if before is not None:
                self._count_pod(before, -1)
            if after is not None:
                self._count_pod(after, 1)

    def _count_pod(self, pod: PodFacts, sign: int) -> None:
        amounts = (*pod.requests, ("pods", 1))
        if pod.phase == "waiting":
            _add(self._allocating, amounts, sign)
        elif pod.phase == "running":
            _add(self._allocated, amounts, sign)
            there = self._by_node.setdefault(pod.node, {})
            _add(there, amounts, sign)
            if not there.get("pods"):
                del self._by_node[pod.node]

    def node_summary(self) -> Object:
        return {k: v for k, v in (("totalNum", len(self._nodes)), ("readyNum", self._ready)) if v}

    def resource_summary(self, models: Sequence[AnyObject] = ()) -> Object:
        """``models`` is the Cluster's spec.resourceModels, when modelings are wanted. See ``left_out``."""
        named = self._named()
        allocatable = {
            name: str(Quantity(nano, format)) for name, (nano, format, _) in sorted(named(self._allocatable).items())
        }
        parts: Object = {
            "allocatable": allocatable,
            "allocating": resource_list(named(self._allocating)),
            "allocated": resource_list(named(self._allocated)),
            "allocatableModelings": self.modelings(models) if models else [],
        }
        return {name: part for name, part in parts.items() if part}

    def left_out(self) -> int:
        """How many resources the summary leaves out."""
        names = self._names()
        return len(names) - len(_most_wanted(names, self._allocatable))

    def _names(self) -> set[str]:
        return {*self._allocatable, *self._allocating, *self._allocated}

    def _named(self) -> Callable[[Mapping[str, T]], Mapping[str, T]]:
        names = self._names()
        wanted = _most_wanted(names, self._allocatable)
        if len(wanted) == len(names):
            return lambda amounts: amounts
        return lambda amounts: {name: amount for name, amount in amounts.items() if name in wanted}

    def modelings(self, models: Sequence[AnyObject]) -> list[Object]:
        """How many nodes have free resources of each grade. Nodes without a pod slot left have none."""
        floors = _floors(models)
        counts = [0] * len(models)
        for name, node in self._nodes.items():
            free = _free(node, self._by_node.get(name, {}))
            if free is not None and (grade := _grade(floors, free)) >= 0:
                counts[grade] += 1
        return [{"grade": model["grade"], "count": count} for model, count in zip(models, counts, strict=True)]


def _floors(models: Sequence[AnyObject]) -> dict[str, list[int]]:
    """Per resource the lower bound of each grade, in nano."""
    found: dict[str, list[int]] = {}
    for model in models:
        for bounds in model.get("ranges") or ():
            found.setdefault(bounds["name"], []).append(quantity.of(bounds.get("min", "0")).nano)
    return found


def _free(node: NodeFacts, used: Mapping[str, int]) -> dict[str, int] | None:
    """What is left on a node, in nano."""
    left = {name: amount.nano for name, amount in node.allocatable}
    if used and left.get("pods", 0) <= used.get("pods", 0) * quantity.NANO:
        return None
    for name, amount in used.items():
        if name in left:
            left[name] -= amount * (quantity.NANO // 1000 if name == "cpu" else quantity.NANO)
    return left


def _grade(floors: Mapping[str, list[int]], free: Mapping[str, int]) -> int:
    """The highest grade that every resource reaches, -1 when there is none."""
    grades = [sum(floor <= free.get(name, 0) for floor in bounds) - 1 for name, bounds in floors.items()]
    return min(grades, default=-1)
