"""Decoding of what was made of a decoded object: only what is another part than before is looked at."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

from .decode import ABSENT, DecodeError, Node, compile_decoder, compile_field, compile_node
from .scalars import Mismatch
from .schema import Schema


class _Whole(Exception):
    """It has to be decoded as a whole, to say what is wrong with it."""


def redecoded(schema: Schema, was: Object, now: Object) -> Object | None:
    """What the schema's decoder makes of ``now``, where it would make ``was`` of ``was``; parts that are the same objects in both
    are taken over. None for what has unknown fields or does not fit.
    """
    compile_decoder(schema)
    try:
        return _struct(schema, was, now)
    except (_Whole, Mismatch, DecodeError):
        return None


def _struct(schema: Schema, was: Object, now: Object) -> Object:
    if schema.preserve_unknown:
        raise _Whole
    out, appended = was.copy(), False
    for key, value in now.items():
        before = was.get(key, ABSENT)
        if value is before:
            continue
        child = schema.fields.get(key)
        if child is None:
            raise _Whole
        if child.kind == "struct" and value.__class__ is dict and before.__class__ is dict:
            out[key] = _struct(child, before, value)
        elif child.kind == "list" and value and value.__class__ is list and before.__class__ is list:
            out[key] = _list(child, before, value)
        else:
            _set(out, key, _decoded(compile_field(schema, key), value))
            appended = appended or before is ABSENT
    if len(was) > len(now) or appended:
        for key in was:
            if key not in now:
                _set(out, key, _decoded(compile_field(schema, key), None))
    return {key: out[key] for key in schema.fields if key in out} if appended else out


def _list(schema: Schema, was: list[Any], now: list[Any]) -> list[Any]:
    """Elements are looked at beside those that had their places: any two objects of one type may share parts."""
    items = schema.items
    if items is None or items.kind != "struct":
        found: list[Any] = _decoded(compile_node(schema), now)
        return found
    out = []
    for index, item in enumerate(now):
        before = was[index] if index < len(was) else ABSENT
        if item is before:
            out.append(item)
        elif item.__class__ is dict and before.__class__ is dict:
            out.append(_struct(items, before, item))
        else:
            out.append(_decoded(compile_node(items), item))
    return out


def _decoded(node: Node, value: Any) -> Any:
    dropped: list[bool] = []
    decoded = node(value, dropped)
    if dropped:
        raise _Whole
    return decoded


def _set(out: Object, key: str, value: Any) -> None:
    if value is ABSENT:
        out.pop(key, None)
    else:
        out[key] = value
