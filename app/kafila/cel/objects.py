"""Types of objects: their fields by name, and how one is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .types import Type
from .values import EvaluationError

Maker = Callable[[str, dict[str, Any]], Any]


def _none(type_name: str, fields: dict[str, Any]) -> Any:
    raise EvaluationError(f"unknown type '{type_name}'")


class Objects:
    """``fields``: name of a type -> name of a field -> its type; ``make`` makes what an expression writes as ``Type{field: …}``."""

    def __init__(self, fields: Mapping[str, Mapping[str, Type]], make: Maker = _none) -> None:
        self.fields = fields
        self.make: Maker = make

    def __contains__(self, type_name: object) -> bool:
        return type_name in self.fields

    def field(self, type_name: str, name: str) -> Type | None:
        return self.fields[type_name].get(name)


NO_OBJECTS: Final = Objects({})
