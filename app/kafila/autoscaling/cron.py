"""Schedules of CronFederatedHPA, read and followed as Karmada does it.

Karmada's webhook takes more than what runs its rules can read (seconds, ``@5minutes``, ``L``): such a rule is refused when it is to start,
and so it is here, in the same words. What is read is cron of five fields and ``@daily`` with its like; where day of month and weekday are
both given, one of them is enough. Clocks that are put forward leave out what would have been in the gap, clocks that are put back bring
an hour twice: a schedule is a row of moments at which the local clock shows what it names.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

YEARS: Final = 5  # that are looked ahead
LONGEST: Final = 1000  # characters of a schedule
_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DAYS: Final = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_LONGEST_MONTH: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days, by month
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MOST: Final = 2**63 - 1


class ScheduleError(ValueError):
    """The schedule cannot be followed; the message is that of Karmada's event."""


class _Bounds(NamedTuple):
    low: int
    high: int
    names: dict[str, int]


_FIELDS: Final = (
    _Bounds(0, 59, {}),
    _Bounds(0, 23, {}),
    _Bounds(1, 31, {}),
    _Bounds(1, 12, _MONTHS),
    _Bounds(0, 6, _DAYS),
)


class Schedule(NamedTuple):
    """The numbers of each field. ``either``: a day needs to match only one of day of month and weekday."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def next_after(self, second: float, zone: tzinfo) -> float | None:
        """The first moment after ``second`` (Unix time); None: there is none in the next years."""
        if not self._may_come():
            return None
        at = (math.floor(second) // 60 + 1) * 60
        last = datetime.fromtimestamp(at, zone).year + YEARS
        while (local := datetime.fromtimestamp(at, zone)).year <= last:
            if local.month not in self.months:
                later = _midnight(local.year + local.month // 12, local.month % 12 + 1, 1, zone)
            elif not self._is_day(local):
                tomorrow = datetime.fromordinal(local.toordinal() + 1)
                later = _midnight(tomorrow.year, tomorrow.month, tomorrow.day, zone)
            elif local.hour not in self.hours:
                later = at + 60 * (60 - local.minute)
            elif local.minute not in self.minutes:
                later = at + 60 * (min((m for m in self.minutes if m > local.minute), default=60) - local.minute)
            else:
                return float(at)
            at = later if later > at else at + 3600  # an hour that comes twice before midnight
        return None

    def _may_come(self) -> bool:
        """Not ``0 0 31 2 *``: nobody needs to look at years of days for that."""
        days = any(day <= _LONGEST_MONTH[month] for month in self.months for day in self.days)
        day = (days or (self.months and self.weekdays)) if self.either else (days and self.weekdays)
        return bool(self.minutes and self.hours and day)

    def _is_day(self, local: datetime) -> bool:
        of_month, of_week = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return (of_month or of_week) if self.either else (of_month and of_week)


def _midnight(year: int, month: int, day: int, zone: tzinfo) -> int:
    return int(datetime(year, month, day, tzinfo=zone).timestamp())


def parse(text: str) -> Schedule:
    """Raises ScheduleError."""
    try:
        return _parsed(text)
    except ValueError as error:
        raise ScheduleError(f"gocron: cron expression failed to be parsed: {error}") from None


def _parsed(text: str) -> Schedule:
    if len(text) > LONGEST:
        raise ValueError(f"more than {LONGEST} characters")
    text = text.strip()
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    found = [_field(field, bounds) for field, bounds in zip(fields, _FIELDS, strict=True)]
    either = not found[2][1] and not found[4][1]
    minutes, hours, days, months, weekdays = (numbers for numbers, _ in found)
    return Schedule(minutes, hours, days, months, weekdays, either)


def _field(field: str, bounds: _Bounds) -> tuple[frozenset[int], bool]:
    """Its numbers, and whether it has a star: then it limits no day by itself."""
    numbers, star = set[int](), False
    for item in filter(None, field.split(",")):
        more, stars = _item(item, bounds)
        numbers.update(more)
        star = star or stars
    return frozenset(numbers), star


def _item(item: str, bounds: _Bounds) -> tuple[range, bool]:
    where, *steps = item.split("/")
    first, *others = where.split("-")
    star = first in ("*", "?")
    if star:
        start, end = bounds.low, bounds.high
    else:
        start = _number(first, bounds.names)
        if len(others) > 1:
            raise ValueError(f"too many hyphens: {item}")
        end = _number(others[0], bounds.names) if others else start
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {item}")
    step = _number(steps[0], {}) if steps else 1
    if steps and not others:
        end = bounds.high
    if start < bounds.low:
        raise ValueError(f"beginning of range ({start}) below minimum ({bounds.low}): {item}")
    if end > bounds.high:
        raise ValueError(f"end of range ({end}) above maximum ({bounds.high}): {item}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {item}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {item}")
    return range(start, end + 1, step), star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    if (named := names.get(text.lower())) is not None:
        return named
    if not _INTEGER.fullmatch(text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if abs(number) > _MOST:
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": value out of range')
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
