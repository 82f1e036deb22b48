"""A socket that somebody uses as if it led to the member's API server, and the connection that really does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final, final

from kafila.members.joined_connections import Joinable, JoinedConnection, Side, bridged

_RUNNING: Final[set[asyncio.Task[None]]] = set()


@final
class SocketEnd(JoinedConnection, asyncio.Protocol):
    """A connected socket. Nothing is read from it before :meth:`join`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's classes
        self._transport.pause_reading()

    def join(self, other: Side) -> None:
        self._other = other
        self.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()


async def socket_to(far: Joinable, afterwards: Callable[[], Awaitable[None]] | None = None) -> socket.socket:
    """A socket that leads there, as long as ``far`` lasts. ``afterwards``: what is done when it is over."""
    ours, theirs = socket.socketpair()
    try:
        ours.setblocking(False)
        theirs.setblocking(False)
        _, end = await asyncio.get_running_loop().create_unix_connection(SocketEnd, sock=ours)
    except BaseException:
        ours.close()
        theirs.close()
        far.finish()
        raise

    async def serve() -> None:
        try:
            await bridged(end, far)
        finally:
            if afterwards is not None:
                await afterwards()

    task = asyncio.get_running_loop().create_task(serve())
    _RUNNING.add(task)
    task.add_done_callback(_RUNNING.discard)
    return theirs
