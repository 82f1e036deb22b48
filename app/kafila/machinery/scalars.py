"""Scalars of the API in the form that Kubernetes answers them: ranges, times, quantities, base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from kafila.core.quantity import QuantityError, canonical
from kafila.core.remembered import remembered

from .schema import Schema


class DecodeError(ValueError):
    """The body does not fit the type; the message is what Go's decoder says."""


class Mismatch(Exception):
    """A value of the wrong type. Where it stands and what was expected there is found out when the error is shown."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value  # its JSON type in Go's words


def describe(value: Any) -> str:
    """The JSON type of a value in Go's words."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"


_GO_NAMES: Final = {
    "string": "string",
    "boolean": "bool",
    "number": "float64",
    "any": "runtime.RawExtension",
    "int-or-string": "int32",
    "quantity": "resource.Quantity",
    "time": "string",
    "micro-time": "string",
    "bytes": "[]uint8",
}


def go_type(schema: Schema) -> str:
    """``[]v1.Container``, ``map[string]string``, ``int32`` …"""
    match schema.kind:
        case "struct":
            return ".".join(schema.name.split(".")[-2:]) if schema.name else "map[string]interface {}"
        case "list":
            return f"[]{go_type(schema.items)}" if schema.items else "[]interface {}"
        case "map":
            return f"map[string]{go_type(schema.items)}" if schema.items else "map[string]interface {}"
        case "integer":
            return "int32" if schema.format == "int32" else "int64"
    return _GO_NAMES[schema.kind]


Node = Callable[[Any, list[bool]], Any]


def decoder(schema: Schema) -> Node:
    """The closure for a scalar; null is the zero value (inside lists and maps, where it cannot be left out)."""
    match schema.kind:
        case "string":
            return _string
        case "boolean":
            return _boolean
        case "integer":
            return _integer(31 if schema.format == "int32" else 63)
        case "number":
            return _number
        case "int-or-string":
            return _int_or_string(31 if schema.name else 63)
        case "quantity":
            return _quantity
        case "time":
            return _time
        case "micro-time":
            return _micro_time
    return _bytes


def _string(value: Any, dropped: list[bool]) -> Any:
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    raise Mismatch(describe(value))


def _boolean(value: Any, dropped: list[bool]) -> Any:
    if value.__class__ is bool:
        return value
    if value is None:
        return False
    raise Mismatch(describe(value))


def _integer(bits: int) -> Node:
    low, high = -(1 << bits), (1 << bits) - 1

    def decode(value: Any, dropped: list[bool]) -> Any:
        if value.__class__ is int and low <= value <= high:
            return value
        if value is None:
            return 0
        if value.__class__ in (int, float):
            raise Mismatch(f"number {_number_text(value)}")
        raise Mismatch(describe(value))

    return decode


def _number(value: Any, dropped: list[bool]) -> Any:
    if value.__class__ is int:
        return value
    if value.__class__ is float:
        return int(value) if value.is_integer() and abs(value) < 1e21 else value  # Go writes 1.0 as 1
    if value is None:
        return 0
    raise Mismatch(describe(value))


def _number_text(value: float) -> str:
    return orjson.dumps(value).decode() if value.__class__ is float else str(value)


def _int_or_string(bits: int) -> Node:
    integer = _integer(bits)
    return lambda value, dropped: value if value.__class__ is str else integer(value, dropped)


def _quantity(value: Any, dropped: list[bool]) -> Any:
    try:
        if value.__class__ is str:
            return canonical(value)
        if value is None:
            return "0"
        if value.__class__ in (int, float):
            return canonical(str(value))
        return canonical(orjson.dumps(value).decode())  # Kubernetes tries to read whatever stands there
    except QuantityError as error:
        raise DecodeError(str(error)) from None


_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_SECONDS: Final = "2006-01-02T15:04:05Z07:00"
_MICROS: Final = "2006-01-02T15:04:05.000000Z07:00"


def _time(value: Any, dropped: list[bool]) -> Any:
    if value.__class__ is str:
        return normal_time(value)
    if value is None:
        return None
    raise Mismatch(describe(value))


def _micro_time(value: Any, dropped: list[bool]) -> Any:
    if value.__class__ is str:
        return normal_micro_time(value)
    if value is None:
        return None
    raise Mismatch(describe(value))


@remembered(4096)
def normal_time(text: str) -> str | None:
    """RFC 3339 in UTC with whole seconds; None for the zero time. Raises DecodeError."""
    moment = _moment(text, _SECONDS)
    if moment == datetime.min.replace(tzinfo=UTC):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}".rjust(20, "0")  # strftime does not pad years


@remembered(4096)
def normal_micro_time(text: str) -> str | None:
    """RFC 3339 in UTC with six digits; None for the zero time. Raises DecodeError."""
    moment = _moment(text, _MICROS)
    if moment == datetime.min.replace(tzinfo=UTC):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}".rjust(27, "0")


def _moment(text: str, layout: str) -> datetime:
    found = _RFC3339.fullmatch(text)
    shown = f'parsing time "{text}" as "{layout}"'
    if found is None:
        raise DecodeError(f'{shown}: cannot parse "{text}" as "2006"')
    fraction = (found[7] or "")[:6].ljust(6, "0")
    zone = f"{found[8]}{found[9]}:{found[10]}" if found[8] else "+00:00"
    date = text[:19]
    try:
        return datetime.fromisoformat(f"{date}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise DecodeError(f'parsing time "{text}": out of range') from None


def _bytes(value: Any, dropped: list[bool]) -> Any:
    if value.__class__ is not str:
        if value is None:
            return ""
        raise Mismatch(describe(value))
    try:
        base64.b64decode(value, validate=True)
        return value
    except (binascii.Error, ValueError):
        pass
    # Go ignores line ends inside base64 and writes without them
    joined = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(joined, validate=True)
        return joined
    except (binascii.Error, ValueError):
        raise DecodeError(f"illegal base64 data at input byte {_first_wrong(joined)}") from None


_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/]")


def _first_wrong(text: str) -> int:
    found = _NOT_BASE64.search(text)
    return found.start() if found else len(text) - len(text) % 4
