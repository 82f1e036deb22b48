"""The newest history of all resources together: so many bytes of it stay in memory, what is older comes from the database."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from .cache import Resource
    from .entry import Event

DEFAULT_BYTES: Final = 32 << 20
SHARE: Final = 8  # one part in so many goes at once; as much of the newest keeps its encodings


@final
class Recent:
    """Bounded by bytes in all, not by resource: what one resource does not need is another's."""

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self.limit = limit
        self.size = 0  # bytes of the events that are kept, those before and after each of them
        self._events: deque[tuple[Resource, int]] = deque()  # whose they are and how big, oldest first
        self._encoded: deque[tuple[Event, int]] = deque()
        self._encoded_size = 0

    def add(self, resource: Resource, event: Event) -> None:
        size = event.size
        self._events.append((resource, size))
        self.size += size
        self._encode(event, size)
        if self.size > self.limit:
            self._forget()

    def _encode(self, event: Event, size: int) -> None:
        """Only the newest events keep what watchers were sent: who is late has it encoded again."""
        event.frames = {}
        self._encoded.append((event, size))
        self._encoded_size += size
        while self._encoded_size > self.limit // SHARE:
            late, size = self._encoded.popleft()
            late.frames = None
            self._encoded_size -= size

    def _forget(self) -> None:
        gone: dict[Resource, int] = {}
        while self._events and self.size > self.limit - self.limit // SHARE:
            resource, size = self._events.popleft()
            self.size -= size
            gone[resource] = gone.get(resource, 0) + 1
        for resource, count in gone.items():
            resource.forget(count)
