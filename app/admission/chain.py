"""The order of admission: Karmada's mutating rules, then its validating ones."""

from __future__ import annotations

from typing import Any

from app.catalog.kind import Kind

Object = dict[str, Any]


def mutate(kind: Kind, operation: str, new: Object, old: Object | None, user: Any) -> None:
    """Changes ``new`` in place. ``operation`` is CREATE, UPDATE or DELETE."""


def admit(kind: Kind, operation: str, new: Object | None, old: Object | None, user: Any) -> None:
    """Raises StatusError when the write is not allowed."""
