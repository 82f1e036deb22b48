"""The ends of a stream: a socket that somebody uses as if it led to the member's API server, and the connection that really does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, final

from kafila.members.upgraded import Side

_RUNNING: Final[set[asyncio.Task[None]]] = set()


class Joinable(Side, Protocol):
    """``ended``: done when nothing more comes from it."""

    @property
    def ended(self) -> asyncio.Future[Any]: ...

    def join(self, other: Side) -> None: ...


@final
class SocketEnd(asyncio.Protocol):
    """A connected socket."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._other: Side | None = None
        self._early: list[bytes] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.pause_reading()

    def join(self, other: Side) -> None:
        self._other = other
        self.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.write(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.resume_reading()

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def pause_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def finish(self) -> None:
        self.transport.close()


async def bridged(one: Joinable, other: Joinable) -> None:
    """Until one of them ends; the other then gets what is still under way."""
    one.join(other)
    other.join(one)
    try:
        await asyncio.wait((one.ended, other.ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        one.finish()
        other.finish()


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
