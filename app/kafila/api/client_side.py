"""A client's connection once its HTTP is over: what arrives goes to another connection, and what is written there comes back."""

from __future__ import annotations

import asyncio
from typing import final

from kafila.members.joined_connections import JoinedConnection, Side


@final
class ClientSide(JoinedConnection, asyncio.Protocol):
    """The connection of a client, once its HTTP is over. ``before``: what it was, and is told that it is lost."""

    def __init__(self, before: asyncio.Protocol, transport: asyncio.Transport, early: bytes) -> None:
        super().__init__()
        self._before = before
        self._transport = transport
        self._early = early  # what came behind the request
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

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._before.connection_lost(exc)
