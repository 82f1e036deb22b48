"""Messages whose JSON form is a single value: times, quantities, int-or-string, raw JSON.

Each has a reader ``(data, start, end) -> value`` and a writer ``(value) -> content of the message``. Values are what
Go's JSON encoding of the type gives; ``None`` stands for JSON null (an unset time).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from kafila.machinery.protobuf_wire import fail, part, scan, signed, varint

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Small values repeat a lot (times of managedFields, "100m", "25%"); larger ones must not fill memory.
_CACHED_SIZE = 32
_CACHE = lru_cache(maxsize=4096)


class Scalar(NamedTuple):
    read: Callable[[bytes, int, int], Any]
    write: Callable[[Any], bytes]
    null_is_empty: bool = False  # null is written, as a message without content


def _cached(read: Callable[[bytes], Any]) -> Callable[[bytes, int, int], Any]:
    remembered = _CACHE(read)

    def reader(data: bytes, start: int, end: int) -> Any:
        content = data[start:end]
        return remembered(content) if len(content) <= _CACHED_SIZE else read(content)

    return reader


def _integer(value: int | bytes, bits: int) -> int:
    return signed(value, bits) if isinstance(value, int) else fail("a number is expected")


def _bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else fail("text or bytes are expected")


def text(content: bytes) -> str:
    """Go keeps bytes that are not UTF-8 and replaces them when it writes JSON."""
    return content.decode("utf-8", "replace")


def _instant(content: bytes) -> tuple[datetime, int]:
    fields = scan(content, 0, len(content))
    nanos = _integer(fields.get(2, 0), 32)
    try:
        return _EPOCH + timedelta(seconds=_integer(fields.get(1, 0), 64)), nanos
    except OverflowError:
        fail("a time is outside of the years 1 to 9999")


def _read_time(content: bytes) -> str | None:
    if not content:
        return None
    moment, _ = _instant(content)  # Kubernetes ignores the nanoseconds of a Time
    return f"{moment.isoformat()[:19]}Z"


def _read_micro_time(content: bytes) -> str | None:
    if not content:
        return None
    moment, nanos = _instant(content)
    if not 0 <= nanos < 1_000_000_000:
        fail("nanoseconds of a time are out of range")
    return f"{moment.isoformat()[:19]}.{nanos // 1000:06}Z"


def _parse_time(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        fail(f"time {value!r} has no zone")
    return moment


@_CACHE
def _write_time(value: str) -> bytes:
    return b"\x08" + varint((_parse_time(value) - _EPOCH) // timedelta(seconds=1)) + b"\x10\x00"


@_CACHE
def _write_micro_time(value: str) -> bytes:
    since = _parse_time(value) - _EPOCH
    seconds = since // timedelta(seconds=1)
    return b"\x08" + varint(seconds) + b"\x10" + varint(since.microseconds * 1000)


def _read_quantity(content: bytes) -> str:
    return text(_bytes(scan(content, 0, len(content)).get(1, b""))) or "0"


def _write_quantity(value: str | float) -> bytes:
    return part(b"\x0a", str(value).encode())


def _read_int_or_string(content: bytes) -> int | str:
    fields = scan(content, 0, len(content))
    if _integer(fields.get(1, 0), 64) == 1:
        return text(_bytes(fields.get(3, b"")))
    return _integer(fields.get(2, 0), 32)


def _write_int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00" + part(b"\x1a", value.encode())
    return b"\x08\x00\x10" + varint(value) + b"\x1a\x00"


def _read_json(data: bytes, start: int, end: int) -> Any:
    content = _bytes(scan(data, start, end).get(1, b""))
    return orjson.loads(content) if content else None


def _write_json(value: Any) -> bytes:
    return part(b"\x0a", orjson.dumps(value))


_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)")


def _read_duration(content: bytes) -> str:
    return format_duration(_integer(scan(content, 0, len(content)).get(1, 0), 64))


def format_duration(nanos: int) -> str:
    """Nanoseconds as Go prints a time.Duration: ``1h30m0s``, ``1.5ms``, ``0s``."""
    sign, rest = ("-", -nanos) if nanos < 0 else ("", nanos)
    if rest < 10**9:
        if not rest:
            return "0s"
        unit, size = next((u, s) for u, s in (("ms", 10**6), ("µs", 1000), ("ns", 1)) if rest >= s)
        return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, below = divmod(rest, 60 * 10**9)
    out = f"{_decimal(below, 10**9)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        out = f"{hours}h{minutes}m{out}" if hours else f"{minutes}m{out}"
    return sign + out


def _decimal(value: int, size: int) -> str:
    whole, fraction = divmod(value, size)
    digits = str(fraction).zfill(len(str(size)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def _write_duration(value: str) -> bytes:
    unsigned = value.lstrip("+-")
    nanos = 0
    if unsigned != "0":
        if not re.fullmatch(f"(?:{_DURATION.pattern})+", unsigned):
            fail(f"{value!r} is no duration")
        for whole, fraction, unit in _DURATION.findall(unsigned):
            nanos += int(whole) * _UNITS[unit] + int(fraction or 0) * _UNITS[unit] // 10 ** len(fraction)
    return b"\x08" + varint(-nanos if value.startswith("-") else nanos)


_META = "k8s.io.apimachinery.pkg.apis.meta.v1."
_QUANTITY = Scalar(_cached(_read_quantity), _write_quantity)
_RAW_JSON = Scalar(_read_json, _write_json)
SCALARS = {
    _META + "Time": Scalar(_cached(_read_time), _write_time, True),
    _META + "MicroTime": Scalar(_cached(_read_micro_time), _write_micro_time, True),
    _META + "Duration": Scalar(_cached(_read_duration), _write_duration),
    _META + "FieldsV1": _RAW_JSON,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _RAW_JSON,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": _QUANTITY,
    "k8s.io.apimachinery.pkg.api.resource.QuantityValue": _QUANTITY,
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": Scalar(_cached(_read_int_or_string), _write_int_or_string),
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON": _RAW_JSON,
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1beta1.JSON": _RAW_JSON,
}
