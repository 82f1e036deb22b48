"""What goes over a tunnel: binary WebSocket messages, each a frame of one stream. Pure.

======== ============================================== =====================================================
OPEN     nothing                                        control plane: dial the member's API server
OPENED   nothing                                        agent: it has answered
DATA     1 to MOST_DATA bytes                           either
WINDOW   four bytes: a count                            either: so many bytes more may be sent
CLOSE    why, UTF-8 of at most MOST_REASON bytes        either: nothing comes after it, either way
======== ============================================== =====================================================

A stream's number is used once; the control plane counts them up from 1.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

PROTOCOL: Final = "v1.tunnel.kafila.io"  # as a WebSocket's subprotocol
MOST_DATA: Final = 16 << 10  # bytes of one frame: what one stream may send before another has its turn
MOST_REASON: Final = 512
WINDOW: Final = 256 << 10  # bytes of one stream that are sent before the other side has passed them on
MOST_STREAMS: Final = 1000  # of one tunnel at a time
_HEAD: Final = struct.Struct("!BI")
_COUNT: Final = struct.Struct("!I")
MOST_MESSAGE: Final = _HEAD.size + MOST_DATA
# why its WebSocket ends
GOING_AWAY: Final = 1001
REPLACED: Final = 4001  # another connection of this cluster's agent came after it


class ProtocolError(Exception):
    """What the other side sent is none of this. The tunnel ends."""


class Kind(IntEnum):
    OPEN = 1
    OPENED = 2
    DATA = 3
    WINDOW = 4
    CLOSE = 5


class Frame(NamedTuple):
    kind: Kind
    stream: int
    payload: bytes = b""

    @property
    def granted(self) -> int:
        """Of a WINDOW."""
        return int(_COUNT.unpack(self.payload)[0])

    @property
    def reason(self) -> str:
        """Of a CLOSE."""
        return self.payload.decode("utf-8", "replace")


def encode(frame: Frame) -> bytes:
    return _HEAD.pack(frame.kind, frame.stream) + frame.payload


def window(stream: int, count: int) -> Frame:
    return Frame(Kind.WINDOW, stream, _COUNT.pack(count))


def close(stream: int, reason: str = "") -> Frame:
    return Frame(Kind.CLOSE, stream, reason.encode("utf-8", "replace")[:MOST_REASON])


def decode(message: bytes) -> Frame:
    """Raises ProtocolError."""
    if len(message) < _HEAD.size:
        raise ProtocolError("a frame without a head")
    number, stream = _HEAD.unpack_from(message)
    try:
        kind = Kind(number)
    except ValueError:
        raise ProtocolError(f"a frame of kind {number}") from None
    frame = Frame(kind, stream, bytes(message[_HEAD.size :]))
    if not stream:
        raise ProtocolError("a frame of stream 0")
    if not _fits(frame):
        raise ProtocolError(f"a frame {kind.name} of {len(frame.payload)} bytes")
    return frame


def _fits(frame: Frame) -> bool:
    size = len(frame.payload)
    match frame.kind:
        case Kind.DATA:
            return 0 < size <= MOST_DATA
        case Kind.WINDOW:
            return size == _COUNT.size and 0 < frame.granted <= WINDOW
        case Kind.CLOSE:
            return size <= MOST_REASON
        case _:
            return not size
