"""Decoding of what was made of a decoded object: only what is another part than before is looked at."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

from . import typed
from .compare import compile_item_key
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


def merged_decoded(schema: Schema, live: Object, config: Object) -> Object | None:
    """What decoding makes of ``typed.merge(schema, live, config)``: only what ``config`` has is looked at. ``live`` is decoded, and
    shares with it what stays. None as for ``redecoded``. Raises ElementError.
    """
    compile_decoder(schema)
    try:
        return _merged(schema, live, config)
    except (_Whole, Mismatch, DecodeError):
        return None


def _merged(schema: Schema, live: Object, config: Object) -> Object:
    if schema.preserve_unknown:
        raise _Whole
    out, appended = live.copy(), False
    for key, item in config.items():
        before = live.get(key, ABSENT)
        if item.__class__ is str and item == before:
            continue
        child = schema.fields.get(key)
        if child is None:
            raise _Whole
        if child.kind == "struct" and not child.atomic and item.__class__ is dict and before.__class__ is dict:
            out[key] = _merged(child, before, item)
        elif child.kind == "list" and item and item.__class__ is list and before.__class__ is list:
            out[key] = _merged_list(child, before, item)
        else:
            merged = typed.merge(child, typed.ABSENT if before is ABSENT else before, item, share=True)
            _set(out, key, _decoded(compile_field(schema, key), merged))
            appended = appended or before is ABSENT
    return {key: out[key] for key in schema.fields if key in out} if appended else out


def _merged_list(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    items = schema.items
    mergeable = items is not None and items.kind == "struct" and not items.atomic and schema.list_type == "map"
    if items is not None and mergeable and len(live) == len(config):
        key_of = compile_item_key(schema)
        elements = list(map(key_of, live))
        if elements == list(map(key_of, config)) and len(set(elements)) == len(elements):
            return [_merged(items, before, item) for before, item in zip(live, config, strict=True)]
    return _list(schema, live, typed.merge(schema, live, config, share=True))


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
