"""Fields that a JSON body sets more than once. Parsers keep the last one; strict validation reports them."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

# What makes the count of keys inexact: a gap before a colon, or an escaped quote or colon.
_INEXACT: Final = (b" :", b"\n:", b"\t:", b"\r:", b"\\u00")


def find_duplicates(raw: bytes, parsed: Any = None) -> list[str]:
    """Paths of fields set twice, ``spec.containers[0].name``; ``parsed`` is the parsed body when it is already there.

    Raises ValueError when ``raw`` is no JSON.
    """
    if parsed is None:
        parsed = orjson.loads(raw)
    # Every key stands before a colon, so a duplicate, which parsing loses, makes the body written again poorer.
    if raw.count(b'":') == orjson.dumps(parsed).count(b'":') and not any(text in raw for text in _INEXACT):
        return []
    found: list[str] = []
    _walk(json.loads(raw, object_pairs_hook=_Pairs), "", found)
    return found


class _Pairs(list):
    """An object as its pairs, told apart from an array."""


def _walk(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            inside = f"{path}.{key}" if path else key
            if key in seen:
                if inside not in found:
                    found.append(inside)
            else:
                seen.add(key)
            _walk(item, inside, found)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _walk(item, f"{path}[{i}]", found)
