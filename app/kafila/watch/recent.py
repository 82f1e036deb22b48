"""The newest history of all resources together: so many bytes of it stay in memory, what is older comes from the database."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol, final

from .entry import Event

DEFAULT_BYTES: Final = 32 << 20
SHARE: Final = 8  # one part in so many goes at once; as much of the newest keeps its encodings


class History(Protocol):
    """The events of one resource."""

    events: list[Event]

    def forget(self, count: int) -> None: ...


@final
class Recent:
    """Bounded by bytes in all, not by resource: what one resource does not need is another's."""

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self.limit = limit
        self.size = 0  # bytes of the events that are kept, those before and after each of them
        self._events: deque[History] = deque()  # whose the oldest is, and so on
        self._encoded: deque[Event] = deque()
        self._encoded_size = 0

    def add(self, resource: History, event: Event) -> None:
        """``event`` is the newest of the resource's."""
        size = event.size
        event.frames = {}
        self._events.append(resource)
        self._encoded.append(event)
        self.size += size
        self._encoded_size += size
        if self._encoded_size > self.limit // SHARE:
            self._forget_encodings()
        if self.size > self.limit:
            self._forget()

    def leave_out(self, resource: History) -> None:
        """Nothing that the resource has here is wanted any more."""
        if not resource.events:
            return
        self._events = deque(other for other in self._events if other is not resource)
        self.size -= sum(event.size for event in resource.events)
        resource.forget(len(resource.events))

    def _forget_encodings(self) -> None:
        """Only the newest events keep what watchers were sent: who is late has it encoded again."""
        while self._encoded_size > self.limit // SHARE:
            late = self._encoded.popleft()
            late.frames = None
            self._encoded_size -= late.size

    def _forget(self) -> None:
        gone: dict[History, int] = {}
        while self._events and self.size > self.limit - self.limit // SHARE:
            resource = self._events.popleft()
            count = gone.get(resource, 0)
            self.size -= resource.events[count].size
            gone[resource] = count + 1
        for resource, count in gone.items():
            resource.forget(count)
