"""Several errors as one text."""

from __future__ import annotations

from collections.abc import Iterable


def aggregate_text(messages: Iterable[str]) -> str:
    """As apimachinery's errors.Aggregate: without repetition, in brackets when there are several."""
    distinct = list(dict.fromkeys(messages))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"
