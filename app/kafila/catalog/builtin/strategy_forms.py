"""How strategies of built-in kinds are written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.catalog.kind import Strategy
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .validation.common import check_finalizers

Check = Callable[[Object], list[FieldError]]

PLAIN = None  # generation_fields of kinds without a generation


def _with_finalizers(check: Check | None) -> Check:
    def validate(obj: Object) -> list[FieldError]:
        found = check(obj) if check is not None else []
        finalizers = (obj.get("metadata") or {}).get("finalizers")
        if finalizers:  # said before all else, as what is wrong with the metadata
            first: list[FieldError] = []
            check_finalizers(finalizers, "metadata.finalizers", first)
            return [*first, *found]
        return found

    return validate


def generic(validate: Check | None = None, **more: Any) -> Strategy:
    """A kind whose finalizers may be any qualified names."""
    return Strategy(**more) if validate is None else Strategy(validate=validate, **more)


def strategy(validate: Check | None = None, **more: Any) -> Strategy:
    if "validate_new" in more:
        more["validate_new"] = _with_finalizers(more["validate_new"])
    return Strategy(validate=_with_finalizers(validate), **more)
