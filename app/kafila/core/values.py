"""JSON values as Python has them: copying them cheaply, comparing them as JSON, printing them as Go does."""

from __future__ import annotations

import marshal
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import orjson

T = TypeVar("T")
Object = dict[str, Any]  # a JSON object
AnyObject = Mapping[str, Any]  # one that is only read, whatever says what it holds (a TypedDict too)

JSON_TYPES: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}  # as schemas call them


def copy_json(value: T) -> T:
    """A deep copy of a JSON value; the copy shares no list and no map with it, nor within itself.

    It calls itself for lists and maps only: quicker than ``marshal`` for what is small, as quick for a whole object.
    """
    found: Any = value
    kind = found.__class__
    if kind is dict:
        found = found.copy()
        for key, item in found.items():
            if item.__class__ is dict or item.__class__ is list:
                found[key] = copy_json(item)
    elif kind is list:
        found = [copy_json(item) if item.__class__ is dict or item.__class__ is list else item for item in found]
    return found


def same_json(a: Any, b: Any) -> bool:
    """Equality of JSON values: 1 equals 1.0, but neither equals true."""
    if a.__class__ is not b.__class__:
        return {a.__class__, b.__class__} == {int, float} and a == b
    if a.__class__ is dict:
        if len(a) != len(b):
            return False
        return all(key in b and same_json(item, b[key]) for key, item in a.items())
    if a.__class__ is list:
        if len(a) != len(b):
            return False
        return all(map(same_json, a, b))
    return a == b


def unchanged(before: Any, after: Any) -> bool:
    """``same_json``, quickly where one was made of the other and is different."""
    if before is after:
        return True
    return bool(before == after) and (marshal.dumps(before, 2) == marshal.dumps(after, 2) or same_json(before, after))


def json_key(value: Any) -> Hashable:
    """Equal for values that ``same_json`` calls equal, and only for those: so a set answers what a search would."""
    kind = value.__class__
    if kind is dict or kind is list:
        return to_keep(_whole(value))
    return (value,) if kind is bool else value


def to_keep(value: Any) -> bytes:
    """Its JSON in the order of names, to be kept."""
    return fitted(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def fitted(text: bytes) -> bytes:
    """What orjson gave, to be kept in no more room than it needs: orjson's own holds on to 4 KiB, however short it is."""
    return bytes(memoryview(text))


def repeats(values: Iterable[Any]) -> Iterator[bool]:
    """Of each value whether it came before."""
    seen: set[Hashable] = set()
    for value in values:
        key = json_key(value)
        yield key in seen
        seen.add(key)


def _whole(value: Any) -> Any:
    if value.__class__ is dict:
        return {key: _whole(item) for key, item in value.items()}
    if value.__class__ is list:
        return [_whole(item) for item in value]
    return int(value) if value.__class__ is float and value.is_integer() and abs(value) < 2**63 else value


def printed(value: Any) -> str:
    """A JSON value as Go's %v prints it: ``map[a:1 b:[x y]]``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + " ".join(map(printed, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{printed(value[key])}" for key in sorted(value)) + "]"
    return "<nil>" if value is None else str(value)


def nested(value: Any, *path: str) -> Any:
    """The value at ``path``, or None where a step is missing."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def remove_nested(value: Any, *path: str) -> None:
    """Takes away what is at the end of ``path``, if there is anything."""
    parent = nested(value, *path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
