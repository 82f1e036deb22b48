"""Types of expressions from the schemas of kinds, as they are published (Kubernetes' SchemaDeclType over OpenAPI)."""

from __future__ import annotations

from typing import Final

from kafila.machinery.schema import Schema

from .schema import Declared, escaped
from .types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, Type, list_of, map_of, struct

_LEAST: Final = 1  # sizes do not matter to types
_SCALARS: Final[dict[str, Type]] = {
    "boolean": BOOL,
    "bytes": BYTES,
    "int-or-string": DYN,
    "integer": INT,
    "micro-time": TIMESTAMP,
    "number": DOUBLE,
    "time": TIMESTAMP,
}
_FORMATS: Final[dict[str, Type]] = {"byte": BYTES, "date": TIMESTAMP, "date-time": TIMESTAMP, "duration": DURATION}
_OBJECTS: Final = ("RawExtension", "FieldsV1")  # objects of which nothing is published


def published(schema: Schema, within: frozenset[str] = frozenset()) -> Declared | None:
    """None for what expressions cannot see: what has no type, such as a quantity. ``within``: definitions that it is part of."""
    kind = schema.kind
    if kind == "struct":
        return _struct(schema, within)
    if kind in ("map", "list"):
        return _container(schema, within)
    if kind == "string":
        return Declared(_FORMATS.get(schema.format, STRING), _LEAST)
    if kind == "any" and schema.name.endswith(_OBJECTS):
        return Declared(struct("object"), _LEAST, fields={})
    found = _SCALARS.get(kind)
    return Declared(found, _LEAST) if found is not None else None


def _struct(schema: Schema, within: frozenset[str]) -> Declared:
    fields: dict[str, Declared] = {}
    if schema.name not in within:  # of a definition that is part of itself nothing is seen there
        inner = within | {schema.name} if schema.name else within
        for name, child in schema.fields.items():
            key, found = escaped(name), published(child, inner)
            if key is not None and found is not None:
                fields[key] = found
    return Declared(struct("object"), _LEAST, fields=fields)


def _container(schema: Schema, within: frozenset[str]) -> Declared | None:
    element = published(schema.items, within) if schema.items is not None else None
    if element is None:
        return None
    if schema.kind == "list":
        return Declared(list_of(element.type), _LEAST, element=element)
    return Declared(map_of(STRING, element.type), _LEAST, key=Declared(STRING, _LEAST), element=element)
