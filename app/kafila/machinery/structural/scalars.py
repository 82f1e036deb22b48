"""Checks of types, strings, numbers and enumerations, in kube-openapi's words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from kafila.core.errors import FieldError
from kafila.core.values import JSON_TYPES, json_key
from kafila.machinery.jsonpath import text_of

from .findings import NOWHERE, Finding, Findings, Make
from .formats import format_of
from .formats import string_format as known_format
from .patterns import matcher
from .props import INT_OR_STRING, Props

Check = Callable[[Any], Findings]

_INT64: Final = 1 << 63
_INT32: Final = 1 << 31
_FLOAT32: Final = 3.4028235677973366e38  # what no longer rounds to a float32


def types_of(props: Props) -> tuple[str, ...]:
    if props.get(INT_OR_STRING):
        return ("integer", "string")
    return (props["type"],) if props.get("type") else ()


def fits(types: Sequence[str], format: str, value: Any) -> bool:
    """Whether a value that is not null is of one of the types."""
    kind = value.__class__
    if not types and not format:
        return True
    numeric = "integer" in types or "number" in types
    if format and not numeric and kind in (str, list):
        return True  # the text is the format's business
    return (
        JSON_TYPES[kind] in types
        or (kind is int and "number" in types)
        or (kind is float and "integer" in types and value.is_integer())
    )


def type_check(types: tuple[str, ...], format: str) -> Check | None:
    if not types and not format:
        return None
    shown = ",".join(types)
    exact = {name: kind for kind, name in JSON_TYPES.items()}.get(shown)

    def check(value: Any) -> Findings:
        if value.__class__ is exact or fits(types, format, value):
            return None
        given = JSON_TYPES[value.__class__]
        if format and value.__class__ not in (str, list):  # then the format is reported, of what is given as well
            sizes = {"integer": "int64", "number": "float64"}
            return [Finding(wrong_type(format, sizes.get(given, "")))]
        return [Finding(wrong_type(shown, given))]

    return check


def wrong_type(expected: str, given: str) -> Make:
    """``given`` is the name of the type that was found instead, or the text that is not of a format."""
    shown = orjson.dumps(given).decode()
    return lambda path: FieldError.type_invalid(path, given, f"{path} in body must be of type {expected}: {shown}")


def invalid(value: Any, text: str) -> Make:
    return lambda path: FieldError.invalid(path, value, f"{path} in body {text}")


def enum(props: Props) -> Check | None:
    allowed = props.get("enum")
    if not allowed:
        return None
    known = frozenset(map(json_key, allowed))

    def check(value: Any) -> Findings:
        if json_key(value) in known:
            return None
        return [Finding(lambda path: not_supported(path, value, allowed))]

    return check


def not_supported(path: str, value: Any, allowed: Sequence[Any]) -> FieldError:
    shown = [one if isinstance(one, str) else orjson.dumps(one).decode() for one in allowed]
    return FieldError.not_supported(path, value, shown)


def string(props: Props) -> Check | None:
    """Of length and pattern only the first that is wrong is reported."""
    longest, shortest, pattern = props.get("maxLength"), props.get("minLength"), props.get("pattern")
    if longest is None and shortest is None and not pattern:
        return None
    matches = matcher(pattern) if pattern else None

    def check(value: Any) -> Findings:
        if value.__class__ is not str:
            return None
        if longest is not None and len(value) > longest:
            return [Finding(lambda path: FieldError.too_long(path, longest))]
        if shortest is not None and len(value) < shortest:
            return [Finding(invalid(value, f"should be at least {shortest} chars long"))]
        if matches is not None and not matches(value):
            return [Finding(invalid(value, f"should match '{pattern}'"))]
        return None

    return check


def string_format(props: Props) -> Check | None:
    name = format_of(props)
    known = known_format(name) if name else None
    if known is None:
        return None

    def check(value: Any) -> Findings:
        if value.__class__ is not str or known(value):
            return None
        return [Finding(wrong_type(name, value))]

    return check


def number(props: Props) -> Check | None:
    types, format = types_of(props), format_of(props)
    low, high, step = props.get("minimum"), props.get("maximum"), props.get("multipleOf")
    whole = types == ("integer",)
    if low is None and high is None and step is None and not whole and format != "float":
        return None
    above, below = bool(props.get("exclusiveMinimum")), bool(props.get("exclusiveMaximum"))

    def check(value: Any) -> Findings:
        if value.__class__ is not int and value.__class__ is not float:
            return None
        found: list[Finding] = []
        if _beyond(value, whole, format):
            found.append(Finding(_out_of_range(types[0], format)))
        if step is not None and not _is_multiple(value, step):
            found.append(Finding(invalid(value, f"should be a multiple of {_shown(step, value)}")))
        # the order in which kube-openapi gathers them: multiple, minimum, maximum
        if low is not None and (value < low or (above and value == low)):
            found.append(Finding(invalid(value, f"should be greater than {_or_equal(above)}{_shown(low, value)}")))
        if high is not None and (value > high or (below and value == high)):
            found.append(Finding(invalid(value, f"should be less than {_or_equal(below)}{_shown(high, value)}")))
        return found or None

    return check


def _or_equal(exclusive: bool) -> str:
    return "" if exclusive else "or equal to "


def _shown(bound: int | float, value: int | float) -> str:
    """Bounds of integers are printed as integers, of other numbers as Go prints a float64."""
    return str(int(bound)) if value.__class__ is int else text_of(float(bound))


def _beyond(value: int | float, whole: bool, format: str) -> bool:
    if whole:
        if value.__class__ is float and not value.is_integer():
            return True
        limit = _INT32 if format == "int32" else _INT64
        return not -limit <= value < limit
    return format == "float" and abs(value) >= _FLOAT32


def _out_of_range(type: str, format: str) -> Make:
    size = f"with format {format}" if format else "(default format)"
    return lambda path: FieldError.invalid(NOWHERE, "", f"Checked value must be of type {type} {size} in {path}")


def _is_multiple(value: int | float, step: int | float) -> bool:
    if value.__class__ is int and float(step).is_integer():
        return int(step) > 0 and value % int(step) == 0
    if step <= 0:
        return False
    times = 1 / step * value if step < 1 else value / step
    return math.isfinite(times) and abs(times - round(times)) < 1e-9 * max(1.0, abs(times))
