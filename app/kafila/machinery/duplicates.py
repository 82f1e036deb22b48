"""Fields that a JSON body sets more than once. Parsers keep the last one; strict validation reports them."""

from __future__ import annotations

import json
from typing import Any

import orjson

from .paths import MAX_FOUND, Path, shown


def find_duplicates(raw: bytes, parsed: Any = None) -> list[str]:
    """Paths of fields set twice, ``spec.containers[0].name``; ``parsed`` is the parsed body when it is already there.

    Raises ValueError when ``raw`` is no JSON.
    """
    if parsed is None:
        parsed = orjson.loads(raw)
    # Every key has a colon, so a duplicate, which parsing loses, makes the body written again poorer, unless a text has an
    # escaped one, which written again is one more. Single characters are counted many times as fast as two.
    if raw.count(b":") == orjson.dumps(parsed).count(b":") and not (b"\\" in raw and b"\\u00" in raw):
        return []
    found: dict[str, None] = {}
    _walk(json.loads(raw, object_pairs_hook=Pairs), None, found)
    return list(found)


class Pairs(list[Any]):
    """An object as its pairs, told apart from an array."""


def _walk(value: Any, path: Path, found: dict[str, None]) -> None:
    if isinstance(value, Pairs):
        seen: set[str] = set()
        for key, item in value:
            if key in seen and len(found) < MAX_FOUND:
                found[shown((path, key))] = None
            seen.add(key)
            if item.__class__ is Pairs or item.__class__ is list:
                _walk(item, (path, key), found)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            if item.__class__ is Pairs or item.__class__ is list:
                _walk(item, (path, i), found)
