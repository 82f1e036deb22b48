"""What strict decoding finds in a JSON body of a type, in the order of the document: unknown fields, and those set twice."""

from __future__ import annotations

import json
from typing import Any

from .duplicates import Pairs
from .paths import MAX_FOUND, Path, shown
from .schema import Schema


def strict_errors(schema: Schema, raw: bytes) -> list[str]:
    """``unknown field "spec.foo"``, ``duplicate field "metadata.name"``, each once. Raises ValueError when it is no JSON.

    Every value of a field that is set twice is checked, as it is decoded; nothing within an unknown one is.
    """
    found: dict[str, None] = {}
    _walk(schema, json.loads(raw, object_pairs_hook=Pairs), None, found)
    return list(found)


def _walk(schema: Schema | None, value: Any, path: Path, found: dict[str, None]) -> None:
    """What has no type (RawExtension, FieldsV1, JSON) is kept as it is, and not looked into."""
    if schema is None or schema.kind == "any":
        return
    if isinstance(value, Pairs):
        is_struct = schema.kind == "struct"
        seen: set[str] = set()
        for key, item in value:
            here = (path, key)
            child = schema.fields.get(key) if is_struct else schema.items
            if child is None and is_struct and not schema.preserve_unknown:
                _add(f'unknown field "{shown(here)}"', found)
                continue
            if key in seen:
                _add(f'duplicate field "{shown(here)}"', found)
            seen.add(key)
            _walk(child, item, here, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(schema.items, item, (path, index), found)


def _add(text: str, found: dict[str, None]) -> None:
    if len(found) < MAX_FOUND:
        found[text] = None
