"""JSON text as Go's ``encoding/json`` writes Karmada's structs: fields in the struct's order, empty ones left out.

The annotations ``applied-placement`` and ``applied-overrides`` hold such text, and Karmada compares it as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

Writer = Callable[[Any], str]


class Field(NamedTuple):
    name: str
    write: Writer
    keep_empty: bool = False  # the struct tag has no ``omitempty``
    is_pointer: bool = False  # left out only when nil, so ``{}`` stays
    zero: str = "null"  # what is written for a missing field that is kept


def _escaped(text: str) -> str:
    encoded = json.dumps(text, ensure_ascii=False)
    if "&" in encoded or "<" in encoded or ">" in encoded or "\u2028" in encoded or "\u2029" in encoded:
        encoded = encoded.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        encoded = encoded.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return encoded


def string(value: Any) -> str:
    return _escaped(value or "")


def number(value: Any) -> str:
    return str(value or 0)


def array(write: Writer) -> Writer:
    return lambda values: "null" if values is None else f"[{','.join(map(write, values))}]"


def string_map(value: Any) -> str:
    if value is None:
        return "null"
    return "{" + ",".join(f"{_escaped(k)}:{_escaped(value[k])}" for k in sorted(value)) + "}"


def raw(value: Any) -> str:
    """Free JSON, with sorted keys as the API server stores it."""
    return _free(value, sorted)


def unsorted(value: Any) -> str:
    """Free JSON, with keys in the order that they have."""
    return _free(value, list)


def _free(value: Any, order: Callable[[Any], list[str]]) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_escaped(key)}:{_free(value[key], order)}" for key in order(value)) + "}"
    if isinstance(value, list):
        return f"[{','.join(_free(item, order) for item in value)}]"
    return _escaped(value) if isinstance(value, str) else json.dumps(value)


def struct(*fields: Field) -> Writer:
    def write(value: Any) -> str:
        value = value or {}
        parts = []
        for name, write_field, keep_empty, is_pointer, zero in fields:
            found = value.get(name)
            if found is None:
                if keep_empty:
                    parts.append(f'"{name}":{zero}')
            elif found or keep_empty or is_pointer:
                parts.append(f'"{name}":{write_field(found)}')
        return "{" + ",".join(parts) + "}"

    return write
