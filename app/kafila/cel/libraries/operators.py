"""Arithmetic and comparison, with the overflows of 64 bits."""

from __future__ import annotations

import math
from typing import Any, Final

from kafila.cel import types
from kafila.cel.bounds import CostExceeded
from kafila.cel.declarations import Library, Overload, overload
from kafila.cel.gotext import MAX_SECONDS, MIN_SECONDS, SECOND
from kafila.cel.types import BOOL, BYTES, DOUBLE, DURATION, INT, LIST_A, MAP_AB, STRING, TIMESTAMP, UINT, A, B, Type
from kafila.cel.values import (
    INT_MAX,
    INT_MIN,
    MAX_TEXT,
    NO_OVERLOAD,
    UINT_MAX,
    Duration,
    EvaluationError,
    Growing,
    Joined,
    ListLike,
    Timestamp,
    Uint,
    compare,
    contains,
    is_list,
)


def checked_int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("integer overflow")


def checked_uint(value: int) -> Uint:
    if 0 <= value <= UINT_MAX:
        return Uint(value)
    raise EvaluationError("unsigned integer overflow")


def checked_duration(value: int) -> Duration:
    if INT_MIN <= value <= INT_MAX:
        return Duration(value)
    raise EvaluationError("integer overflow")


def checked_timestamp(value: int) -> Timestamp:
    if MIN_SECONDS <= value // SECOND <= MAX_SECONDS:
        return Timestamp(value)
    raise EvaluationError("timestamp overflow")


def add(left: Any, right: Any) -> Any:
    kind, other = type(left), type(right)
    if kind is other:
        if kind is int:
            return checked_int(left + right)
        if kind is str or kind is bytes:
            if len(left) + len(right) > MAX_TEXT:
                raise CostExceeded
            return left + right
        if kind is float:
            return left + right
        if kind is Uint:
            return checked_uint(int(left) + int(right))
        if kind is Duration:
            return checked_duration(left.nanos + right.nanos)
    if kind is Growing:
        if not is_list(right):
            raise EvaluationError(NO_OVERLOAD)
        left.extend(right)
        return left
    if kind is Timestamp and other is Duration:
        return checked_timestamp(left.nanos + right.nanos)
    if kind is Duration and other is Timestamp:
        return checked_timestamp(left.nanos + right.nanos)
    if is_list(left) and is_list(right):
        return left.plus(right) if isinstance(left, ListLike) else Joined(left, right)
    raise EvaluationError(NO_OVERLOAD)


def subtract(left: Any, right: Any) -> Any:
    kind, other = type(left), type(right)
    if kind is other:
        if kind is int:
            return checked_int(left - right)
        if kind is float:
            return left - right
        if kind is Uint:
            return checked_uint(int(left) - int(right))
        if kind is Duration:
            return checked_duration(left.nanos - right.nanos)
        if kind is Timestamp:
            return checked_duration(left.nanos - right.nanos)
    if kind is Timestamp and other is Duration:
        return checked_timestamp(left.nanos - right.nanos)
    raise EvaluationError(NO_OVERLOAD)


def multiply(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return checked_int(left * right)
        if kind is float:
            return left * right
        if kind is Uint:
            return checked_uint(int(left) * int(right))
    raise EvaluationError(NO_OVERLOAD)


def _quotient(left: int, right: int) -> int:
    """Rounded to zero."""
    value = abs(left) // abs(right)
    return value if (left < 0) == (right < 0) else -value


def divide(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is type(right):
        if kind is float:
            if right == 0:
                return (
                    math.nan if left == 0 or left != left else math.copysign(math.inf, left) * math.copysign(1, right)
                )
            return left / right
        if kind is int or kind is Uint:
            if right == 0:
                raise EvaluationError("division by zero")
            return checked_int(_quotient(left, right)) if kind is int else Uint(int(left) // int(right))
    raise EvaluationError(NO_OVERLOAD)


def modulo(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is type(right) and (kind is int or kind is Uint):
        if right == 0:
            raise EvaluationError("modulus by zero")
        if kind is Uint:
            return Uint(int(left) % int(right))
        if left == INT_MIN and right == -1:
            raise EvaluationError("integer overflow")
        return left - right * _quotient(left, right)
    raise EvaluationError(NO_OVERLOAD)


def negate(value: Any) -> Any:
    if type(value) is int:
        return checked_int(-value)
    if type(value) is float:
        return -value
    if type(value) is Duration:
        return checked_duration(-value.nanos)
    raise EvaluationError(NO_OVERLOAD if isinstance(value, bool) else "no such overload: -_")


def logical_not(value: Any) -> Any:
    if type(value) is bool:
        return not value
    raise EvaluationError(NO_OVERLOAD)


def less(left: Any, right: Any) -> bool:
    return compare(left, right) < 0


def less_equals(left: Any, right: Any) -> bool:
    return compare(left, right) <= 0


def greater(left: Any, right: Any) -> bool:
    return compare(left, right) > 0


def greater_equals(left: Any, right: Any) -> bool:
    return compare(left, right) >= 0


def contained(value: Any, container: Any) -> bool:
    return contains(container, value)


def _comparisons(name: str, run: Any) -> tuple[Overload, ...]:
    order: tuple[tuple[str, Type, Type], ...] = (
        ("bool", BOOL, BOOL),
        ("int64", INT, INT),
        ("int64_double", INT, DOUBLE),
        ("int64_uint64", INT, UINT),
        ("uint64", UINT, UINT),
        ("uint64_double", UINT, DOUBLE),
        ("uint64_int64", UINT, INT),
        ("double", DOUBLE, DOUBLE),
        ("double_int64", DOUBLE, INT),
        ("double_uint64", DOUBLE, UINT),
        ("string", STRING, STRING),
        ("bytes", BYTES, BYTES),
        ("timestamp", TIMESTAMP, TIMESTAMP),
        ("duration", DURATION, DURATION),
    )
    return tuple(overload(f"{name}_{suffix}", (left, right), BOOL, run) for suffix, left, right in order)


def _same(name: str, kinds: dict[str, Type], run: Any) -> tuple[Overload, ...]:
    return tuple(overload(f"{name}_{suffix}", (kind, kind), kind, run) for suffix, kind in kinds.items())


_NUMBERS: Final = {"double": DOUBLE, "int64": INT, "uint64": UINT}
_ADDED: Final = (
    overload("add_bytes", (BYTES, BYTES), BYTES, add),
    overload("add_double", (DOUBLE, DOUBLE), DOUBLE, add),
    overload("add_duration_duration", (DURATION, DURATION), DURATION, add),
    overload("add_duration_timestamp", (DURATION, TIMESTAMP), TIMESTAMP, add),
    overload("add_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP, add),
    overload("add_int64", (INT, INT), INT, add),
    overload("add_list", (LIST_A, LIST_A), LIST_A, add),
    overload("add_string", (STRING, STRING), STRING, add),
    overload("add_uint64", (UINT, UINT), UINT, add),
)
_SUBTRACTED: Final = (
    overload("subtract_double", (DOUBLE, DOUBLE), DOUBLE, subtract),
    overload("subtract_duration_duration", (DURATION, DURATION), DURATION, subtract),
    overload("subtract_int64", (INT, INT), INT, subtract),
    overload("subtract_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP, subtract),
    overload("subtract_timestamp_timestamp", (TIMESTAMP, TIMESTAMP), DURATION, subtract),
    overload("subtract_uint64", (UINT, UINT), UINT, subtract),
)

OPERATORS: Final = Library(
    "operators",
    {
        "_?_:_": (overload("conditional", (BOOL, A, A), A),),
        "_&&_": (overload("logical_and", (BOOL, BOOL), BOOL),),
        "_||_": (overload("logical_or", (BOOL, BOOL), BOOL),),
        "!_": (overload("logical_not", (BOOL,), BOOL, logical_not),),
        "@not_strictly_false": (overload("not_strictly_false", (BOOL,), BOOL),),
        "_==_": (overload("equals", (A, A), BOOL),),
        "_!=_": (overload("not_equals", (A, A), BOOL),),
        "_+_": _ADDED,
        "_/_": _same("divide", _NUMBERS, divide),
        "_%_": _same("modulo", {"int64": INT, "uint64": UINT}, modulo),
        "_*_": _same("multiply", _NUMBERS, multiply),
        "-_": (
            overload("negate_double", (DOUBLE,), DOUBLE, negate),
            overload("negate_int64", (INT,), INT, negate),
        ),
        "_-_": _SUBTRACTED,
        "_<_": _comparisons("less", less),
        "_<=_": _comparisons("less_equals", less_equals),
        "_>_": _comparisons("greater", greater),
        "_>=_": _comparisons("greater_equals", greater_equals),
        "_[_]": (
            overload("index_list", (LIST_A, INT), A),
            overload("index_map", (MAP_AB, A), B),
        ),
        "@in": (
            overload("in_list", (A, LIST_A), BOOL, contained),
            overload("in_map", (A, MAP_AB), BOOL, contained),
        ),
    },
    {
        "bool": BOOL,
        "bytes": BYTES,
        "double": DOUBLE,
        "google.protobuf.Duration": DURATION,
        "int": INT,
        "list": LIST_A,
        "map": MAP_AB,
        "null_type": types.NULL,
        "string": STRING,
        "google.protobuf.Timestamp": TIMESTAMP,
        "type": types.TYPE,
        "uint": UINT,
    },
)
