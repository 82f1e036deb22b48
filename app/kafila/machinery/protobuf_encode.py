"""From a plain dict to protobuf. What the message does not know is left out, as are nulls but those of times.

Fields are written in the order of the dict, which protobuf allows, and a key that is present is written even when its
value is zero: that is how optional fields keep an explicit zero.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from typing import Any

from kafila.machinery.protobuf_messages import Field, Message
from kafila.machinery.protobuf_scalars import Scalar
from kafila.machinery.protobuf_wire import FIXED64, LENGTH, VARINT, fail, tag_bytes, varint

_TEXT, _STRUCT, _MAP, _STRUCTS, _TEXTS, _INT, _BOOL, _VALUE, _VALUES, _INTS, _DOUBLE, _TIME = range(12)

# Content of a length-delimited value: (value, depth)
Writer = Callable[[Any, int], bytes | bytearray]
_SHORT = [bytes([n]) for n in range(128)]
_double = struct.Struct("<d").pack


def write_message(message: Message, obj: dict[str, Any], depth: int) -> bytearray:
    """Raises ProtobufError, or what Python raises for values of other types than the message's."""
    writers = message.writers
    if writers is None:
        writers = compile_writers(message)
    if depth < 0:
        fail("objects are nested too deeply")
    out = bytearray()
    for name, value in obj.items():
        found = writers.get(name)
        if found is None:
            continue
        kind, tag, arg = found
        if value is None:
            if kind == _TIME:  # Go always writes the message of a time that is none
                out += tag
                out += b"\0"
            continue
        if kind == _TEXT:
            content = value.encode()
        elif kind == _STRUCT:
            content = write_message(arg, value, depth - 1)
        elif kind == _MAP:
            for key, item in value.items():
                content = _entry(key, item, arg, depth)
                size = len(content)
                out += tag
                out += _SHORT[size] if size < 128 else varint(size)
                out += content
            continue
        elif kind == _STRUCTS:
            for item in value:
                content = write_message(arg, item or {}, depth - 1)
                size = len(content)
                out += tag
                out += _SHORT[size] if size < 128 else varint(size)
                out += content
            continue
        elif kind == _INT:
            out += tag
            out += varint(value)
            continue
        elif kind == _BOOL:
            out += tag
            out += b"\1" if value else b"\0"
            continue
        elif kind in (_VALUE, _TIME):
            content = arg(value, depth)
        elif kind in (_TEXTS, _VALUES):
            for item in value:
                content = item.encode() if kind == _TEXTS else arg(item, depth)
                out += tag
                out += varint(len(content))
                out += content
            continue
        elif kind == _INTS:
            for item in value:
                out += tag
                out += varint(item)
            continue
        else:
            out += tag
            out += _double(value)
            continue
        size = len(content)
        out += tag
        out += _SHORT[size] if size < 128 else varint(size)
        out += content
    for tag, child in message.inlined:
        content = write_message(child, obj, depth - 1)
        out += tag
        out += varint(len(content))
        out += content
    return out


def _entry(key: str, value: Any, write: Writer | None, depth: int) -> bytes:
    name = key.encode()
    content = value.encode() if write is None else b"" if value is None else write(value, depth)
    return b"".join((b"\x0a", varint(len(name)), name, b"\x12", varint(len(content)), content))


def compile_writers(message: Message) -> dict[str, tuple[int, bytes, Any]]:
    writers: dict[str, tuple[int, bytes, Any]] = {}
    inlined = []
    for field in message.fields():
        if not field.name and isinstance(field.type, Message):
            inlined.append((tag_bytes(field.number, LENGTH), field.type))
            continue
        kind, wire_type, arg = _operation(field)
        writers[field.name] = (kind, tag_bytes(field.number, wire_type), arg)
    message.inlined = tuple(inlined)
    message.writers = writers
    return writers


def _operation(field: Field) -> tuple[int, int, Any]:
    of, label = field.type, field.label
    if label == "{}":
        return _MAP, LENGTH, None if of == "s" else _value_writer(of)
    if of == "i" or of == "l":
        return (_INTS if label else _INT), VARINT, None
    if of == "s":
        return (_TEXTS if label else _TEXT), LENGTH, None
    if of == "b":
        return (_INTS if label else _BOOL), VARINT, None
    if of == "d":
        return _DOUBLE, FIXED64, None
    if isinstance(of, Message) and not of.union and not of.repeated:
        return (_STRUCTS if label else _STRUCT), LENGTH, of
    one = _TIME if isinstance(of, Scalar) and of.null_is_empty else _VALUE
    return (_VALUES if label else one), LENGTH, _value_writer(of)


def _value_writer(of: str | Scalar | Message) -> Writer:
    if isinstance(of, Scalar):
        write = of.write
        return lambda value, depth: write(value)
    if isinstance(of, Message):
        if of.union:
            wrap = of.union.wrap
            return lambda value, depth: write_message(of, wrap(value), depth - 1)
        if of.repeated:
            return lambda value, depth: write_message(of, {"": value}, depth - 1)
        return lambda value, depth: write_message(of, value, depth - 1)
    if of == "y":
        return lambda value, depth: binascii.a2b_base64(value, strict_mode=True)
    if of == "s":
        return lambda value, depth: value.encode()
    raise NotImplementedError(f"a list or map of {of!r}")  # no Kubernetes message has one
