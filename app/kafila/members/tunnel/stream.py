"""One stream of a tunnel: its window, and whom it is joined with.

Of what it was sent and could not pass on there are never more than WINDOW bytes here; of what it has to send, what its source wrote
at once.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, final

from kafila.members.joined_connections import Side

from .frames import MOST_DATA, WINDOW, Frame, Kind, ProtocolError, window

LINGER: Final = 30.0  # seconds for what was said last to leave


class TunnelError(ConnectionError):
    """Why a stream was not opened."""


class Carrier(Protocol):
    """The tunnel, as its streams see it."""

    def send(self, frame: Frame) -> None:
        """At once, before the data of others."""
        ...

    def send_of(self, stream: Stream) -> None:
        """What it has to say, in its turn."""
        ...

    def send_close(self, stream: Stream, reason: str) -> None: ...


@final
class Stream:
    """A connection to the member's API server. What is written to it goes there; what comes from there is written to whom it was
    joined with."""

    def __init__(self, tunnel: Carrier, number: int) -> None:
        self.number = number
        self.reason = ""  # why it ended, as far as the other end has said so
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tunnel = tunnel
        self._other: Side | None = None
        self._early: list[bytes] = []  # what came before anybody was joined
        self._pending = bytearray()  # what is to be sent
        self._may_send = WINDOW
        self._may_come = WINDOW
        self._passed_on = 0  # bytes that the other end does not know to be through
        self.queued = False  # among those whose turn comes
        self._other_is_full = self._finishing = False
        self._source_waits = False  # it was told to

    def join(self, other: Side) -> None:
        self._other = other
        early, self._early = self._early, []
        for piece in early:
            self._deliver(piece)

    # -- what its source calls -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.ended.done() or self._finishing or not data:
            return
        self._pending += data
        self._tunnel.send_of(self)
        if self._pending and self._other is not None and not self._source_waits:
            self._source_waits = True
            self._other.pause_reading()

    def pause_reading(self) -> None:
        self._other_is_full = True

    def resume_reading(self) -> None:
        self._other_is_full = False
        self._grant()

    def finish(self) -> None:
        """Ends it, once everything has left."""
        if self.ended.done() or self._finishing:
            return
        self._finishing = True
        self._other = None
        asyncio.get_running_loop().call_later(LINGER, self.abort)
        self._tunnel.send_of(self)

    def abort(self, reason: str = "") -> None:
        """Ends it at once."""
        if not self.ended.done():
            self._pending.clear()
            self._tunnel.send_close(self, reason)

    def accept(self) -> None:
        """The agent has dialled."""
        if not self.ended.done():
            self._tunnel.send(Frame(Kind.OPENED, self.number))

    # -- what the tunnel calls -------------------------------------------------------------------------------------

    def take(self) -> bytes:
        """What it may send in its turn."""
        size = min(len(self._pending), MOST_DATA, self._may_send)
        data = bytes(self._pending[:size])
        del self._pending[:size]
        self._may_send -= size
        if self._source_waits and not self._pending and self._other is not None:
            self._source_waits = False
            self._other.resume_reading()
        return data

    @property
    def waits_for_turn(self) -> bool:
        return bool(self._pending) and self._may_send > 0

    @property
    def is_through(self) -> bool:
        """It ends, and has said all."""
        return self._finishing and not self._pending

    def came(self, data: bytes) -> None:
        """Raises ProtocolError."""
        self._may_come -= len(data)
        if self._may_come < 0:
            raise ProtocolError("more bytes than a stream's window")
        if self._finishing:
            self._passed_on += len(data)  # nobody hears it
            self._grant()
        elif self._other is None:
            self._early.append(data)
        else:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        assert self._other is not None
        self._passed_on += len(data)
        self._other.write(data)
        self._grant()

    def _grant(self) -> None:
        if self._passed_on >= WINDOW // 2 and not self._other_is_full and not self.ended.done():
            count, self._passed_on = self._passed_on, 0
            self._may_come += count
            self._tunnel.send(window(self.number, count))

    def granted(self, count: int) -> None:
        """Raises ProtocolError."""
        self._may_send += count
        if self._may_send > WINDOW:
            raise ProtocolError("a window that is larger than it may be")
        self._tunnel.send_of(self)

    def end(self, reason: str) -> None:
        if self.ended.done():
            return
        self.reason = reason
        self._pending.clear()
        self.ended.set_result(None)
        if not self.opened.done():
            self.opened.set_exception(TunnelError(reason or "the stream was closed"))
            self.opened.exception()  # somebody may have left who wanted to know
