"""Decoding of what was made of a decoded object: only what is another part than before is looked at."""

from __future__ import annotations

from typing import Any, Final

from kafila.core.values import Object

from .decode import DecodeError, compile_decoder, compile_node
from .scalars import Mismatch
from .schema import Schema

_ABSENT: Final = object()


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
    out, changed = was.copy(), {}
    for key, value in now.items():
        before = was.get(key, _ABSENT)
        if value is before:
            continue
        child = schema.fields.get(key)
        if child is None:
            raise _Whole
        if child.kind == "struct" and value.__class__ is dict and before.__class__ is dict:
            out[key] = _struct(child, before, value)
        else:
            changed[key] = value
    gone = [key for key in was if key not in now]
    if changed or gone:
        return _with(schema, out, changed, gone)
    return out


def _with(schema: Schema, out: Object, changed: Object, gone: list[str]) -> Object:
    dropped: list[bool] = []
    decoded: Any = compile_node(schema)(changed, dropped)
    if dropped:
        raise _Whole
    for key in (*changed, *gone):
        if key in decoded:
            out[key] = decoded[key]
        else:
            out.pop(key, None)
    return {key: out[key] for key in schema.fields if key in out}
