"""A client's connection once its HTTP is over: what arrives goes to another connection, and what is written there comes back."""

from __future__ import annotations

import asyncio
from typing import final

from kafila.members.upgraded import Side


@final
class ClientSide(asyncio.Protocol):
    """The connection of a client, once its HTTP is over. ``before``: what it was, and is told that it is lost."""

    def __init__(self, before: asyncio.Protocol, transport: asyncio.Transport, early: bytes) -> None:
        self._before = before
        self._transport = transport
        self._early = early  # what came behind the request
        self._other: Side | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        transport.set_protocol(self)

    def join(self, other: Side) -> None:
        self._other = other
        if self._early:
            other.write(self._early)
            self._early = b""

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early += data
            self._transport.pause_reading()
        else:
            self._other.write(data)

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._before.connection_lost(exc)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def finish(self) -> None:
        self._transport.close()
