"""Types of objects: their fields by name, and how one is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .types import Type
from .values import EvaluationError


class Objects:
    """``fields``: name of a type -> name of a field -> its type."""

    def __init__(self, fields: Mapping[str, Mapping[str, Type]]) -> None:
        self.fields = fields

    def making(self, type_name: str) -> Callable[[dict[str, Any]], Any]:
        """What makes an object of its fields, where an expression writes ``Type{field: …}``; it may raise EvaluationError."""

        def none(fields: dict[str, Any]) -> Any:
            raise EvaluationError(f"unknown type '{type_name}'")

        return none

    def __contains__(self, type_name: object) -> bool:
        return type_name in self.fields

    def field(self, type_name: str, name: str) -> Type | None:
        return self.fields[type_name].get(name)


NO_OBJECTS: Final = Objects({})
