"""What has come over a tunnel's connection: so many pieces in one turn of the event loop, and so many a second of those that bring
no bytes to anybody. Pure.

A WebSocket's smallest frame has six bytes, and each costs some 10 µs, however little it says: what a connection hands over at once
may be more than 40,000 of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, final

from kafila.core.rates import TokenBucket

from .frames import ProtocolError
from .websocket import Event, WebSocket

AT_ONCE: Final = 256  # before others on the event loop have a turn
# Of pings, their answers, frames that are not DATA, and whatever comes of streams that have ended. A tunnel that moves 100 MiB/s
# grants windows 800 times a second, and one that is full has 1,000 streams to open and to end.
CONTROL_RATE: Final = 2000  # a second
CONTROL_BURST: Final = 20_000


@final
class Incoming:
    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._chunks: deque[bytes] = deque()
        self._events: Iterator[Event] = iter(())
        self._control = TokenBucket(CONTROL_RATE, CONTROL_BURST)
        self.is_through = True  # nothing is left

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self.is_through = False

    def turn(self) -> Iterator[Event]:
        """Of what has come no more than has its turn. Raises ProtocolError."""
        for _ in range(AT_ONCE):
            event = next(self._events, None)
            if event is not None:
                yield event
            elif self._chunks:
                self._events = self._websocket.received(self._chunks.popleft())
            else:
                self.is_through = True
                return

    def count_control(self, now: float) -> None:
        """Raises ProtocolError: there are too many."""
        if not self._control.take(now):
            raise ProtocolError(f"more than {CONTROL_RATE} control frames a second")

    def drop(self) -> None:
        """Nobody takes the rest."""
        self._chunks.clear()
        self._events = iter(())
        self.is_through = True
