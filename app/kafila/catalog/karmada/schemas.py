"""Schemas of the models, built once; structs share the nodes of their fields."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kafila.machinery.schema import Schema

from .model import META, Model
from .shapes import MISSING, Member, Shape, members

Resolve = Callable[[str], Schema]

_OBJECT_FIELDS = (
    ("apiVersion", "Group and version of this representation of the object."),
    ("kind", "Kind of this object, in CamelCase."),
)


class Builder:
    """Builds the schemas of one set of kinds. ``resolve`` gives Kubernetes' definitions by name."""

    def __init__(self, resolve: Resolve, typed: bool = False) -> None:
        """``typed``: the kinds are of a typed API, so Kubernetes' definitions behave as they do in built-in kinds."""
        self.resolve = resolve
        self._typed = typed
        self._structs: dict[type[Model], Schema] = {}
        self._leaves: dict[tuple[Any, ...], Schema] = {}
        self._plain: dict[int, Schema] = {}

    def root(self, model: type[Model], name: str) -> Schema:
        """A whole object: apiVersion, kind and metadata before the model's own fields."""
        own = self._struct(model)
        fields = {n: self._leaf(Shape("string"), d, None) for n, d in _OBJECT_FIELDS}
        fields["metadata"] = self.resolve(META + "ObjectMeta")
        return replace(own, name=name, description=_doc(model), fields=fields | own.fields, compiled={})

    def definition(self, name: str) -> Schema:
        return self.resolve(name) if self._typed else self._as_custom(self.resolve(name))

    def _as_custom(self, schema: Schema) -> Schema:
        """A definition as a CustomResourceDefinition embeds it: nothing of Go's encoding, no default, no patch strategy."""
        known = self._plain.get(id(schema))
        if known is not None:
            return known
        plain = Schema(
            # quantities are kept as they were written
            "int-or-string" if schema.kind == "quantity" else schema.kind,
            description=schema.description,
            format=schema.format,
            required=schema.required,
            list_type=schema.list_type,
            list_map_keys=schema.list_map_keys,
            atomic=schema.atomic,
            enum=schema.enum,
            preserve_unknown=schema.preserve_unknown,
        )
        self._plain[id(schema)] = plain
        plain.fields = {name: self._as_custom(child) for name, child in schema.fields.items()}
        if schema.items is not None:
            plain.items = self._as_custom(schema.items)
        return plain

    def _struct(self, model: type[Model]) -> Schema:
        found = self._structs.get(model)
        if found is None:
            listed = members(model)
            found = Schema(
                "struct",
                fields={m.name: self._field(m.shape, m.description, m.default) for m in listed},
                required=frozenset(m.name for m in listed if m.required),
                always={m.name: copy.copy(m.shape.always) for m in listed if m.shape.always is not MISSING},
                drop_zero=frozenset(m.name for m in listed if _is_dropped(m)) if self._typed else frozenset(),
            )
            self._structs[model] = found
        return found

    def _field(self, shape: Shape, description: str, default: Any) -> Schema:
        if shape.kind == "struct":
            assert shape.model is not None
            return replace(self._struct(shape.model), description=description, atomic=shape.atomic)
        if shape.kind == "ref":
            return replace(self.definition(shape.ref), description=description)
        if shape.items is not None:
            return Schema(
                "list" if shape.kind == "list" else "map",
                description=description,
                items=self._field(shape.items, "", None),
                list_type="map" if shape.keys else "atomic",
                list_map_keys=shape.keys,
                default=default,
            )
        return self._leaf(shape, description, default)

    def _leaf(self, shape: Shape, description: str, default: Any) -> Schema:
        key = (shape.kind, shape.format, shape.enum, description, repr(default))
        found = self._leaves.get(key)
        if found is None:
            found = Schema(
                shape.kind,  # type: ignore[arg-type]
                format=shape.format if shape.kind != "any" else "",
                description=description,
                enum=shape.enum,
                default=default,
            )
            self._leaves[key] = found
        return found


def _is_dropped(member: Member) -> bool:
    """Optional structs are pointers in Go and stay when they are empty; everything else optional goes when it is zero."""
    return member.shape.always is MISSING and member.shape.kind not in ("struct", "ref")


def _doc(model: type[Model]) -> str:
    return (model.__doc__ or "").strip()
