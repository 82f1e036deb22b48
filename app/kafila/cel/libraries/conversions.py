"""Conversions between types, sizes, times and the plain functions of strings."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from kafila.cel import types
from kafila.cel.bounds import STEPS
from kafila.cel.declarations import Library, Overload, member, overload
from kafila.cel.gotext import (
    MAX_SECONDS,
    MIN_SECONDS,
    SECOND,
    duration_text,
    general,
    in_zone,
    parse_duration,
    parse_timestamp,
    timestamp_text,
)
from kafila.cel.patterns import searched_now
from kafila.cel.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, LIST_A, MAP_AB, STRING, TIMESTAMP, UINT, A, Type
from kafila.cel.values import (
    INT_MAX,
    INT_MIN,
    NO_OVERLOAD,
    UINT_MAX,
    Duration,
    EvaluationError,
    Opaque,
    Timestamp,
    Uint,
    size,
    type_of,
)

from .operators import checked_timestamp

_INTEGER: Final = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_UNSIGNED: Final = re.compile(r"\d{1,40}", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?(?:(?:\d(?:_?\d)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.ASCII | re.I)
_LONGEST_FLOAT: Final = 1000  # characters
_DIGITS: Final = 800  # the middle between two doubles has 767 at most
_TRUE: Final = frozenset(["1", "t", "true", "TRUE", "True", "T"])
_FALSE: Final = frozenset(["0", "f", "false", "FALSE", "False", "F"])


def _refused(value: Any, wanted: str) -> EvaluationError:
    return EvaluationError(f"type conversion error from '{type_of(value).name}' to '{wanted}'")


def _is_float(text: str) -> bool:
    STEPS.take(len(text) >> 5)
    return _FLOAT.fullmatch(text) is not None and "_" not in text


def _shortened(text: str) -> str:
    """A number of the same value as a double, with no more digits than can count: what Python needs grows with their square."""
    number, _, exponent = text.lower().partition("e")
    sign = number[0] if number[0] in "+-" else ""
    whole, _, rest = number.removeprefix(sign).partition(".")
    digits = (whole + rest).lstrip("0")
    power = len(digits) - len(rest)
    more = "1" if digits[_DIGITS:].strip("0") else "0"
    minus = "-" if exponent.startswith("-") else ""
    raised = int(minus + (exponent.lstrip("+-0")[:18] or "0"))
    return f"{sign}0.{digits[:_DIGITS]}{more}e{power + raised}"


def to_int(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, Uint):
        if value > INT_MAX:
            raise EvaluationError("integer overflow")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value) or value <= INT_MIN or value >= INT_MAX:
            raise EvaluationError("integer overflow")
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value) and INT_MIN <= int(value) <= INT_MAX:
        return int(value)
    if isinstance(value, Timestamp):
        return value.nanos // SECOND
    if isinstance(value, Duration):
        return value.nanos
    raise _refused(value, "int")


def to_uint(value: Any) -> Uint:
    if isinstance(value, Uint):
        return value
    if type(value) is int:
        if value < 0:
            raise EvaluationError("unsigned integer overflow")
        return Uint(value)
    if isinstance(value, float):
        if not math.isfinite(value) or value < 0 or value >= UINT_MAX:
            raise EvaluationError("unsigned integer overflow")
        return Uint(int(value))
    if isinstance(value, str) and _UNSIGNED.fullmatch(value) and int(value) <= UINT_MAX:
        return Uint(int(value))
    raise _refused(value, "uint")


def to_double(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _is_float(value):
        found = float(value if len(value) <= _LONGEST_FLOAT else _shortened(value))
        if not math.isinf(found) or "i" in value.lower():
            return found
    raise _refused(value, "double")


def to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (value in _TRUE or value in _FALSE):
        return value in _TRUE
    raise _refused(value, "bool")


def to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise _refused(value, "bytes")


def to_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return general(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, Duration):
        return duration_text(value)
    if isinstance(value, Timestamp):
        return timestamp_text(value)
    if isinstance(value, Opaque):
        text = getattr(value, "text", None)
        if text is not None:
            return str(text())
    raise _refused(value, "string")


def to_duration(value: Any) -> Duration:
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):  # cel-go declares it of integers too, and has nothing for them
        nanos = parse_duration(value)
        if nanos is not None:
            return Duration(nanos)
    raise _refused(value, "google.protobuf.Duration")


def to_timestamp(value: Any) -> Timestamp:
    if isinstance(value, Timestamp):
        return value
    if type(value) is int:
        if not MIN_SECONDS <= value <= MAX_SECONDS:
            raise EvaluationError("timestamp overflow")
        return Timestamp(value * SECOND)
    if isinstance(value, str):
        nanos = parse_timestamp(value)
        if nanos is not None:
            return checked_timestamp(nanos)
    raise _refused(value, "google.protobuf.Timestamp")


def identity(value: Any) -> Any:
    return value


def type_name(value: Any) -> Type:
    return type_of(value)


def _string(run: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def checked(text: Any, part: Any) -> bool:
        if isinstance(text, str) and isinstance(part, str):
            return run(text, part)
        raise EvaluationError(NO_OVERLOAD)

    return checked


_FROM: Final = {
    "bool": BOOL,
    "bytes": BYTES,
    "double": DOUBLE,
    "duration": DURATION,
    "int64": INT,
    "string": STRING,
    "timestamp": TIMESTAMP,
    "uint64": UINT,
}


def _conversions(wanted: str, sources: str, run: Callable[[Any], Any]) -> tuple[Overload, ...]:
    return tuple(overload(f"{name}_to_{wanted}", (_FROM[name],), _FROM[wanted], run) for name in sources.split())


Getter = Callable[[datetime], int]


def _of_time(id: str, getter: Getter, *, zoned: str = "", of_duration: int = 0) -> tuple[Overload, ...]:
    """A part of a timestamp, at a zone or not; ``of_duration``: the nanoseconds of one in a duration."""

    def read(value: Any, zone: Any = "UTC") -> int:
        if of_duration and isinstance(value, Duration):
            whole = abs(value.nanos) // of_duration
            return -whole if value.nanos < 0 else whole
        if not isinstance(value, Timestamp) or not isinstance(zone, str):
            raise EvaluationError(NO_OVERLOAD)
        return getter(in_zone(value, zone))

    name = f"timestamp_to_{id}"
    found = (
        member(name, (TIMESTAMP,), INT, read),
        member(zoned or f"{name}_with_tz", (TIMESTAMP, STRING), INT, read),
    )
    return (*found, member(f"duration_to_{id}", (DURATION,), INT, read)) if of_duration else found


_ANY_SIZE: Final = (("bytes", BYTES), ("list", LIST_A), ("map", MAP_AB), ("string", STRING))

CONVERSIONS: Final = Library(
    "conversions",
    {
        "size": tuple(
            found
            for name, kind in _ANY_SIZE
            for found in (
                overload(f"size_{name}", (kind,), INT, size),
                member(f"{name}_size", (kind,), INT, size),
            )
        ),
        "type": (overload("type", (A,), types.type_of(A), type_name),),
        "bool": _conversions("bool", "bool string", to_bool),
        "bytes": _conversions("bytes", "bytes string", to_bytes),
        "double": _conversions("double", "double int64 string uint64", to_double),
        "duration": _conversions("duration", "duration int64 string", to_duration),
        "dyn": (overload("to_dyn", (A,), DYN, identity),),
        "int": _conversions("int64", "int64 double duration string timestamp uint64", to_int),
        "string": _conversions("string", "string bool bytes double duration int64 timestamp uint64", to_string),
        "timestamp": _conversions("timestamp", "timestamp int64 string", to_timestamp),
        "uint": _conversions("uint64", "uint64 double int64 string", to_uint),
        "contains": (member("contains_string", (STRING, STRING), BOOL, _string(lambda text, part: part in text)),),
        "endsWith": (member("ends_with_string", (STRING, STRING), BOOL, _string(str.endswith)),),
        "startsWith": (member("starts_with_string", (STRING, STRING), BOOL, _string(str.startswith)),),
        "matches": (
            overload("matches", (STRING, STRING), BOOL, searched_now),
            member("matches_string", (STRING, STRING), BOOL, searched_now),
        ),
        "getFullYear": _of_time("year", lambda at: at.year),
        "getMonth": _of_time("month", lambda at: at.month - 1),
        "getDayOfYear": _of_time("day_of_year", lambda at: at.timetuple().tm_yday - 1),
        "getDayOfMonth": _of_time("day_of_month", lambda at: at.day - 1),
        "getDate": _of_time("day_of_month_1_based", lambda at: at.day),
        "getDayOfWeek": _of_time("day_of_week", lambda at: at.isoweekday() % 7),
        "getHours": _of_time("hours", lambda at: at.hour, of_duration=3600 * SECOND),
        "getMinutes": _of_time("minutes", lambda at: at.minute, of_duration=60 * SECOND),
        "getSeconds": _of_time("seconds", lambda at: at.second, zoned="timestamp_to_seconds_tz", of_duration=SECOND),
        "getMilliseconds": _of_time("milliseconds", lambda at: at.microsecond // 1000, of_duration=SECOND // 1000),
    },
)
