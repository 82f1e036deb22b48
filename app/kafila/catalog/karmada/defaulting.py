"""Fills in the defaults that the models name, as structural defaulting of a CustomResourceDefinition does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .model import Model
from .shapes import Shape, members

Fill = Callable[[Any], None]


def compile_defaults(model: type[Model]) -> Fill | None:
    """A function that changes a dict in place, or None when nothing in it has a default."""
    values: list[tuple[str, Any]] = []
    inner: list[tuple[str, Fill]] = []
    for member in members(model):
        if member.default is not None:
            values.append((member.name, member.default))
        elif (into := _of_shape(member.shape)) is not None:
            inner.append((member.name, into))
    if not values and not inner:
        return None

    def fill(obj: Any) -> None:
        if type(obj) is not dict:
            return  # the wrong type is reported by validation
        for name, value in values:
            if obj.get(name) is None:  # null counts as absent where null is not allowed
                obj[name] = value
        for name, into in inner:
            child = obj.get(name)
            if child is not None:
                into(child)

    return fill


def _of_shape(shape: Shape) -> Fill | None:
    if shape.kind == "struct":
        assert shape.model is not None
        return compile_defaults(shape.model)
    if shape.kind == "list" and shape.items is not None:
        each = _of_shape(shape.items)
        if each is None:
            return None

        def fill_all(items: Any) -> None:
            if type(items) is list:
                for item in items:
                    each(item)

        return fill_all
    return None
