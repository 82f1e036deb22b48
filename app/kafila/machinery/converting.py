"""What Go says when a strategically merged document does not fit its type: it is converted value by value
(apimachinery/pkg/runtime/converter.go) and not decoded as other bodies are, so the words are others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .decode import decoding_error
from .scalars import go_type
from .schema import Schema

# Go's kinds of what JSON holds
_KINDS = {str: "string", bool: "bool", int: "int64", float: "float64", list: "slice", dict: "map"}
_PLAIN = ("string", "boolean", "integer", "number")


def conversion_error(schema: Schema, value: Any, names: tuple[str, ...] = ()) -> str:
    """The first thing that cannot be converted, "" when all can. ``names`` are Go's for this type and its elements."""
    if value is None:
        return ""
    given = _KINDS[value.__class__]
    if schema.kind in _PLAIN:
        return _plain(schema.kind, names[0] if names else go_type(schema), go_type(schema), value, given)
    match schema.kind:
        case "struct":
            if given != "map":
                return f"cannot restore struct from: {given}"
            fields = ((child, value.get(key), schema.go.get(key, ("", ()))[1]) for key, child in schema.fields.items())
            return _first(conversion_error(*field) for field in fields)
        case "map":
            if given != "map":
                return f"cannot restore map from {given}"
            return _items(schema, value.values(), names)
        case "list":
            if given != "slice":
                return f"cannot restore slice from {given}"
            return _items(schema, value, names)
        case "bytes" if given != "string":
            return f"cannot restore slice from {given}"
    return decoding_error(schema, value)


def _items(schema: Schema, items: Iterable[Any], names: tuple[str, ...]) -> str:
    child = schema.items
    return "" if child is None else _first(conversion_error(child, item, names[1:]) for item in items)


def _first(errors: Iterable[str]) -> str:
    return next(filter(None, errors), "")


def _plain(kind: str, name: str, unnamed: str, value: Any, given: str) -> str:
    """Numbers are converted into each other whatever their size; no other two kinds are."""
    fits = {"string": "string", "boolean": "bool", "integer": "int64", "number": "float64"}[kind] == given
    if fits or (kind == "number" and given == "int64") or (kind == "integer" and given == "float64" and value % 1 == 0):
        return ""
    if (kind == "string" and given == "int64") or (kind == "integer" and given == "float64"):
        return f"cannot convert {given} to {name}"  # Go could, but would not make what JSON means
    return f"unrecognized type: {unnamed}"


def whole_numbers(value: Any) -> Any:
    """A copy with integers for all floats without a fraction, as conversion makes of them."""
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
