"""Bodies in YAML, read as sigs.k8s.io/yaml reads them: YAML 1.1 booleans and numbers, no dates, keys are strings."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson
import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from kafila.core.errors import StatusError
from kafila.core.values import copy_json

from . import amount
from .duplicates import find_duplicates

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH: Final = 250  # no deeper object can be stored
MAX_NODES: Final = 200_000  # after aliases are expanded; a small body of aliases to aliases must not exhaust memory
MAX_REPEATED: Final = 3 << 20  # characters that aliases bring
MAX_DIRECTIVES: Final = 64
_TOO_DEEP: Final = f"yaml: exceeded max depth of {MAX_DEPTH}"
_ALIASING: Final = "yaml: document contains excessive aliasing"

_BOOLEANS: Final = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_SPECIAL: Final = {
    ".nan": math.nan,
    ".NaN": math.nan,
    ".NAN": math.nan,
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER: Final = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_TAGS: Final = "tag:yaml.org,2002:"


class YAMLError(ValueError):
    """The body is no YAML, or has no JSON form."""


class _Misfit(Exception):
    """It is YAML and has no JSON form."""


def load(body: bytes | str) -> tuple[Any, list[str]]:
    """The value of the first document and ``line N: key "x" already set in map`` for every repeated key.

    The first value of a repeated key is kept only until the last one replaces it. Nothing is built that is deeper than
    MAX_DEPTH or has more than MAX_NODES nodes, and nothing is given that has more values than JSON may have. Raises YAMLError; callers put "error converting YAML to JSON: " before it
    where Kubernetes does.
    """
    if (json := _json(body)) is not None:
        return json, []
    if _has_too_many_directives(body):
        raise YAMLError(f"yaml: document has more than {MAX_DIRECTIVES} %TAG directives")
    try:
        loader = _Loader(body)
        try:
            value, duplicates = _Reader(loader.get_event).document()
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeError) as error:
        raise YAMLError(f"yaml: {_reason(error)}") from None
    if amount.has_more(value, amount.MAX_VALUES):
        raise YAMLError(f"yaml: document has more than {amount.MAX_VALUES} values")
    return value, duplicates


def _has_too_many_directives(body: bytes | str) -> bool:
    """libyaml compares each directive with all before it, and lets nobody else work meanwhile."""
    head = (body.encode("utf-8", "replace") if isinstance(body, str) else body).replace(b"\0", b"")  # also UTF-16
    return head[:1] in _BEFORE_DIRECTIVES and head.partition(b"---")[0].count(b"%TAG") > MAX_DIRECTIVES


# a directive, what may come before one, and the bytes that announce an encoding
_BEFORE_DIRECTIVES: Final = frozenset(bytes([byte]) for byte in b"%# \t\r\n\xef\xfe\xff")


# what JSON and YAML may read differently: escapes of UTF-16 and "/", tabs, and DEL, which YAML refuses
_UNLIKE: Final = (b"\\u", b"\\/", b"\t", b"\x7f")


def _json(body: bytes | str) -> dict[str, Any] | None:
    """The value when the body is JSON that YAML reads alike, which most programs send; None leaves it to YAML."""
    if not isinstance(body, bytes) or body[:1] != b"{" or not body.isascii() or any(text in body for text in _UNLIKE):
        return None
    try:
        amount.check_json(body)
        value = orjson.loads(body)
        return None if find_duplicates(body, value) or _has_fraction(value) else value
    except (ValueError, TypeError, RecursionError, StatusError):  # also what is too deep to be written again
        return None


def _has_fraction(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_fraction(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_fraction(item) for item in value)
    return isinstance(value, float)


def _reason(error: Exception) -> str:
    """As Go's library says it, which counts lines from zero but in errors of the scanner, and never names the first."""
    if isinstance(error, yaml.reader.ReaderError):
        return str(error.reason)
    problem = getattr(error, "problem", None) or str(error)
    found, around = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    line = 0
    if found is not None and found.line:
        line = found.line + isinstance(error, yaml.scanner.ScannerError)
    elif around is not None:
        line = around.line
    return f"line {line}: {problem}" if line else problem


class _Anchored(NamedTuple):
    """A value that has a name, and what it costs to have it once more."""

    value: Any
    nodes: int
    length: int  # of its texts
    height: int
    duplicates: list[str]


_OPEN: Final = _Anchored(None, 0, 0, 0, [])  # a named value whose end has not come yet


class _Reader:
    """Builds values while the parser reports their parts: what is too deep or too much is refused before it is there.

    libyaml's own composer calls itself for each level, which no Python limit ends before the stack does.
    """

    def __init__(self, event: Callable[[], Any]) -> None:  # of yaml.events
        self._event = event
        self._duplicates: list[str] = []
        self._nodes = 0
        self._length = 0  # of all texts
        self._repeated = 0  # of those that aliases bring
        self._depth = 0
        self._height = 0  # of what was built last
        self._anchors: dict[str, _Anchored] = {}

    def document(self) -> tuple[Any, list[str]]:
        event = self._event()
        while not isinstance(event, DocumentStartEvent):
            if isinstance(event, StreamEndEvent):
                return None, []
            event = self._event()
        try:
            return self._value(self._event()), self._duplicates
        except _Misfit as error:
            self._finish()
            raise YAMLError(str(error)) from None

    def _finish(self) -> None:
        """Reads on to where the document ends: that it is no YAML at all is said first."""
        while not isinstance(event := self._event(), DocumentEndEvent):
            self._count(1)
            self._depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if self._depth > MAX_DEPTH:
                raise YAMLError(_TOO_DEEP)

    def _value(self, event: Any) -> Any:
        if isinstance(event, AliasEvent):
            return self._again(event)
        self._count(1)
        if isinstance(event, ScalarEvent):
            self._height = 0
            self._length += len(event.value)
            value = _scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = _Anchored(value, 1, len(event.value), 0, [])
            return value
        if self._depth == MAX_DEPTH:
            raise YAMLError(_TOO_DEEP)
        name, nodes, length, repeated = event.anchor, self._nodes, self._length, len(self._duplicates)
        if name:
            self._anchors[name] = _OPEN
        self._depth += 1
        built, height = self._sequence() if isinstance(event, SequenceStartEvent) else self._mapping()
        self._depth -= 1
        self._height = height + 1
        if name:
            nodes, length = self._nodes - nodes + 1, self._length - length
            self._anchors[name] = _Anchored(built, nodes, length, self._height, self._duplicates[repeated:])
        return built

    def _count(self, more: int) -> None:
        self._nodes += more
        if self._nodes > MAX_NODES:
            raise YAMLError(_ALIASING if self._anchors else f"yaml: document has more than {MAX_NODES} nodes")

    def _again(self, event: Any) -> Any:
        found = self._anchors.get(event.anchor)
        if found is None:
            line = event.start_mark.line
            raise YAMLError(f"yaml: line {line}: found undefined alias" if line else "yaml: found undefined alias")
        if found is _OPEN:
            raise _Misfit("yaml: anchor contains itself")
        self._count(found.nodes)
        self._length += found.length
        self._repeated += found.length
        if self._repeated > MAX_REPEATED:
            raise YAMLError(_ALIASING)
        if self._depth + found.height > MAX_DEPTH:
            raise YAMLError(_TOO_DEEP)
        self._height = found.height
        self._duplicates += found.duplicates
        return copy_json(found.value)

    def _sequence(self) -> tuple[list[Any], int]:
        """With the height of the highest item."""
        out: list[Any] = []
        height = 0
        while not isinstance(event := self._event(), SequenceEndEvent):
            out.append(self._value(event))
            height = max(height, self._height)
        return out, height

    def _mapping(self) -> tuple[dict[str, Any], int]:
        """With the height of the highest value."""
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        height = 0
        while not isinstance(event := self._event(), MappingEndEvent):
            if isinstance(event, ScalarEvent) and _is_merge(event):
                self._count(1)
                for name, item in self._merged():
                    merged.setdefault(name, item)
            else:
                key = self._key(event)
                if key in out:
                    self._duplicates.append(f'line {event.start_mark.line + 1}: key "{key}" already set in map')
                out[key] = self._value(self._event())
            height = max(height, self._height)
        return ({**merged, **out} if merged else out), height

    def _merged(self) -> list[tuple[str, Any]]:
        value = self._value(self._event())
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise _Misfit("yaml: map merge requires map or sequence of maps as the value")
        return [pair for part in parts for pair in part.items()]

    def _key(self, event: Any) -> str:
        """JSON has string keys only; numbers and booleans are written out."""
        if not isinstance(event, (ScalarEvent, AliasEvent)):
            raise _Misfit("yaml: invalid map key")
        value = self._value(event)
        if isinstance(value, str):
            return value
        if isinstance(value, (dict, list)):
            raise _Misfit("yaml: invalid map key")
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None:
            raise _Misfit("yaml: unsupported map key of type: <nil>")
        return str(value)


def _is_merge(event: ScalarEvent) -> bool:
    return event.value == "<<" and event.tag in (None, f"{_TAGS}merge") and not event.style


def _scalar(event: ScalarEvent) -> Any:
    if event.tag is not None:
        return _tagged(event.value, event.tag)
    return event.value if event.style else _plain(event.value)


def _tagged(text: str, tag: str) -> Any:
    if tag == f"{_TAGS}binary":
        try:
            return base64.b64decode(text).decode()
        except ValueError:
            raise _Misfit("yaml: !!binary value contains invalid base64 data") from None
    if tag in (f"{_TAGS}int", f"{_TAGS}float", f"{_TAGS}bool", f"{_TAGS}null"):
        return _plain(text)
    return text


def _plain(text: str) -> Any:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _NULLS:
        return None
    if text[0] not in "+-.0123456789":
        return text
    if text in _SPECIAL:
        raise _Misfit("json: unsupported value: NaN or Inf")
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            return text
        # JSON made of it has no fraction, so it is read back as an integer
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return text


def _integer(text: str) -> Any:
    digits = text.replace("_", "")
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    if len(digits) > _MOST_DIGITS:
        return text  # no number that is so long has a value
    try:
        if digits[:2] in ("0b", "0o", "0x"):
            return sign * int(digits, 0)
        if len(digits) > 1 and digits[0] == "0":
            return sign * int(digits, 8)  # YAML 1.1: a leading zero is octal
        number = sign * int(digits)
    except ValueError:
        return sign * int(digits) if digits.isdigit() else text
    return number if -(2**63) <= number < 2**64 else float(number)


_MOST_DIGITS: Final = 300  # of what fits a float64
