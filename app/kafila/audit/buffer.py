"""What waits for a backend: bounded, filled without waiting by the event loop, emptied by a thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, final

from .events import Event

MOST_EVENTS: Final = 10_000
MOST_BYTES: Final = 64 << 20


@final
class Buffer:
    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, event: Event) -> bool:
        """False when there is no room, or nobody who writes any more."""
        size = event.size
        with self._changed:
            full = len(self._waiting) >= self._most_events or (
                size and self._bytes and self._bytes + size > self._most_bytes
            )
            if full or self._closed:
                return False
            self._waiting.append(event)
            self._bytes += size
            self._changed.notify()
        return True

    def take(self, most: int, wait: float) -> list[Event]:
        """Up to ``most`` events, for which it waits so many seconds after the first; none when it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            until = time.monotonic() + wait
            self._changed.wait_for(
                lambda: len(self._waiting) >= most or self._closed, max(until - time.monotonic(), 0.0)
            )
            taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._bytes -= sum(event.size for event in taken)
        return taken

    def close(self) -> None:
        """What waits is still taken; nothing more is let in."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)
