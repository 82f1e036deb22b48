"""Whether a schedule is in the syntax of cron that Karmada's CronFederatedHPA reads (the gronx library's)."""

from __future__ import annotations

import re
from typing import Final

_NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
    "@always": "* * * * *",
    "@5minutes": "*/5 * * * *",
    "@10minutes": "*/10 * * * *",
    "@15minutes": "*/15 * * * *",
    "@30minutes": "0,30 * * * *",
    "@everysecond": "* * * * * *",
}
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WORDS: Final = {d: str(i) for i, d in enumerate(_DAYS)} | {m: str(i) for i, m in enumerate(_MONTHS, 1)}
_WORD: Final = re.compile("|".join(_WORDS))
# second, minute, hour, day of month, month, day of week, year
_BOUNDS: Final = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7), (1, 9999))
_DAY_OF_MONTH, _WEEKDAY = 3, 5
_YEAR: Final = re.compile(r"[0-9]{4}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")


def segments(schedule: str) -> list[str] | None:
    """The seven (or six, without a year) segments, seconds first; None when their number is wrong."""
    text = schedule.strip(" \t")
    text = _NAMED.get(text.lower(), text)
    parts = [_WORD.sub(lambda m: _WORDS[m[0]], part) for part in re.sub(r"\s+", " ", text).upper().split(" ")]
    if not 5 <= len(parts) <= 7:
        return None
    return ["0", *parts] if len(parts) == 5 or (len(parts) == 6 and _YEAR.search(parts[5])) else parts


def is_valid(schedule: str) -> bool:
    parts = segments(schedule)
    return parts is not None and all(_segment(part, place) for place, part in enumerate(parts[:7]))


def _segment(segment: str, place: int) -> bool:
    return all(_item(item, place) for item in segment.split(","))


def _item(item: str, place: int) -> bool:
    if item in ("*", "?"):
        return True
    if place in (_DAY_OF_MONTH, _WEEKDAY) and any(mark in item for mark in "LW#"):
        return _day_of_month(item) if place == _DAY_OF_MONTH else _weekday(item)
    low, high = _BOUNDS[place]
    if "/" in item:
        return _step(item, low, high)
    if "-" in item:
        if place == _WEEKDAY:
            item = item.replace("7-", "0-", 1)
        return _range(item, low, high)
    if item == "0" and place != _WEEKDAY:
        return True  # gronx takes 0 anywhere; it never comes where counting starts at 1
    return _within(item, low, high)


def _step(item: str, low: int, high: int) -> bool:
    base, _, step = item.partition("/")
    if not _is_number(step) or int(step) == 0:
        return False
    if base in ("*", "0"):
        return True
    return _range(base, low, high) if "-" in base else _within(base, low, high)


def _range(item: str, low: int, high: int) -> bool:
    start, _, end = item.partition("-")
    return _is_number(start) and _is_number(end) and low <= int(start) <= int(end) <= high


def _within(item: str, low: int, high: int) -> bool:
    return _is_number(item) and low <= int(item) <= high


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _day_of_month(item: str) -> bool:
    """``L``: the last day; ``15W``: the weekday nearest to the 15th."""
    return item == "L" or (item.endswith("W") and _within(item[:-1], 1, 31))


def _weekday(item: str) -> bool:
    """``5L``: the last Friday; ``5#2``: the second Friday."""
    if item.endswith("L"):
        return _within(item[:-1], 0, 7)
    day, hash_, week = item.partition("#")
    return bool(hash_) and _within(day, 0, 7) and _within(week, 1, 5)
