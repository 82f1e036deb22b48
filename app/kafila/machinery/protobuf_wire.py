"""The protobuf wire format below messages: varints, tags, length-delimited parts, skipping what is not known.

Readers take the whole body and a position and do not check every index: a body that ends too early shows as IndexError,
which the outermost caller turns into :class:`ProtobufError`, and every length is checked against the enclosing part.
"""

from __future__ import annotations

from typing import NoReturn

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 (groups) are not used by any Kubernetes message
MAX_DEPTH = 100  # messages inside messages; the deepest built-in kinds (CRD schemas) reach about 30


class ProtobufError(ValueError):
    """The body is no valid protobuf of the message, or the object cannot be written as one."""


def fail(why: str) -> NoReturn:
    raise ProtobufError(why)


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """An unsigned 64 bit varint and the position after it."""
    value = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, pos
        shift += 7
        if shift > 63:
            fail("varint is longer than 64 bits")


def read_length(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Start and end of a length-delimited part whose length stands at ``pos``."""
    size, pos = read_varint(data, pos)
    stop = pos + size
    if stop > end:
        fail("a part is longer than what contains it")
    return pos, stop


def skip(data: bytes, pos: int, end: int, tag: int) -> int:
    """The position after the value of an unknown field."""
    wire_type = tag & 7
    if tag < 8:
        fail("field number 0")
    if wire_type == LENGTH:
        return read_length(data, pos, end)[1]
    if wire_type == VARINT:
        return read_varint(data, pos)[1]
    if wire_type == FIXED64:
        return pos + 8
    if wire_type == FIXED32:
        return pos + 4
    fail(f"wire type {wire_type} is not supported")


def scan(data: bytes, pos: int, end: int) -> dict[int, int | bytes]:
    """Every field of a small message by number, the last one wins; fixed-width fields are left out."""
    found: dict[int, int | bytes] = {}
    while pos < end:
        tag, pos = read_varint(data, pos)
        if tag & 7 == LENGTH:
            start, pos = read_length(data, pos, end)
            found[tag >> 3] = data[start:pos]
        elif tag & 7 == VARINT:
            found[tag >> 3], pos = read_varint(data, pos)
        else:
            pos = skip(data, pos, end, tag)
    if pos != end:
        fail("a field is longer than what contains it")
    return found


def signed(value: int, bits: int) -> int:
    """The two's complement number in the lowest ``bits`` of an unsigned varint."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def varint(value: int) -> bytes:
    """Encodes an integer; negative ones as 64 bit two's complement, ten bytes long."""
    if 0 <= value < 128:
        return _ONE_BYTE[value]
    if not -(1 << 63) <= value < 1 << 64:
        fail(f"{value} does not fit into 64 bits")
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_ONE_BYTE = [bytes([n]) for n in range(128)]


def tag_bytes(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def bytes_field(number: int, content: bytes) -> bytes:
    return part(tag_bytes(number, LENGTH), content)


def text_field(number: int, text: str | None) -> bytes:
    """Nothing for an empty text, as proto3 writes it."""
    return bytes_field(number, text.encode()) if text else b""


def varint_field(number: int, value: int) -> bytes:
    return tag_bytes(number, VARINT) + varint(value)


def part(tag: bytes, content: bytes | bytearray) -> bytes:
    """A length-delimited field."""
    return b"".join((tag, varint(len(content)), content))
