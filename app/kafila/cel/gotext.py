"""Numbers, times and values as Go writes and reads them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from .bounds import STEPS
from .values import (
    INT_MAX,
    INT_MIN,
    Duration,
    EvaluationError,
    Opaque,
    Optional,
    Timestamp,
    find,
    is_list,
    is_map,
    keys,
)

SECOND: Final = 10**9
_LOOK_UP: Final = 50  # steps, of a time zone
MIN_SECONDS: Final = -62135596800
MAX_SECONDS: Final = 253402300799
_UNITS: Final = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 10**6,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_PART: Final = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)")
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:(Z)|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def general(value: float) -> str:
    """``%g``: the shortest text that reads back."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + exponent - 1  # of the first digit
    minus = "-" if sign else ""
    if point < -4 or point >= 6:
        mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
        return f"{minus}{mantissa}e{'-' if point < 0 else '+'}{abs(point):02d}"
    return minus + plain(abs(value))


def plain(value: float) -> str:
    """``%f`` with as many digits as needed."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_duration(text: str) -> int | None:
    """Nanoseconds, as Go's ``time.ParseDuration``; None for what is none."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    if not body or len(body) > 1000:
        return None
    total, at = 0, 0
    while at < len(body):
        found = _PART.match(body, at)
        if found is None or not (found[1] or found[2]):
            return None
        unit = _UNITS[found[3]]
        total += int(found[1] or "0") * unit
        if found[2]:
            total += int(int(found[2]) * unit // 10 ** len(found[2]))
        if total > INT_MAX + 1:
            return None
        at = found.end()
    total = -total if text.startswith("-") else total
    return total if INT_MIN <= total <= INT_MAX else None


def duration_text(value: Duration) -> str:
    """Seconds, as ``string(duration)`` has them."""
    whole, rest = divmod(abs(value.nanos), SECOND)
    return ("-" if value.nanos < 0 else "") + plain(whole + rest / SECOND) + "s"


def parse_timestamp(text: str) -> int | None:
    """Nanoseconds since 1970 of RFC 3339."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    seconds = (at - _EPOCH) // timedelta(seconds=1)
    if found[9]:
        hours, minutes = int(found[10]), int(found[11])
        if hours > 24 or minutes > 60:
            return None
        seconds -= (1 if found[9] == "+" else -1) * (hours * 3600 + minutes * 60)
    return seconds * SECOND + int((found[7] or "0")[:9].ljust(9, "0"))


def timestamp_text(value: Timestamp) -> str:
    seconds, nanos = divmod(value.nanos, SECOND)
    at = _EPOCH + timedelta(seconds=seconds)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{at.year:04d}-{at:%m-%dT%H:%M:%S}{fraction}Z"


def in_zone(value: Timestamp, zone: str) -> datetime:
    """Raises EvaluationError for a zone that is none."""
    seconds, nanos = divmod(value.nanos, SECOND)
    try:
        return (_EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)).astimezone(_zone(zone))
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


@lru_cache(maxsize=1024)  # there are about six hundred
def _named(zone: str) -> tzinfo:
    """Raises ValueError, OSError, KeyError."""
    return ZoneInfo(zone)


def _zone(zone: str) -> tzinfo:
    if ":" not in zone:
        if zone in ("", "UTC"):
            return UTC
        STEPS.take(_LOOK_UP)
        try:
            return _named(zone)
        except (ValueError, OSError, KeyError):
            raise EvaluationError(f"unknown time zone {zone}") from None
    hours, _, minutes = zone.partition(":")
    parts = []
    for part in (hours, minutes):
        if not re.fullmatch(r"[+-]?\d{1,4}", part, re.ASCII):
            raise EvaluationError(f'strconv.Atoi: parsing "{part}": invalid syntax')
        parts.append(int(part))
    offset = parts[0] * 60 + (-parts[1] if zone.startswith("-") else parts[1])
    try:
        return timezone(timedelta(minutes=offset))
    except ValueError:
        raise EvaluationError(f"unknown time zone {zone}") from None


def shown(value: Any) -> str:
    """A value within a message (``%v``)."""
    STEPS.take()
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        return general(value)
    if isinstance(value, str):
        STEPS.take(len(value) >> 12)
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        STEPS.take(len(value) >> 3)
        return "[" + " ".join(map(str, value)) + "]"
    if isinstance(value, Duration):
        return go_duration(value.nanos)
    if isinstance(value, Timestamp):
        return timestamp_text(value)
    if is_list(value):
        return "[" + ", ".join(shown(part) for part in islice(value, 100)) + "]"
    if is_map(value):
        return "{" + ", ".join(f"{shown(key)}: {shown(find(value, key))}" for key in islice(keys(value), 100)) + "}"
    if isinstance(value, Optional):
        return f"optional({shown(value.value)})" if value.present else "optional.none()"
    return type(value).__name__ if isinstance(value, Opaque) else str(value)


def go_duration(nanos: int) -> str:
    """As Go's ``time.Duration.String``: ``1h2m3.5s``."""
    if nanos == 0:
        return "0s"
    minus, left = "-" if nanos < 0 else "", abs(nanos)
    if left < SECOND:
        unit, size = next((unit, size) for unit, size in (("ms", 10**6), ("µs", 1000), ("ns", 1)) if left >= size)
        return minus + _fraction(left, size) + unit
    minutes, rest = divmod(left, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    if minutes or hours:
        text += f"{minutes}m"
    return minus + text + _fraction(rest, SECOND) + "s"


def _fraction(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    digits = str(rest).rjust(len(str(size)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
