"""Seats of the priority levels: what each has by its shares, and what it lends and borrows (KEP-1040, "Dispatching")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from .demand import Observed

ADJUSTMENT_PERIOD: Final = 10.0  # seconds between two adjustments of what is lent
SMOOTHING: Final = 0.977  # of demand, for each period: half of it is forgotten in five minutes
SMALLEST_TARGET: Final = 0.001  # nothing is divided by 0
SEATS_OF_ONE: Final = 0.15  # of the nominal seats of a level: what one request may take


class Shares(NamedTuple):
    """What a PriorityLevelConfiguration says of seats; ``borrowing`` None: as many as there are."""

    exempt: bool
    nominal: int
    lendable: int  # percent
    borrowing: int | None = None  # percent


class Limits(NamedTuple):
    """Seats: by shares, with all lent that may be, with all borrowed that may be."""

    nominal: int
    lower: int
    upper: int

    @property
    def initial(self) -> int:
        """Before anything is known of demand: half of what may be lent is."""
        return self.nominal - (self.nominal - self.lower) // 2


class Level(NamedTuple):
    """A level at an adjustment. ``smoothed``: of its demand, seats."""

    exempt: bool
    limits: Limits
    highest: int
    smoothed: float


class Adjusted(NamedTuple):
    current: dict[str, int]  # seats of each level from now on
    targets: dict[str, float]
    fair: float  # the part of its target that each level gets; 0: there is not even what is guaranteed


def limits(levels: Mapping[str, Shares], total: int) -> dict[str, Limits]:
    """``total``: seats of the server. Rounded up: together they may be a few more."""
    shares = sum(level.nominal for level in levels.values())
    found = {}
    for name, level in levels.items():
        nominal = math.ceil(total * level.nominal / shares) if shares else 0
        lendable = _rounded(nominal * level.lendable / 100)
        borrowing = total if level.borrowing is None else _rounded(nominal * level.borrowing / 100)
        found[name] = Limits(nominal, nominal - lendable, nominal + borrowing)
    return found


def most_seats(nominal: int, hand: int) -> int:
    """What one request of a level that queues may take: the others of its flow have to find some too."""
    return max(1, min(math.ceil(nominal * SEATS_OF_ONE), nominal // hand))


def smoothed(before: float, observed: Observed) -> float:
    """Demand rises at once and falls slowly."""
    envelope = observed.average + observed.deviation
    return max(envelope, SMOOTHING * before + (1 - SMOOTHING) * envelope)


def adjust(levels: Mapping[str, Level]) -> Adjusted:
    """Seats for the next period: exempt levels what they use, the others their part of what is left."""
    total = sum(level.limits.nominal for level in levels.values())
    current = {name: max(level.limits.lower, level.highest) for name, level in levels.items() if level.exempt}
    left = total - sum(current.values())
    limited = {name: level for name, level in levels.items() if not level.exempt}
    floors = {name: _floor(level) for name, level in limited.items()}
    targets = {name: max(float(floors[name]), level.smoothed) for name, level in limited.items()}
    lower = sum(level.limits.lower for level in limited.values())
    needed = sum(floors.values())
    fair = 0.0
    if left <= lower:
        current |= {name: level.limits.lower for name, level in limited.items()}
    elif left <= needed:
        part = (left - lower) / (needed - lower)
        for name, level in limited.items():
            current[name] = level.limits.lower + _rounded((floors[name] - level.limits.lower) * part)
    else:
        bounds = [(targets[name], float(floors[name]), float(level.limits.upper)) for name, level in limited.items()]
        divided, fair = divide(total, bounds)
        current |= {name: _rounded(seats) for name, seats in zip(limited, divided, strict=True)}
    return Adjusted(current, targets, fair)


def _floor(level: Level) -> int:
    """What a level needed last time it keeps, as far as it is its own."""
    return max(level.limits.lower, min(level.limits.nominal, level.highest))


def divide(total: float, wanted: Sequence[tuple[float, float, float]]) -> tuple[list[float], float]:
    """Seats for each (target, lowest, highest), and the one factor of all targets with which their sum is ``total``.

    The sum grows with the factor, in straight pieces between the factors at which one of them meets a bound: the piece that
    reaches ``total`` has the answer. n log n. What bounds make impossible ends at the bounds.
    """
    targets = [max(target, SMALLEST_TARGET) for target, _, _ in wanted]
    bends: list[tuple[float, float]] = []  # factor, and how much steeper the sum grows from there on
    for target, (_, low, high) in zip(targets, wanted, strict=True):
        bends += ((low / target, target), (high / target, -target))
    bends.sort()
    reached = sum(low for _, low, _ in wanted)
    factor = bends[0][0] if bends else 0.0
    slope = 0.0
    for bend, steeper in bends:
        grown = reached + slope * (bend - factor)
        if grown >= total and slope > 0:
            break
        reached, factor, slope = grown, bend, slope + steeper
    if slope > 0 and reached < total:
        factor += (total - reached) / slope
    found = [max(low, min(high, factor * target)) for target, (_, low, high) in zip(targets, wanted, strict=True)]
    return found, factor


def _rounded(value: float) -> int:
    """Halves away from 0, as Go; no value is below it."""
    return math.floor(value + 0.5)
