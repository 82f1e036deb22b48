"""A JSON patch of a decoded object: where its operations set single values, only these are looked at and decoded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kafila.core.values import Object

from .decode import ABSENT, DecodeError, compile_decoder, compile_field, compile_node
from .jsonpatch import unescaped
from .scalars import Mismatch
from .schema import Schema

_FEW: Final = 20  # operations: each copies what it goes through
_LONGEST_INDEX: Final = 9  # digits
_WHOLE: Final = frozenset({"apiVersion", "kind", "metadata"})  # which are looked at together with the document


class _NotPlain(Exception):
    """The patch has to be applied, and its outcome decoded, as a whole."""


def patched_decoded(schema: Schema, live: Object, operations: list[Object]) -> Object | None:
    """What decoding makes of ``jsonpatch.apply(live, operations)``. ``live`` is decoded; what stays of it is shared. None where more is
    done than setting single values, and where anything is wrong.
    """
    if len(operations) > _FEW:
        return None
    compile_decoder(schema)
    given: set[int] = set()
    document = live
    try:
        for operation in operations:
            document = _patched(schema, document, operation, given)
    except (_NotPlain, Mismatch, DecodeError):
        return None
    return document


def _patched(schema: Schema, document: Object, operation: Object, given: set[int]) -> Object:
    """``given``: ids of what operations have put there: it is decoded already, and no patch has seen it so."""
    adds = operation["op"] == "add"
    start, *path = operation["path"].split("/")
    if not (adds or operation["op"] == "replace") or start or not path or (len(path) == 1 and path[0] in _WHOLE):
        raise _NotPlain
    last = unescaped(path.pop())
    at: Any
    root = at = document.copy()
    for part in path:
        if schema.kind == "struct":
            key, child = part, None if schema.preserve_unknown else schema.fields.get(part)
        else:
            key, child = unescaped(part) if schema.kind == "map" else _index(part, len(at)), schema.items
        inner = at.get(key) if at.__class__ is dict else at[key]
        if child is None or (inner.__class__ is not dict and inner.__class__ is not list) or id(inner) in given:
            raise _NotPlain
        at[key] = at = inner.copy()
        schema = child
    value = _put(schema, at, last, operation.get("value"), adds)
    if value.__class__ is dict or value.__class__ is list:
        given.add(id(value))
    return root


def _put(schema: Schema, at: Any, key: str, value: Any, adds: bool) -> Any:
    """The value as it is decoded."""
    dropped: list[bool] = []
    if schema.kind == "struct":
        if schema.preserve_unknown or key not in schema.fields:
            raise _NotPlain
        value = compile_field(schema, key)(value, dropped)
        if value is ABSENT:
            at.pop(key, None)
        else:
            _set(at, key, value, schema.fields)
    elif schema.items is None:
        raise _NotPlain
    else:
        value = compile_node(schema.items)(value, dropped)
        if schema.kind == "map":
            _set(at, key, value, None)
        elif not adds:
            at[_index(key, len(at))] = value
        elif key == "-":
            at.append(value)
        else:
            at.insert(_index(key, len(at) + 1), value)
    if dropped:
        raise _NotPlain
    return value


def _set(at: Object, key: str, value: Any, names: Iterable[str] | None) -> None:
    """``names``: in which order; None: in their own."""
    is_new = key not in at
    at[key] = value
    if is_new:
        ordered = {name: at[name] for name in (sorted(at) if names is None else names) if name in at}
        at.clear()
        at.update(ordered)


def _index(key: str, length: int) -> int:
    if not key.isdecimal() or not key.isascii() or len(key) > _LONGEST_INDEX or int(key) >= length:
        raise _NotPlain
    return int(key)
