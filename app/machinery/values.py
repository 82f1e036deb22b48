"""JSON values as Python has them: copying them cheaply, comparing them as JSON, printing them as Go does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def copy_json(value: Any) -> Any:
    """A deep copy of a JSON value."""
    kind = value.__class__
    if kind is dict:
        return {key: copy_json(item) for key, item in value.items()}
    if kind is list:
        return [copy_json(item) for item in value]
    return value


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


def printed(value: Any) -> str:
    """A JSON value as Go's %v prints it: ``map[a:1 b:[x y]]``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + " ".join(map(printed, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{printed(value[key])}" for key in sorted(value)) + "]"
    return "<nil>" if value is None else str(value)


def at(value: Any, path: Sequence[str]) -> Any:
    """What is at the end of ``path``, None when there is nothing."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def drop(value: Any, path: Sequence[str]) -> None:
    """Takes away what is at the end of ``path``, if there is anything."""
    owner = at(value, path[:-1])
    if isinstance(owner, dict):
        owner.pop(path[-1], None)
