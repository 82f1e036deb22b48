"""Kubernetes' protobuf bodies (``application/vnd.kubernetes.protobuf``): envelope, codecs of kinds, watch frames.

A body is the magic bytes and a ``runtime.Unknown`` that names apiVersion and kind and holds the object's own message.
Watch streams carry ``WatchEvent`` messages, each after its length, with such a body inside and no magic of their own.
"""

from __future__ import annotations

from struct import error as StructError
from typing import Any

from kafila.machinery.protobuf_decode import read_message
from kafila.machinery.protobuf_encode import write_message
from kafila.machinery.protobuf_messages import Message, MessageTable
from kafila.machinery.protobuf_wire import MAX_DEPTH, ProtobufError, fail, part, scan

__all__ = [
    "MAGIC",
    "MEDIA_TYPE",
    "WATCH_MEDIA_TYPE",
    "Codec",
    "MessageTable",
    "ProtobufError",
    "decode_envelope",
    "envelope",
    "watch_frame",
]

MAGIC = b"k8s\x00"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
WATCH_MEDIA_TYPE = MEDIA_TYPE + ";stream=watch"

# What reading and writing values of a wrong shape raises; everything else is a bug and passes.
_MALFORMED = (IndexError, TypeError, ValueError, AttributeError, KeyError, OverflowError, StructError)


class Codec:
    """Objects of one kind as protobuf. ``raw`` is the message without the envelope."""

    __slots__ = ("api_version", "kind", "message")

    def __init__(self, message: Message, api_version: str, kind: str) -> None:
        self.message = message
        self.api_version = api_version
        self.kind = kind

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The object with kind and apiVersion. Raises ProtobufError."""
        out: dict[str, Any] = {"kind": self.kind, "apiVersion": self.api_version}
        try:
            return read_message(self.message, raw, 0, len(raw), out, MAX_DEPTH)
        except ProtobufError:
            raise
        except _MALFORMED as error:
            raise ProtobufError(f"{self.message.name}: the body is truncated or malformed ({error})") from None

    def encode(self, obj: dict[str, Any]) -> bytes:
        """Kind and apiVersion of ``obj`` are ignored. Raises ProtobufError when a value has the wrong type."""
        try:
            return bytes(write_message(self.message, obj, MAX_DEPTH))
        except ProtobufError:
            raise
        except _MALFORMED as error:
            raise ProtobufError(f"{self.message.name} cannot be written: {error}") from None

    def envelope(self, raw: bytes) -> bytes:
        return envelope(self.api_version, self.kind, raw)

    def __repr__(self) -> str:
        return f"<Codec {self.api_version} {self.kind}>"


def decode_envelope(data: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind (both may be empty) and the message of a body. Raises ProtobufError."""
    if data[:4] != MAGIC:
        fail("the body does not begin with the magic bytes of Kubernetes' protobuf")
    try:
        unknown = scan(data, len(MAGIC), len(data))
        type_meta = _part(unknown.get(1, b""))
        named = scan(type_meta, 0, len(type_meta))
        api_version, kind = (_part(named.get(number, b"")).decode() for number in (1, 2))
    except (IndexError, UnicodeDecodeError):
        raise ProtobufError("the envelope is truncated or malformed") from None
    if unknown.get(3):
        fail("a content encoding is not supported")
    return api_version, kind, _part(unknown.get(2, b""))


def _part(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else fail("the envelope has the wrong wire type")


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    """A body around an encoded object."""
    type_meta = part(b"\x0a", api_version.encode()) + part(b"\x12", kind.encode())
    return b"".join((MAGIC, part(b"\x0a", type_meta), part(b"\x12", raw), b"\x1a\x00\x22\x00"))


def watch_frame(event: str, body: bytes) -> bytes:
    """One event of a watch stream: ``event`` is ADDED, MODIFIED …, ``body`` an object in its envelope."""
    message = part(b"\x0a", event.encode()) + part(b"\x12", part(b"\x0a", body))
    return len(message).to_bytes(4, "big") + message
