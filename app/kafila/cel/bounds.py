"""How much an evaluation may look at, beside what it costs, and how much the patterns that are written in expressions may be to compile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kafila.machinery.structural.patterns import LEAST, MOST_INSTRUCTIONS, instructions

MAX_COMPARED: Final = 200_000  # values: an object of a request has half of it


class CostExceeded(Exception):
    """No ``||`` absorbs it."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


def steps_of(cost_limit: int) -> int:
    """That an evaluation may take."""
    return min(MAX_COMPARED, 2 * cost_limit) + cost_limit // 2


class Steps(threading.local):
    """How much the evaluation that runs in this thread may still look at, in what takes a microsecond or so. cel-go's costs do not say it:
    values may share their parts, and be exponentially big, and some functions cost one whatever they are given.
    """

    left = 2**62  # between evaluations nothing is counted
    _seen: set[str] | None = None

    def begin(self, steps: int) -> None:
        """Another evaluation begins in this thread."""
        self.left, self._seen = steps, None

    def is_new(self, pattern: str) -> bool:
        """Whether the evaluation has not had it before."""
        if self._seen is None:
            self._seen = set()
        is_new = pattern not in self._seen
        self._seen.add(pattern)
        return is_new

    def take(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise CostExceeded


STEPS: Final = Steps()


class Patterns(threading.local):
    """Those of the expressions that this thread compiles together. While one is compiled nobody else works."""

    left = 0
    seen: set[str] | None = None  # None: nothing is being compiled

    def take(self, pattern: str) -> bool:
        """Whether it may be used."""
        if self.seen is None or pattern in self.seen:
            return True
        if self.left >= 0:
            self.left -= max(instructions(pattern), LEAST)
        if self.left < 0:
            return False
        self.seen.add(pattern)
        return True


PATTERNS: Final = Patterns()


@contextmanager
def compiled_together() -> Iterator[None]:
    """What is compiled within has one bound for its patterns; an expression by itself has one of its own."""
    if PATTERNS.seen is not None:
        yield
        return
    PATTERNS.left, PATTERNS.seen = MOST_INSTRUCTIONS, set()
    try:
        yield
    finally:
        PATTERNS.seen = None
