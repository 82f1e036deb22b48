"""Lists that Go writes even when they are not there: an empty one does not survive being stored as protobuf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .schema import COMPILING, Schema

Walk = Callable[[Any], None]
_KEY, _READY = "empty_lists", "forget"


def forget(schema: Schema, obj: dict[str, Any]) -> None:
    """Puts null in the place of each such list that is empty, in place."""
    if _READY not in schema.compiled:
        with COMPILING:
            schema.compiled[_READY] = _walk_of(schema)
    walk = schema.compiled[_READY]
    if walk is not None:
        walk(obj)


def _walk_of(schema: Schema) -> Walk | None:
    """None where no such list can be below."""
    compiled = schema.compiled
    if _KEY not in compiled:
        found: list[Walk | None] = [None]
        compiled[_KEY] = lambda value: found[0](value) if found[0] is not None else None  # a type inside of itself
        found[0] = compiled[_KEY] = _compile(schema)
    walk: Walk | None = compiled[_KEY]
    return walk


def _compile(schema: Schema) -> Walk | None:
    if schema.kind in ("list", "map") and schema.items is not None:
        inner = _walk_of(schema.items)
        if inner is None:
            return None
        if schema.kind == "list":
            return lambda value: _each(inner, value)
        return lambda value: _each(inner, (value or {}).values())
    if schema.kind != "struct":
        return None
    emptied = [key for key, child in schema.fields.items() if child.kind == "list" and _is_written(schema, key)]
    below = [(key, step) for key, child in schema.fields.items() if (step := _walk_of(child)) is not None]
    if not emptied and not below:
        return None

    def walk(value: Any) -> None:
        if value.__class__ is not dict:
            return
        for key in emptied:
            if value.get(key) == []:
                value[key] = None
        for key, step in below:
            if value.get(key):
                step(value[key])

    return walk


def _is_written(schema: Schema, key: str) -> bool:
    return key in schema.always and schema.always[key] is None


def _each(walk: Walk, values: Any) -> None:
    for value in values:
        walk(value)
