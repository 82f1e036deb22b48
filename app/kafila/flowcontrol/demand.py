"""How many seats a priority level could have used over a period: highest, average and deviation, weighted by time."""

from __future__ import annotations

import math
from typing import NamedTuple, final


class Observed(NamedTuple):
    """Seats over a period."""

    highest: int = 0
    average: float = 0.0
    deviation: float = 0.0


@final
class Demand:
    """A number that rises and falls, and its integrals. Each change costs a few additions: both integrals are kept as sums
    over the changes of (difference x time), which is what is left of them when the present value is carried to the end."""

    __slots__ = ("_began", "_square", "_sum", "highest", "seats")

    def __init__(self, now: float) -> None:
        self.seats = 0
        self.highest = 0
        self._began = now
        self._sum = 0.0
        self._square = 0.0

    def add(self, seats: int, now: float) -> None:
        """``seats`` more, or fewer, from ``now`` (seconds of a clock that never goes back) on."""
        elapsed = now - self._began
        before = self.seats
        after = self.seats = before + seats
        self._sum -= seats * elapsed
        self._square -= (after * after - before * before) * elapsed
        if after > self.highest:
            self.highest = after

    def reset(self, now: float) -> Observed:
        """What was seen since the last time; a new period begins."""
        period = now - self._began
        observed = Observed(self.highest)
        if period > 0:
            average = max(self._sum / period + self.seats, 0.0)
            square = self._square / period + self.seats * self.seats
            observed = Observed(self.highest, average, math.sqrt(max(square - average * average, 0.0)))
        self._began = now
        self._sum = self._square = 0.0
        self.highest = self.seats
        return observed
