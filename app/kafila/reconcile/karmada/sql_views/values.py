"""Values of objects as a database can hold them. Pure. Who wrote them may be anybody: what has another shape is None."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from kafila.core.quantity import NANO, Quantity

MOST_TEXT: Final = 1024  # characters of a message
MOST_NAME: Final = 512
MOST_LABELS: Final = 16 << 10  # characters of all of them together
MOST_LISTED: Final = 64
_LARGEST: Final = (1 << 63) - 1
_MOST_NANO: Final = 10**40
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def text(value: Any, most: int = MOST_NAME) -> str | None:
    """Without NUL, which PostgreSQL cannot hold."""
    return value[:most].replace("\0", "") if isinstance(value, str) else None


def message(value: Any) -> str | None:
    return text(value, MOST_TEXT)


def number(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -_LARGEST <= value <= _LARGEST else None


def time(value: Any) -> str | None:
    """Of RFC 3339."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None


def labels(value: Any) -> dict[str, str]:
    """{} also for those that are longer than anybody's are."""
    if not isinstance(value, dict):
        return {}
    found = {key: each for key, each in value.items() if isinstance(key, str) and isinstance(each, str)}
    if sum(len(key) + len(each) for key, each in found.items()) > MOST_LABELS:
        return {}
    return {key.replace("\0", ""): each.replace("\0", "") for key, each in found.items()}


def texts(values: Iterable[Any]) -> list[str]:
    """The first of them, each once."""
    found = (text(each) for each in values)
    return list(dict.fromkeys(each for each in found if each))[:MOST_LISTED]


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def amount(value: Quantity | None) -> str | None:
    """In whole units: cores, bytes."""
    if value is None or abs(value.nano) > _MOST_NANO:
        return None
    return format(Decimal(value.nano) / NANO, "f")
