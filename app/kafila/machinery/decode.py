"""Decoding of JSON objects by schema, as Go's typed decoding and encoding would leave them.

A schema is compiled once into closures, one per node, that build a new object: fields in wire order, unknown fields
dropped and reported, zero values dropped or emitted as Go's struct tags say, scalars in canonical form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from kafila.core.values import Object, copy_json

from . import scalars
from .duplicates import find_duplicates
from .paths import MAX_FOUND, Path, shown
from .scalars import DecodeError, Mismatch, describe, go_type
from .schema import COMPILING, Schema

__all__ = ["DecodeError", "Decoder", "compile_decoder", "find_duplicates", "unknown_fields"]

Decoder = Callable[[Any], tuple[Object, list[str]]]
# Decodes one value. Records in the list that something was dropped; raises Mismatch or DecodeError.
Node = Callable[[Any, list[bool]], Any]

ABSENT: Final = object()  # in the place of a field that is not emitted
_SHAPES: Final = 512  # remembered key sets per struct; clients send few, attackers many


def compile_decoder(schema: Schema) -> Decoder:
    """``decoder(obj) -> (new object, paths of unknown fields)``, the same one for the same schema. Raises DecodeError."""
    ready = schema.compiled.get("decoder")
    if ready is not None:
        return ready
    with COMPILING:
        node = _node(schema)

    def decoder(obj: Any) -> tuple[Object, list[str]]:
        dropped: list[bool] = []
        try:
            out = node(obj, dropped)
        except (Mismatch, DecodeError):
            raise _first_error(schema, obj) from None
        return out, unknown_fields(schema, obj) if dropped else []

    schema.compiled["decoder"] = decoder
    return decoder


def compile_node(schema: Schema) -> Node:
    """Of a part of a type that has a decoder already."""
    ready: Node = schema.compiled["node"]
    return ready


def compile_field(schema: Schema, key: str) -> Node:
    """Of a field of a struct that has a decoder already. It gives ABSENT for what is left out."""
    step: Node = schema.compiled["steps"][key][1]
    return step


def _node(schema: Schema) -> Node:
    """The closure of one node. Definitions may refer to themselves, so a node under construction is reached by name."""
    ready = schema.compiled.get("node")
    if ready is not None:
        return ready
    compiled = schema.compiled

    def later(value: Any, dropped: list[bool]) -> Any:
        return compiled["node"](value, dropped)

    compiled["node"] = later
    node = compiled["node"] = _compile(schema)
    return node


def _compile(schema: Schema) -> Node:
    match schema.kind:
        case "struct":
            return _struct(schema)
        case "map":
            return _map(schema)
        case "list":
            return _list(schema)
        case "any":
            return lambda value, dropped: copy_json(value)
    return scalars.decoder(schema)


def _list(schema: Schema) -> Node:
    item = _node(schema.items) if schema.items else _any
    if schema.items is not None and schema.items.kind == "string":

        def strings(value: Any, dropped: list[bool]) -> Any:
            if value.__class__ is not list:
                raise Mismatch(describe(value))
            for one in value:
                if one.__class__ is not str:
                    return [item(one, dropped) for one in value]
            return value.copy()

        return strings

    def decode(value: Any, dropped: list[bool]) -> Any:
        if value.__class__ is not list:
            raise Mismatch(describe(value))
        return [item(one, dropped) for one in value]

    return decode


def _any(value: Any, dropped: list[bool]) -> Any:
    return copy_json(value)


def _map(schema: Schema) -> Node:
    item = _node(schema.items) if schema.items else _any
    strings = schema.items is not None and schema.items.kind == "string"

    def decode(value: Any, dropped: list[bool]) -> Any:
        if value.__class__ is not dict:
            raise Mismatch(describe(value))
        if strings:
            for one in value.values():
                if one.__class__ is not str:
                    break
            else:
                # Go writes maps by key
                return dict(sorted(value.items())) if len(value) > 1 else value.copy()
        return {key: item(value[key], dropped) for key in sorted(value)}

    return decode


def _struct(schema: Schema) -> Node:
    fields = schema.fields
    keep_unknown = schema.preserve_unknown
    steps = schema.compiled["steps"] = {key: _step(schema, key) for key in fields}
    # absent fields that are emitted all the same
    emitted = [key for key, child in fields.items() if key in schema.always or child.default is not None]
    order = {key: position for position, key in enumerate(fields)}
    shapes: dict[tuple[str, ...], list[tuple[str, Any, Node]]] = {}

    def plan(keys: tuple[str, ...], dropped: list[bool]) -> list[tuple[str, Any, Node]]:
        known = {key for key in keys if key in order}
        chosen = [(key, *steps[key]) for key in sorted(known.union(emitted), key=order.__getitem__)]
        if len(known) < len(keys):
            if not keep_unknown:
                dropped.append(True)
            return chosen  # not remembered: unknown fields make endless shapes, and must be recorded each time
        if len(shapes) >= _SHAPES:
            shapes.clear()
        shapes[keys] = chosen
        return chosen

    def decode(value: Any, dropped: list[bool]) -> Any:
        if value.__class__ is not dict:
            if value is not None:
                raise Mismatch(describe(value))
            value = {}
        keys = tuple(value)
        chosen = shapes.get(keys)
        if chosen is None:
            chosen = plan(keys, dropped)
        get = value.get
        out: Object = {}
        for key, plain, step in chosen:
            one = get(key)
            if one.__class__ is plain and one:
                out[key] = one
            else:
                one = step(one, dropped)
                if one is not ABSENT:
                    out[key] = one
        if keep_unknown:
            for key in keys:
                if key not in order:
                    out[key] = copy_json(value[key])
        return out

    return decode


def _step(parent: Schema, key: str) -> tuple[Any, Node]:
    """How a field is decoded: the type whose non-zero values need nothing at all, and the closure for all others."""
    schema = parent.fields[key]
    node = _node(schema)
    # An empty list of managedFields is a message, "forget them", that the registry has to see.
    drop_zero = key in parent.drop_zero and key != "managedFields"
    missing = _missing(parent, key, schema, node)
    # only strings and booleans have no ranges and no other forms
    plain = {"string": str, "boolean": bool}.get(schema.kind)
    if drop_zero:

        def step(value: Any, dropped: list[bool]) -> Any:
            if value is None:
                return missing(dropped)
            value = node(value, dropped)
            return value if value or (value.__class__ is dict and schema.kind == "struct") else missing(dropped)

    else:

        def step(value: Any, dropped: list[bool]) -> Any:
            if value is None:
                return missing(dropped)
            value = node(value, dropped)
            return missing(dropped) if value is None else value

    return plain, step


def _missing(parent: Schema, key: str, schema: Schema, node: Node) -> Callable[[list[bool]], Any]:
    """What stands for a field that is absent, null or, where Go drops it, zero."""
    default = schema.default
    if default is not None and not (key in parent.drop_zero and not default):
        if schema.kind in ("struct", "map", "list"):
            return lambda dropped: node(default, dropped)
        if schema.kind == "any":
            return lambda dropped: copy_json(default)
        return lambda dropped: default
    if key not in parent.always:
        return lambda dropped: ABSENT
    zero = parent.always[key]
    if zero is not None and schema.kind == "struct":
        return lambda dropped: node(zero, dropped)
    return lambda dropped: copy_json(zero)


# Types that read themselves. Go stops at their errors; other errors it records and goes on.
_SELF_READING: Final = frozenset({"quantity", "time", "micro-time", "int-or-string"})


class _Found(NamedTuple):
    """An error on its way up to where its path is known."""

    error: Mismatch | DecodeError
    expected: str  # the Go type
    final: bool  # ends the decoding
    struct: str = ""  # the innermost one
    path: str = ""  # from the outermost one; list indices and map keys are left out

    def within(self, struct: str, field: str) -> _Found:
        return self._replace(struct=self.struct or struct, path=f"{field}.{self.path}" if self.path else field)

    def __str__(self) -> str:
        if isinstance(self.error, DecodeError):
            return str(self.error)
        where = f"struct field {self.struct}.{self.path}" if self.path else "value"
        return f"json: cannot unmarshal {self.error.value} into Go {where} of type {self.expected}"


def _first_error(schema: Schema, value: Any) -> DecodeError:
    """The error that Go would report: a self-reading type's, else the first one in document order."""
    first: _Found | None = None
    for found in _errors(schema, value, ()):
        first = found if found.final or first is None else first
        if found.final:
            break
    return DecodeError(str(first))


def decoding_error(schema: Schema, value: Any) -> str:
    """What :func:`compile_decoder`'s decoder would say of a value alone, "" when it fits."""
    found = next(_errors(schema, value, ()), None)
    return "" if found is None else str(found)


def _errors(schema: Schema, value: Any, names: tuple[str, ...]) -> Iterator[_Found]:
    """All errors in document order. ``names`` are Go's for this type and those of its elements, when they have their own."""
    if value is None:
        return
    if schema.kind == "struct" and isinstance(value, dict):
        bare = schema.name.rpartition(".")[2]
        for key, item in value.items():
            child = schema.fields.get(key)
            if child is not None:
                embedded, types = schema.go.get(key, ("", ()))
                for found in _errors(child, item, types):
                    yield found.within(bare, f"{embedded}.{key}" if embedded else key)
    elif (schema.kind == "map" and isinstance(value, dict)) or (schema.kind == "list" and isinstance(value, list)):
        for item in value.values() if isinstance(value, dict) else value:
            if schema.items is not None:
                yield from _errors(schema.items, item, names[1:])
    elif schema.kind != "any":
        try:
            _node(schema)(value, [])
        except (Mismatch, DecodeError) as error:
            yield _Found(error, names[0] if names else go_type(schema), schema.kind in _SELF_READING)


def unknown_fields(schema: Schema, value: Any) -> list[str]:
    """Paths of the first fields that the schema does not declare, in document order: ``spec.containers[0].foo``."""
    found: list[str] = []
    _find_unknown(schema, value, None, found)
    return found


def _find_unknown(schema: Schema, value: Any, path: Path, found: list[str]) -> None:
    if len(found) >= MAX_FOUND:
        return
    if schema.kind == "list" and isinstance(value, list) and schema.items:
        for i, item in enumerate(value):
            _find_unknown(schema.items, item, (path, i), found)
    elif schema.kind == "map" and isinstance(value, dict) and schema.items:
        for key, item in value.items():
            _find_unknown(schema.items, item, (path, key), found)
    elif schema.kind == "struct" and isinstance(value, dict):
        for key, item in value.items():
            child = schema.fields.get(key)
            if child is not None:
                _find_unknown(child, item, (path, key), found)
            elif not schema.preserve_unknown and len(found) < MAX_FOUND:
                found.append(shown((path, key)))
