"""The WebSocket that a tunnel goes over, after its handshake: bytes in, messages out. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .frames import MOST_MESSAGE, ProtocolError

VIOLATION: Final = 1002
UNSENDABLE: Final = (1005, 1006, 1015)  # stand for ends without a word
_LONGEST: Final = 123  # bytes of a reason
_SMALL: Final = 1024  # bytes: no proxy on the way cuts messages into smaller ones


class Message(NamedTuple):
    data: bytes


class Part(NamedTuple):
    """Of a message. ``is_crumb``: there was no need to cut it so small."""

    is_crumb: bool


class Pinged(NamedTuple):
    payload: bytes


class Ponged(NamedTuple):
    payload: bytes


class Closed(NamedTuple):
    code: int
    reason: str


Event = Message | Part | Pinged | Ponged | Closed


@final
class WebSocket:
    def __init__(self, client: bool) -> None:
        self._connection = Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)
        self._parts: list[bytes] = []
        self._size = 0

    def received(self, data: bytes) -> Iterator[Event]:
        """Raises ProtocolError."""
        if self._connection.state not in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            return  # what comes behind the end is nobody's
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                match event:
                    case BytesMessage():
                        yield from self._gathered(event)
                    case Ping():
                        yield Pinged(bytes(event.payload))
                    case Pong():
                        yield Ponged(bytes(event.payload))
                    case CloseConnection():
                        yield Closed(event.code, event.reason or "")
                        return
                    case _:
                        raise ProtocolError("a message that is not binary")
        except (RemoteProtocolError, LocalProtocolError) as error:
            raise ProtocolError(str(error) or "no WebSocket") from None

    def _gathered(self, event: BytesMessage) -> Iterator[Message | Part]:
        self._parts.append(bytes(event.data))
        self._size += len(event.data)
        if self._size > MOST_MESSAGE or len(self._parts) > MOST_MESSAGE:
            raise ProtocolError(f"a message of more than {MOST_MESSAGE} bytes")
        if event.message_finished:
            message = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            yield Message(message)
        else:
            yield Part(event.frame_finished and len(event.data) < _SMALL)

    def message(self, data: bytes) -> bytes:
        return self._connection.send(BytesMessage(data=data))

    def ping(self, payload: bytes) -> bytes:
        return self._connection.send(Ping(payload=payload))

    def pong(self, payload: bytes) -> bytes:
        return self._connection.send(Pong(payload=payload))

    def close(self, code: int, reason: str) -> bytes:
        """b"" where it is closed already."""
        if self._connection.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return b""
        short = reason.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
        return self._connection.send(CloseConnection(code=code, reason=short))
