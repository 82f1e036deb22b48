"""How much an evaluation may look at, beside what it costs."""

from __future__ import annotations

import threading
from typing import Final

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
