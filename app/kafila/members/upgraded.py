"""A connection that was taken over for another protocol (WebSocket, SPDY): bytes both ways, of which nothing here knows what they mean."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol, final

import aiohttp

from .wire import Answers

PROTOCOLS: Final = (b"websocket", b"spdy/3.1")  # what Kubernetes' streams speak; no other (h2c) is passed on
LAST_BYTES: Final = 5.0  # seconds for what was written last to leave
_PERIOD: Final = 0.05


class Side(Protocol):
    """One of two connections that are joined: what arrives at one is written to the other."""

    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def finish(self) -> None:
        """Closes it after what is still to be written."""
        ...


@final
class Upgraded:
    """The connection behind an answer of status 101. Nothing is read from it before :meth:`join`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        connection = answer.connection
        if connection is None or connection.protocol is None or connection.transport is None:
            raise ConnectionError("the connection was lost")
        assert isinstance(connection.protocol, Answers)
        self._protocol = connection.protocol
        self._transport = connection.transport
        self._other: Side | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def join(self, other: Side) -> None:
        """What has come behind the answer's head is written to ``other`` at once."""
        self._other = other
        self._protocol.flow = self
        self._protocol.set_parser(self, None)

    # -- what aiohttp calls ----------------------------------------------------------------------------------------

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._other is not None and data:
            self._other.write(data)
        return False, b""

    def feed_eof(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.resume_reading()

    # -- what the other side calls ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        self._protocol.pause_reading()

    def resume_reading(self) -> None:
        self._protocol.resume_reading()

    def finish(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    async def flushed(self) -> None:
        """Returns when everything has left, or does not leave any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST_BYTES
        transport: Any = self._transport
        while not transport.is_closing() and transport.get_write_buffer_size() and loop.time() < until:
            await asyncio.sleep(_PERIOD)
