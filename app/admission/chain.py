"""The order of admission: Karmada's mutating rules before validation, its validating ones after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.catalog.kind import Kind
from app.settings.gates import Gates

from .karmada import rules

Object = dict[str, Any]
_GATES: Mapping[str, bool] = Gates()


def mutate(kind: Kind, operation: str, new: Object, old: Object | None, user: Any) -> None:
    """Changes ``new`` in place. ``operation`` is CREATE or UPDATE."""
    rules.mutate(kind, operation, new, old, user, _GATES)


def admit(kind: Kind, operation: str, new: Object | None, old: Object | None, user: Any) -> None:
    """Raises StatusError when the write is not allowed. ``operation`` is CREATE, UPDATE or DELETE."""
    rules.admit(kind, operation, new, old, user, _GATES)
