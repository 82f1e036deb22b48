"""What defaults of all groups are made of."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object


def part_of(obj: Object, field: str) -> Object:
    """The object in this field, made where it is missing."""
    found: Object | None = obj.get(field)
    if found is None:
        found = obj[field] = {}
    return found


def fill(target: Object, **values: Any) -> None:
    """Sets the fields that are missing, to these very values."""
    for field, value in values.items():
        if target.get(field) is None:
            target[field] = value
