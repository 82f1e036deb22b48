"""Deletions that take very much out of clusters at once: what waits for an approval, and the approval, stand on a Namespace or a
CustomResourceDefinition. An approval is of a time, for nothing of what is deleted changes with it.
"""

from __future__ import annotations

from typing import Final

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.values import AnyObject
from kafila.placement.objects import annotations_of

from .withdrawal import ALWAYS, APPROVED, HELD, LONGEST

LASTS: Final = 3600.0  # seconds: how long what was refused is shown, and what is approved may be done
AHEAD: Final = 86400.0  # seconds: no approval lasts longer


def is_approved(holder: AnyObject, now: float) -> bool:
    """``now``: Unix seconds."""
    said = annotations_of(holder).get(APPROVED, "")
    return said == ALWAYS or now < _time(said) <= now + AHEAD


def approval(now: float) -> str:
    """The value of `APPROVED`: until when."""
    return rfc3339(now + LASTS)


def mark(text: str, now: float) -> str:
    """The value of `HELD`: since when, and what."""
    return f"{rfc3339(now)}: {text}"


def held(holder: AnyObject, now: float) -> str:
    """What was refused of late, "" for nothing."""
    since, _, text = annotations_of(holder).get(HELD, "").partition(": ")
    if not now - LASTS < _time(since) <= now + 1:
        return ""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:LONGEST])


def waiting(holder: AnyObject, now: float) -> str:
    """What waits for an approval, "" for nothing."""
    return "" if is_approved(holder, now) else held(holder, now)


def _time(said: str) -> float:
    try:
        return parse_rfc3339(said)
    except (ValueError, OverflowError):
        return 0.0
