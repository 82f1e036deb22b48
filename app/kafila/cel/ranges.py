"""Ranges of sizes and costs, and what is known of the arguments of a call."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf
from typing import Final, NamedTuple, Protocol

from .ast import Expr
from .types import Type

MOST: Final = 2**64 - 1
TRAVERSAL: Final = 0.1
REGEX: Final = 0.25

Path = tuple[str, ...]
# of what is at a path from a variable: the most elements, characters or bytes it may have; None where nothing is known
Sizes = Callable[[Path], "int | None"]


def _times(value: int, factor: float) -> int:
    found = float(value) * factor
    return MOST if found == inf or found >= 2.0**64 else ceil(found)


class Range(NamedTuple):
    """Of a size or of a cost."""

    low: int
    high: int

    def plus(self, other: Range) -> Range:
        return Range(min(self.low + other.low, MOST), min(self.high + other.high, MOST))

    def times(self, other: Range) -> Range:
        return Range(min(self.low * other.low, MOST), min(self.high * other.high, MOST))

    def scaled(self, factor: float) -> Range:
        return Range(_times(self.low, factor), _times(self.high, factor))

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


UNKNOWN: Final = Range(0, MOST)
ONE: Final = Range(1, 1)
ZERO: Final = Range(0, 0)
NOTHING_YET: Final = Range(MOST, 0)


def fixed(value: int) -> Range:
    return Range(value, value)


class Entries(NamedTuple):
    """Sizes of a container's keys and values."""

    kind: str
    key: Range
    value: Range

    def union(self, other: Entries | None) -> Entries | None:
        return other and Entries(self.kind, self.key.union(other.key), self.value.union(other.value))


class Known(NamedTuple):
    """Of an argument: where it comes from, its type, the expression (None for the elements of one) and its size."""

    path: Path
    type: Type
    node: Expr | None
    size: Range | None


class Estimated(NamedTuple):
    """Of a call; ``size`` of what it gives."""

    cost: Range
    size: Range | None = None


class Knowledge(Protocol):
    """What an estimator has found so far."""

    def size_of(self, known: Known) -> Range: ...

    def entries(self, node: Expr | None) -> Entries | None: ...

    def set_entries(self, node: Expr, entries: Entries | None) -> None: ...
