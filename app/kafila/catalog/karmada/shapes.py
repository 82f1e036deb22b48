"""Walks the types of a model's fields: what is optional, what is inside, which limits there are."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .model import Always, Atomic, ListMap, Model, OneOf, Ref, Wire

_PLAIN = {str: "string", int: "integer", bool: "boolean", float: "number", Any: "any"}
MISSING = object()


@dataclass(slots=True)
class Shape:
    """A type as the wire has it. ``model`` is set for structs, ``ref`` for Kubernetes definitions."""

    kind: str
    format: str = ""
    model: type[Model] | None = None
    ref: str = ""
    items: Shape | None = None
    keys: tuple[str, ...] = ()
    atomic: bool = False
    always: Any = MISSING
    enum: tuple[str, ...] = ()
    pattern: str = ""
    minimum: int | None = None
    maximum: int | None = None
    shortest: int | None = None  # characters of a string, items of a list
    longest: int | None = None


class Member(NamedTuple):
    """A field of a model."""

    name: str
    shape: Shape
    required: bool
    default: Any  # None when there is none
    description: str


@cache
def members(model: type[Model]) -> tuple[Member, ...]:
    return tuple(_member(info) for info in model.model_fields.values())


def _member(info: FieldInfo) -> Member:
    shape = shape_of(info.annotation, info.metadata)
    default = (
        None if info.default is PydanticUndefined or info.is_required() or shape.always is not MISSING else info.default
    )
    assert info.alias is not None  # the alias generator gives every field one
    return Member(info.alias, shape, info.is_required(), default, info.description or "")


def shape_of(annotation: Any, metadata: Any = ()) -> Shape:
    annotations = list(metadata)
    annotation = _unwrap(annotation, annotations)
    shape = _bare(annotation, annotations)
    for each in annotations:
        _apply(shape, each)
    return shape


def _unwrap(annotation: Any, annotations: list[Any]) -> Any:
    """Takes ``Annotated`` and ``| None`` off."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            annotations.extend(more)
        elif origin in (Union, types.UnionType):
            inner = [a for a in get_args(annotation) if a is not type(None)]
            if len(inner) > 1:
                return inner[0]  # str | int of a quantity: the Wire annotation says what it is
            annotation = inner[0]
        else:
            return annotation


def _bare(annotation: Any, annotations: list[Any]) -> Shape:
    if any(isinstance(n, Ref | Wire) for n in annotations):
        return Shape("any")
    origin = get_origin(annotation)
    if origin is list:
        return Shape("list", items=shape_of(get_args(annotation)[0]))
    if origin is dict:
        return Shape("map", items=shape_of(get_args(annotation)[1]))
    if origin is Literal:
        return Shape("string", enum=get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return Shape("struct", model=annotation)
    return Shape(_PLAIN[annotation])


def _apply(shape: Shape, each: Any) -> None:
    match each:
        case Wire(kind, form, pattern):
            shape.kind, shape.format, shape.pattern = kind, form, pattern
        case Ref(definition):
            shape.kind, shape.ref = "ref", definition
        case ListMap(keys):
            shape.keys = keys
        case OneOf(words):
            shape.enum = words
        case Atomic():
            shape.atomic = True
        case Always(zero):
            shape.always = zero
        case annotated_types.Ge(ge):
            shape.minimum = ge  # type: ignore[assignment]
        case annotated_types.Le(le):
            shape.maximum = le  # type: ignore[assignment]
        case annotated_types.MinLen(length):
            shape.shortest = length
        case annotated_types.MaxLen(length):
            shape.longest = length
        case _ if getattr(each, "pattern", None):
            shape.pattern = each.pattern
