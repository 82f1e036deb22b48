"""JSON values as Karmada's scripts treat them: what may be read of what, counted, compared and joined.

No CustomResourceDefinition of ours vouches for objects of other people's kinds, so any field may hold anything. Karmada reads
them in Lua 5.1, whose rules decide what is a failure and what is only "not so"; these functions have the same rules:

- What is missing is None; a field of something missing, of a number or of a boolean cannot be read. A text or a list has no fields.
- An empty list and an empty map are the same. A list read as a map has the keys 1, 2, …; a map read as a list is empty.
- A text that looks like a number counts as one in sums, but not in comparisons.

Everything here raises InterpretError, with the path that could not be read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from kafila.placement.interpreter.errors import InterpretError

_LARGEST: Final = 2**63 - 1
_EXACT: Final = 2**53  # whole numbers up to here have no fraction as floats either
DEEPEST: Final = 200  # levels of lists and maps, as in the answers of scripts
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"[+-]?0[xX][0-9a-fA-F]+", re.ASCII)
_LONGEST_NUMBER: Final = 64  # characters; what is longer is no amount of anything
_SPACE: Final = " \t\n\r\v\f"


def type_of(value: Any) -> str:
    """The name that Lua has for it."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, int | float) else "table"


def at(value: Any, *path: str) -> Any:
    """The field at ``path``; None where the last step is missing, a failure where an earlier one is."""
    for depth, field in enumerate(path):
        if isinstance(value, dict):
            value = value.get(field)
        elif isinstance(value, list | str):
            value = None
        else:
            read = ".".join(path[:depth]) or "the value"
            raise InterpretError(f"{read} is {_described(value)}, so its {field} cannot be read")
    return value


def find(value: Any, *path: str) -> Any:
    """The field at ``path``, None where any step is missing."""
    for field in path:
        if value is None:
            return None
        value = at(value, field)
    return value


def is_true(value: Any) -> bool:
    """0 and an empty text are true as well."""
    return value is not None and value is not False


def is_empty(value: Any) -> bool:
    """Nothing, or an empty text."""
    return value is None or value == ""


def is_table(value: Any) -> bool:
    return isinstance(value, dict | list)


def same(a: Any, b: Any) -> bool:
    """Equality of what is no list and no map; those are equal to nothing."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return not is_table(a) and not is_table(b) and bool(a == b)


def less(a: Any, b: Any) -> bool:
    """Numbers and texts are only compared with their like."""
    kinds = type_of(a), type_of(b)
    if kinds not in (("number", "number"), ("string", "string")):
        raise InterpretError(f"{_described(a)} cannot be compared with {_described(b)}")
    if isinstance(a, str):
        return a.encode() < b.encode()
    return bool(a < b)


def to_number(value: Any) -> int | float | None:
    """A number, or the number that a text says; else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        return None
    text = value.strip(_SPACE)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if not _NUMBER.fullmatch(text):
        return None
    found = float(text)
    return found if abs(found) != float("inf") else None


def number_or(value: Any, default: Any) -> Any:
    """A field that may hold a number as text; ``default`` for anything else."""
    found = to_number(value)
    return default if found is None else found


def number(value: Any, field: str = "a number") -> int | float:
    """What can be added."""
    found = to_number(value)
    if found is None:
        raise InterpretError(f"{field} is {_described(value)}, no number")
    return found


def counted(value: Any, field: str) -> int | float:
    """A counter: nothing where the field is missing or false."""
    found = at(value, field)
    return number(found, field) if is_true(found) else 0


def text(value: Any, field: str = "a text") -> str:
    """What can be joined to a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return format(value, ".14g")
    raise InterpretError(f"{field} is {_described(value)}, no text")


def length(value: Any, field: str = "a list") -> int:
    if isinstance(value, list):
        return len(value)
    if isinstance(value, dict):
        return 0
    if isinstance(value, str):
        return len(value.encode())
    raise InterpretError(f"{field} is {_described(value)}, no list")


def items(value: Any, field: str = "a list") -> list[Any]:
    """The items of a list; a map has none."""
    if isinstance(value, dict):
        return []
    if isinstance(value, list):
        return value
    raise InterpretError(f"{field} is {_described(value)}, no list")


def numbered(value: Any, field: str = "a list") -> list[Any]:
    """The items by number, which an empty text has none of either."""
    return [] if value == "" else items(value, field)


def pairs(value: Any, field: str = "a map") -> Iterator[tuple[Any, Any]]:
    """Keys and values, sorted by key; a list has the keys 1, 2, …"""
    if isinstance(value, dict):
        return iter(sorted(value.items(), key=lambda pair: str(pair[0])))
    return iter(enumerate(items(value, field), start=1))


def values(value: Any, field: str = "a list") -> list[Any]:
    """All that is in a list or a map."""
    return [each for _, each in pairs(value, field)]


def own_map(parent: Any, field: str) -> dict[Any, Any]:
    """The map at ``field``, to be written to; a failure where something else is there."""
    found = at(parent, field)
    if found == [] and isinstance(parent, dict):
        found = parent[field] = {}
    return _map(found, field)


def own_maps(found: list[Any], field: str) -> list[dict[Any, Any]]:
    """The items of a list, to be written to; a failure where one of them is no map."""
    found[:] = [{} if each == [] else each for each in found]
    return [_map(each, field) for each in found]


def _map(found: Any, field: str) -> dict[Any, Any]:
    if not isinstance(found, dict):
        raise InterpretError(f"{field} is {_described(found)}, no map")
    return found


def as_key(value: Any) -> Any:
    """What finds a value again that something is listed by; a failure where it is missing."""
    if value is None:
        raise InterpretError("what something is listed by is missing")
    return ("table", id(value)) if is_table(value) else (type_of(value), value)


def without_empty(value: Any, *, zeros: bool = False) -> Any:
    """What is left without empty lists and maps, and, but with ``zeros``, without 0, "" and "0s"; None when nothing is left."""
    left = {}
    for key, each in pairs(value):
        if is_table(each):
            inner = without_empty(each, zeros=zeros)
            if inner is not None:
                left[key] = inner
        elif zeros or not (same(each, 0) or each in ("", "0s")):
            left[key] = each
    return left or None


def plain(value: Any, depth: int = 0) -> Any:
    """A deep copy without nulls, which scripts never see."""
    if not is_table(value):
        return value
    if depth == DEEPEST:
        raise InterpretError(f"the object is nested deeper than {DEEPEST} levels")
    if isinstance(value, list):
        return [plain(each, depth + 1) for each in value if each is not None]
    return {key: plain(each, depth + 1) for key, each in value.items() if each is not None}


def settled(value: Any, depth: int = 0) -> Any:
    """An answer as JSON: a copy, without what is None; maps with the keys 1 to n are lists, whole numbers have no fraction."""
    if not is_table(value):
        return _settled_number(value) if type_of(value) == "number" else value
    if depth == DEEPEST:
        raise InterpretError(f"the answer is nested deeper than {DEEPEST} levels")
    if isinstance(value, list):
        return [settled(each, depth + 1) for each in value if each is not None]
    found = {key: settled(each, depth + 1) for key, each in value.items() if each is not None}
    numbers = sum(isinstance(key, int) for key in found)
    if not numbers:
        return found
    if numbers < len(found) or sorted(found) != list(range(1, numbers + 1)):
        raise InterpretError("the answer has a list with gaps or with names in it")
    return [found[index] for index in range(1, numbers + 1)]


def _settled_number(value: int | float) -> int | float:
    if not -_LARGEST - 1 <= value <= _LARGEST and (isinstance(value, int) or math.isinf(value) or math.isnan(value)):
        raise InterpretError("a number in the answer is too large")
    return int(value) if isinstance(value, float) and abs(value) <= _EXACT and value.is_integer() else value


def _described(value: Any) -> str:
    if value is None:
        return "missing"
    if is_table(value):
        return "a list" if isinstance(value, list) else "a map"
    shown = repr(value) if isinstance(value, str) else str(value).lower()
    return shown if len(shown) < 64 else f"{shown[:60]}…"
