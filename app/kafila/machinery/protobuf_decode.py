"""From protobuf to the plain dict that Go would give for the same object.

One loop reads every message; what to do with a field is looked up by its tag (number and wire type together). Measured
against google.protobuf with dynamic descriptors: walking its message objects costs more than reading the bytes here,
because inlined structs, quantities and times need Python code per field anyway.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from kafila.machinery.protobuf_messages import Field, Message
from kafila.machinery.protobuf_scalars import Scalar, text
from kafila.machinery.protobuf_wire import FIXED64, LENGTH, VARINT, fail, read_varint, signed, skip

# What a tag asks for. Up to _LAST_PART the value is length-delimited.
(
    _TEXT_DROP_ZERO,
    _TEXT,
    _STRUCT,
    _MAP,
    _STRUCTS,
    _TEXTS,
    _INLINE,
    _VALUE,
    _VALUE_DROP_ZERO,
    _VALUES,
    _PACKED,
) = range(11)
_LAST_PART = _PACKED
_BOOL_DROP_ZERO, _BOOL, _INT_DROP_ZERO, _INT, _INTS, _DOUBLE = range(11, 17)

# Reads a length-delimited value: (data, start, end, depth)
Reader = Callable[[bytes, int, int, int], Any]
_double = struct.Struct("<d").unpack_from


def read_message(message: Message, data: bytes, pos: int, end: int, out: dict[str, Any], depth: int) -> dict[str, Any]:
    """Adds the fields between ``pos`` and ``end`` to ``out`` and returns it.

    ``depth`` is how many messages may still stand inside. Raises ProtobufError, or IndexError when ``data`` ends early.
    """
    readers = message.readers
    if readers is None:
        readers = compile_readers(message)
    if depth < 0:
        fail("messages are nested too deeply")
    while pos < end:
        tag = data[pos]
        pos += 1
        if tag > 127:  # field number 16 or higher
            tag, pos = read_varint(data, pos - 1)
        found = readers.get(tag)
        if found is None:
            if tag >> 3 in message.numbers:
                fail(f"{message.name}: field {tag >> 3} has the wrong wire type {tag & 7}")
            pos = skip(data, pos, end, tag)
            continue
        kind, name, arg = found
        if kind <= _LAST_PART:
            stop = data[pos]
            pos += 1
            if stop > 127:
                stop, pos = read_varint(data, pos - 1)
            stop += pos
            if stop > end:
                fail(f"{message.name}: field {tag >> 3} is longer than what contains it")
            if kind == _TEXT_DROP_ZERO:
                if stop > pos:
                    out[name] = data[pos:stop].decode("utf-8", "replace")
            elif kind == _TEXT:
                out[name] = data[pos:stop].decode("utf-8", "replace")
            elif kind == _STRUCT:
                # a field that comes twice is merged
                out[name] = read_message(arg, data, pos, stop, out.get(name) or {}, depth - 1)
            elif kind == _MAP:
                key, value = _read_entry(data, pos, stop, arg, depth)
                if name in out:
                    out[name][key] = value
                else:
                    out[name] = {key: value}
            elif kind == _STRUCTS:
                value = read_message(arg, data, pos, stop, {}, depth - 1)
                if name in out:
                    out[name].append(value)
                else:
                    out[name] = [value]
            elif kind == _TEXTS:
                value = data[pos:stop].decode("utf-8", "replace")
                if name in out:
                    out[name].append(value)
                else:
                    out[name] = [value]
            elif kind == _INLINE:
                read_message(arg, data, pos, stop, out, depth - 1)
            elif kind == _VALUE:
                out[name] = arg(data, pos, stop, depth)
            elif kind == _VALUE_DROP_ZERO:
                value = arg(data, pos, stop, depth)
                if value:
                    out[name] = value
            elif kind == _VALUES:
                out.setdefault(name, []).append(arg(data, pos, stop, depth))
            else:
                _read_packed(data, pos, stop, arg, out.setdefault(name, []))
            pos = stop
        elif kind == _DOUBLE:
            out[name] = _number(_double(data, pos)[0])
            pos += 8
        else:
            value = data[pos]
            pos += 1
            if value > 127:
                value, pos = read_varint(data, pos - 1)
            if kind <= _BOOL:
                if value or kind == _BOOL:
                    out[name] = value != 0
            elif kind == _INTS:
                out.setdefault(name, []).append(arg(value))
            elif value or kind == _INT:
                out[name] = value if value < 128 else signed(value, arg)
    if pos != end:
        fail(f"{message.name} ends in the middle of a field")
    return out


def _read_entry(data: bytes, pos: int, end: int, read: Reader | None, depth: int) -> tuple[str, Any]:
    """Key and value of a map's entry; without ``read`` the value is a string."""
    key, start, stop = "", end, end
    while pos < end:
        tag = data[pos]
        pos += 1
        if tag != 0x0A and tag != 0x12:
            if tag >> 3 in (1, 2):
                fail("an entry of a map has the wrong wire type")
            tag, pos = read_varint(data, pos - 1)
            pos = skip(data, pos, end, tag)
            continue
        size = data[pos]
        pos += 1
        if size > 127:
            size, pos = read_varint(data, pos - 1)
        size += pos
        if size > end:
            fail("an entry of a map is longer than the map")
        if tag == 0x0A:
            key = data[pos:size].decode("utf-8", "replace")
        else:
            start, stop = pos, size
        pos = size
    if pos != end:
        fail("an entry of a map ends in the middle of a field")
    return key, data[start:stop].decode("utf-8", "replace") if read is None else read(data, start, stop, depth)


def _read_packed(data: bytes, pos: int, end: int, convert: Callable[[int], int], out: list[int]) -> None:
    while pos < end:
        value, pos = read_varint(data, pos)
        out.append(convert(value))
    if pos != end:
        fail("packed numbers end in the middle of one")


def _number(value: float) -> int | float:
    """Go writes whole numbers without a fraction."""
    if value.is_integer() and abs(value) < 1e21:
        return int(value)
    if value - value != 0:
        fail("a number is not finite")
    return value


def compile_readers(message: Message) -> dict[int, tuple[int, str, Any]]:
    readers: dict[int, tuple[int, str, Any]] = {}
    fields = message.fields()
    for field in fields:
        for wire_type, kind, arg in _operations(field):
            readers[field.number << 3 | wire_type] = (kind, field.name, arg)
    message.numbers = frozenset(field.number for field in fields)
    message.readers = readers
    return readers


def _operations(field: Field) -> list[tuple[int, int, Any]]:
    """Wire type, kind and argument of what may come for a field."""
    of, zero = field.type, field.drop_zero
    if field.label == "{}":
        return [(LENGTH, _MAP, None if of == "s" else _value_reader(of))]
    if of == "i" or of == "l":
        bits = 32 if of == "i" else 64
        if not field.label:
            return [(VARINT, _INT_DROP_ZERO if zero else _INT, bits)]
        convert = partial(signed, bits=bits)
        return [(VARINT, _INTS, convert), (LENGTH, _PACKED, convert)]
    if field.label:
        if of == "b":
            return [(VARINT, _INTS, bool), (LENGTH, _PACKED, bool)]
        if of == "s":
            return [(LENGTH, _TEXTS, None)]
        if _plain(of):
            return [(LENGTH, _STRUCTS, of)]
        return [(LENGTH, _VALUES, _value_reader(of))]
    if of == "s":
        return [(LENGTH, _TEXT_DROP_ZERO if zero else _TEXT, None)]
    if of == "b":
        return [(VARINT, _BOOL_DROP_ZERO if zero else _BOOL, None)]
    if of == "d":
        return [(FIXED64, _DOUBLE, None)]
    if _plain(of) and not zero:
        return [(LENGTH, _STRUCT if field.name else _INLINE, of)]
    return [(LENGTH, _VALUE_DROP_ZERO if zero else _VALUE, _value_reader(of))]


def _plain(of: str | Scalar | Message) -> bool:
    """Is it a message whose JSON form is an object with its fields?"""
    return isinstance(of, Message) and not of.union and not of.repeated


def _value_reader(of: str | Scalar | Message) -> Reader:
    if isinstance(of, Scalar):
        read = of.read
        return lambda data, start, end, depth: read(data, start, end)
    if isinstance(of, Message):
        if of.union:
            unwrap = of.union.unwrap
            return lambda data, start, end, depth: unwrap(read_message(of, data, start, end, {}, depth - 1))
        if of.repeated:
            return lambda data, start, end, depth: read_message(of, data, start, end, {"": []}, depth - 1)[""]
        return lambda data, start, end, depth: read_message(of, data, start, end, {}, depth - 1)
    if of == "y":
        return lambda data, start, end, depth: binascii.b2a_base64(data[start:end], newline=False).decode()
    if of == "s":
        return lambda data, start, end, depth: text(data[start:end])
    raise NotImplementedError(f"a list or map of {of!r}")  # no Kubernetes message has one
