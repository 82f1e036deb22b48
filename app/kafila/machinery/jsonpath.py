"""Kubernetes' JSONPath, as far as printer columns, scale paths and selectable fields use it; compiled once into closures.

``.spec.replicas``, ``.a['b.c']``, ``.items[0]``, ``[-1:]``, ``[*]``, ``.*``, ``..name``, ``[0,2]``,
``.status.conditions[?(@.type=="Ready")].status``. Missing members give no results.

``..a..a..a`` and ``['a','a']['a','a']`` multiply what they find with every step: what is looked at is counted, and has an end.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, final

import orjson

from kafila.core.clock import human_duration, parse_rfc3339
from kafila.core.remembered import remembered

MOST_LOOKS: Final = 400_000  # at values, for one path: two at each of as many as an object may have

Results = list[Any]


class JSONPathError(ValueError):
    """The path cannot be understood, or cannot be applied to this value."""


@final
class Looks:
    """How many values may still be looked at, for as many paths as share it."""

    __slots__ = ("_left",)

    def __init__(self, most: int = MOST_LOOKS) -> None:
        self._left = most

    def take(self, count: int) -> None:
        """Raises JSONPathError when there are no more."""
        self._left -= count
        if self._left < 0:
            raise JSONPathError("too many values would have to be looked at")


Step = Callable[[Results, Looks], Results]


@final
class JSONPath:
    __slots__ = ("_steps", "text")

    def __init__(self, text: str, steps: list[Step]) -> None:
        self.text = text
        self._steps = steps

    def find(self, value: Any, looks: Looks | None = None) -> Results:
        """All matches. Raises JSONPathError, for example for an index out of bounds."""
        return _run(self._steps, [value], looks or Looks())

    def first(self, value: Any) -> Any:
        """The first match; None when there is none."""
        try:
            found = _run(self._steps, [value], Looks())
        except JSONPathError:
            return None
        return found[0] if found else None


def _run(steps: list[Step], values: Results, looks: Looks) -> Results:
    for step in steps:
        if not values:
            break
        looks.take(len(values))
        values = step(values, looks)
    return values


@remembered(4096)
def compile_path(text: str) -> JSONPath:
    """``text`` with or without the outer braces. Raises JSONPathError."""
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    return JSONPath(text, _Parser(inner).steps())


_ENDS: Final = frozenset(" \t\n.,[]$@{}")
_KEY: Final = re.compile(r"'([^']*)'")
_SLICE: Final = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_COMPARISON: Final = re.compile(r"([^!<>=]+)([!<>=]+)(.+?)", re.DOTALL)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def steps(self) -> list[Step]:
        out: list[Step] = []
        while self.at < len(self.text):
            if self.text.startswith("[?(", self.at):
                out.append(self.filter())
            elif self.text.startswith("..", self.at):
                self.at += 2
                out.append(_descend)
                if self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] == "_"):
                    out.append(self.field())
            else:
                char = self.text[self.at]
                self.at += 1
                if char in " @$":
                    continue
                if char == ".":
                    out.append(self.field())
                elif char == "[":
                    out.append(self.brackets())
                elif char in "\"'":
                    out.append(self.quoted(char))
                elif char in "+-" or char.isalnum() or char == "_":
                    self.at -= 1
                    out.append(self.literal())
                else:
                    raise JSONPathError(f"unrecognized character in action: U+{ord(char):04X} '{char}'")
        return out

    def word(self) -> str:
        """Up to the next terminator that is not escaped."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _ENDS:
            self.at += 2 if self.text[self.at] == "\\" else 1
        return self.text[start : self.at]

    def field(self) -> Step:
        name = self.word()
        return _wildcard if name == "*" else _field(name.replace("\\", ""))

    def quoted(self, end: str) -> Step:
        start = self.at
        while self.at < len(self.text):
            if self.text[self.at] == end and self.text[self.at - 1] != "\\":
                value = self.text[start : self.at].replace("\\" + end, end)
                self.at += 1
                return lambda values, looks: [value]
            self.at += 1
        raise JSONPathError("unterminated quoted string")

    def literal(self) -> Step:
        found = re.compile(r"[+-]?\d[\d.]*").match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            try:
                number = float(found[0]) if "." in found[0] else int(found[0])
            except ValueError:
                raise JSONPathError(f"cannot parse number {found[0]}") from None
            return lambda values, looks: [number]
        word = self.word()
        if word in ("true", "false"):
            return lambda values, looks: [word == "true"]
        raise JSONPathError(f"unrecognized identifier {word}")

    def brackets(self) -> Step:
        end = self.text.find("]", self.at)
        if end < 0:
            raise JSONPathError("unterminated array")
        inner = self.text[self.at : end]
        self.at = end + 1
        if inner == "*":
            inner = ":"
        parts = inner.split(",")
        if len(parts) > 1:
            choices = [_Parser(f"[{part.strip(' ')}]").steps() for part in parts]
            return lambda values, looks: [found for choice in choices for found in _run(choice, values, looks)]
        key = _KEY.fullmatch(inner)
        if key is not None:
            # Kubernetes reads ['a.b'] as .a.b too; a dot that belongs to the name is escaped
            inside = _Parser(f".{key[1]}").steps()
            return inside[0] if len(inside) == 1 else lambda values, looks: _run(inside, values, looks)
        return _slice(inner)

    def filter(self) -> Step:
        self.at += len("[?(")
        start, quote = self.at, ""
        while True:
            if self.at >= len(self.text) or self.text[self.at] == "\n":
                raise JSONPathError("unterminated filter")
            char = self.text[self.at]
            if quote:
                if char == quote and self.text[self.at - 1] != "\\":
                    quote = ""
            elif char in "\"'":
                quote = char
            elif char == ")":
                break
            self.at += 1
        condition = self.text[start : self.at]
        if not self.text.startswith(")]", self.at):
            raise JSONPathError("unclosed array expect ]")
        self.at += 2
        parts = _COMPARISON.fullmatch(condition)
        if parts is None:
            return _existing(_Parser(condition).steps())
        if parts[2] not in _COMPARE:
            raise JSONPathError(f"unrecognized filter operator {parts[2]}")
        return _comparing(_Parser(parts[1]).steps(), _COMPARE[parts[2]], _Parser(parts[3]).steps())


def _field(name: str) -> Step:
    def step(values: Results, looks: Looks) -> Results:
        return [value[name] for value in values if value.__class__ is dict and name in value]

    return step


def _children(value: Any, looks: Looks) -> Results:
    if not isinstance(value, (dict, list)):
        return []
    looks.take(len(value))
    return list(value.values()) if isinstance(value, dict) else value


def _wildcard(values: Results, looks: Looks) -> Results:
    return [child for value in values for child in _children(value, looks)]


def _descend(values: Results, looks: Looks) -> Results:
    """Every container at or below the values, outer ones first."""
    out: Results = []
    for value in values:
        children = _children(value, looks)
        if children:
            out.append(value)
            out.extend(_descend(children, looks))
    return out


def _slice(text: str) -> Step:
    parts = _SLICE.fullmatch(text)
    if parts is None or not text or text == "-":
        raise JSONPathError(f"invalid array index {text}")
    try:
        first = int(parts[1]) if parts[1] else None
        last = int(parts[2][1:]) if parts[2] and parts[2] != ":" else None
        step = int(parts[3][1:]) if parts[3] and parts[3] != ":" else 1
    except ValueError:
        raise JSONPathError(f"invalid array index {text}") from None
    single = parts[2] is None

    def take(values: Results, looks: Looks) -> Results:
        out: Results = []
        for value in values:
            if value is None:
                continue
            if not isinstance(value, list):
                raise JSONPathError(f"{type(value).__name__} is not array or slice")
            length = len(value)
            start = (first or 0) + (length if first is not None and first < 0 else 0)
            stop = start + 1 if single else length if last is None else last + (length if last < 0 else 0)
            if start == stop:
                continue
            if not 0 <= start < length:
                raise JSONPathError(f"array index out of bounds: index {start}, length {length}")
            if not 0 <= stop <= length:
                raise JSONPathError(f"array index out of bounds: index {stop - 1}, length {length}")
            if start > stop:
                raise JSONPathError(f"starting index {start} is greater than ending index {stop}")
            if step <= 0:
                raise JSONPathError("step must be > 0")
            looks.take((stop - start) // step)
            out.extend(value[start:stop:step])
        return out

    return take


def _existing(steps: list[Step]) -> Step:
    return lambda values, looks: [item for value in values for item in _items(value) if _run(steps, [item], looks)]


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _comparing(left: list[Step], holds: Callable[[Any, Any], bool], right: list[Step]) -> Step:
    def step(values: Results, looks: Looks) -> Results:
        out: Results = []
        for value in values:
            for item in _items(value):
                lefts, rights = _run(left, [item], looks), _run(right, [item], looks)
                if not lefts or not rights:
                    continue
                if len(lefts) > 1 or len(rights) > 1:
                    raise JSONPathError("can only compare one element at a time")
                a, b = lefts[0], rights[0]
                if _sort(a) != _sort(b):
                    raise JSONPathError("incompatible types for comparison")
                if holds(a, b):
                    out.append(item)
        return out

    return step


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise JSONPathError(f"{value} is not array or slice and cannot be filtered")
    return value


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return type(value).__name__


def text_of(value: Any) -> str:
    """A match as kubectl and printer columns write it: containers as JSON, scalars as Go prints them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, (dict, list)):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return "null" if value is None else str(value)


def _float_text(value: float) -> str:
    """Go's %v: the shortest digits, with an exponent below 1e-04 and from 1e+06 on."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        return f"{Decimal(repr(value)).normalize():f}"
    return f"{digits}e{'-' if power < 0 else '+'}{abs(power):02d}"


def cell(path: JSONPath, column_type: str, obj: Any, now: float) -> Any:
    """The value of a CustomResourceDefinition's printer column; ``now`` in Unix seconds, for the type date."""
    value = path.first(obj)
    if value is None:
        return None
    match column_type:
        case "string":
            return text_of(value)
        case "integer":
            return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "number":
            return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date" if isinstance(value, str):
            try:
                return human_duration(now - parse_rfc3339(value))
            except ValueError:
                return "<invalid>"
    return None
