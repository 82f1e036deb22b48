"""A connection that was taken over for another protocol (WebSocket, SPDY): bytes both ways, of which nothing here knows what they mean."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast, final

from .joined_connections import JoinedConnection, Side

if TYPE_CHECKING:
    import aiohttp

    from .network import Answers

PROTOCOLS: Final = (b"websocket", b"spdy/3.1")  # what Kubernetes' streams speak; no other (h2c) is passed on
LAST_BYTES: Final = 5.0  # seconds for what was written last to leave
_PERIOD: Final = 0.05


@final
class Upgraded(JoinedConnection):
    """The connection behind an answer of status 101. Nothing is read from it before :meth:`join`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        connection = answer.connection
        if connection is None or connection.protocol is None or connection.transport is None:
            raise ConnectionError("the connection was lost")
        super().__init__()
        self._protocol = cast("Answers", connection.protocol)  # every connection of ours is one of these
        self._transport = connection.transport

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
        self._end()

    # -- what the other side calls; aiohttp's protocol knows whether it reads, and who took it over closes it -------

    def pause_reading(self) -> None:
        self._protocol.pause_reading()

    def resume_reading(self) -> None:
        self._protocol.resume_reading()

    def finish(self) -> None:
        self._end()

    async def flushed(self) -> None:
        """Returns when everything has left, or does not leave any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST_BYTES
        transport = self._transport
        while not transport.is_closing() and transport.get_write_buffer_size() and loop.time() < until:
            await asyncio.sleep(_PERIOD)
