"""JSON values as Python has them, with the two operations that Python gets wrong for JSON: copying cheaply, comparing."""

from __future__ import annotations

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
