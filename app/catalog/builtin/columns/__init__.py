"""Tables as the server sends them (always with the wide columns)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app.catalog.kind import Column
from app.core.resources import GroupVersionKind

Cells = Callable[[dict[str, Any], float], list[Any]]


def print_columns(gvk: GroupVersionKind) -> tuple[Sequence[Column], Cells] | None:
    """Columns of a kind and the function from ``(object, now)`` to one value per column; None: only name and creation."""
    return None
