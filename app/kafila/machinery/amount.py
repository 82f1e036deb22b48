"""How many values a document has: in memory, each takes far more than the two or three bytes that it is sent as.

A value is an object, a list, a text, a number, a boolean or null; the names of members are part of their object.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kafila.core import errors

MAX_VALUES: Final = 100_000  # of what is sent; what people have in 3 MB has less than half of it
MAX_MADE: Final = 2 * MAX_VALUES  # of what a patch makes of an object: the server's defaults are in it too
FEW: Final = 2 * MAX_VALUES  # bytes that cannot have more: each value takes one, and a comma

# A text, or what has one more value after it: a comma, or the begin of a list or an object that is not empty.
_STEP: Final = re.compile(rb'"[^"]*"?|,|[\[{](?!\s*[\]}])')
_QUOTE: Final = 34


def check_json(body: bytes) -> None:
    """Looks at the bytes alone, before anything is built of them; they need not be JSON. Raises StatusError 413."""
    if len(body) > FEW and body.count(b",") + body.count(b"[") + body.count(b"{") >= MAX_VALUES:
        _check_outside_of_texts(body)


def _check_outside_of_texts(body: bytes) -> None:
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")  # every other quote begins or ends a text
    found = 1
    for step in _STEP.finditer(body):
        found += body[step.start()] != _QUOTE
        if found > MAX_VALUES:
            raise errors.too_many_values(MAX_VALUES)


def check(value: Any) -> None:
    """Raises StatusError 413."""
    if has_more(value, MAX_VALUES):
        raise errors.too_many_values(MAX_VALUES)


def check_made(new: Any, old: Any) -> None:
    """``new`` was made of ``old``: it may have MAX_MADE values, and what has more already may have less.

    What the server records about the owners of fields follows from the rest and is not counted. Raises StatusError 413.
    """
    new = _without_owners(new)
    if has_more(new, MAX_MADE) and has_more(new, count(_without_owners(old))):
        raise errors.too_many_values(MAX_MADE)


def _without_owners(obj: Any) -> Any:
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


def has_more(value: Any, limit: int) -> bool:
    """Looks no further than it has to."""
    return count(value, limit) > limit


def count(value: Any, limit: float = float("inf")) -> int:
    """The number of values, or some number above ``limit``."""
    found = 1
    waiting = [value] if isinstance(value, (dict, list)) else []
    while waiting and found <= limit:
        one = waiting.pop()
        found += len(one)
        for item in one.values() if one.__class__ is dict else one:
            if item.__class__ is dict or item.__class__ is list:
                waiting.append(item)
    return found
