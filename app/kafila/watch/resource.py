"""The objects of one resource and its newest events."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import final

from sortedcontainers import SortedDict

from kafila.store.interface import Row, Unreadable

from .entry import Entry, Event, at_revision
from .recent import Recent
from .waiters import Waiters

CHUNK = 200  # objects that can be read without keeping the event loop from others for long


Listener = Callable[[Event], None]


def path_of(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


@final
class Resource:
    """All objects of one resource, sorted as Kubernetes lists them, and the newest events."""

    __slots__ = ("_recent", "changed", "dropped", "events", "listeners", "name", "objects", "unreadable", "waiters")

    def __init__(self, name: str, revision: int, recent: Recent) -> None:
        self.name = name
        self._recent = recent
        self.objects: SortedDict = SortedDict()
        self.unreadable: dict[str, Unreadable] = {}  # by path: they are there, but in no list
        self.events: list[Event] = []
        self.dropped = revision  # every event with a higher revision is in ``events``
        self.changed = revision  # revision of the last change
        self.waiters = Waiters()
        self.listeners: list[Listener] = []

    def get(self, namespace: str, name: str) -> Entry | None:
        return self.objects.get(f"{namespace}/{name}" if namespace else name)  # ``path_of``, for every request

    def entries(self, namespace: str = "", after: str | None = None) -> Iterator[Entry]:
        """Entries in order, of one namespace when given, behind the path ``after`` when given."""
        low = f"{namespace}/" if namespace else None
        high = f"{namespace}0" if namespace else None  # "0" is the character after "/"
        if after is not None and (low is None or after >= low):
            keys = self.objects.irange(after, high, (False, False))
        else:
            keys = self.objects.irange(low, high, (False, False))
        objects = self.objects
        for key in keys:
            yield objects[key]

    def chunks(self, namespace: str = "") -> Iterator[list[Entry]]:
        """All entries in order, of one namespace when given. Between two chunks others may write: what is behind is seen as it is by then."""
        after: str | None = None
        while chunk := list(islice(self.entries(namespace, after), CHUNK)):
            yield chunk
            after = path_of(chunk[-1].key.namespace, chunk[-1].key.name)

    def put(self, row: Row) -> Event:
        path = path_of(row.key.namespace, row.key.name)
        old = self.objects.get(path)
        if self.unreadable:
            self.unreadable.pop(path, None)
        entry = Entry(row.key, row.revision, row.body)
        if row.deleted:
            self.objects.pop(path, None)
            event = Event(row.revision, old, None, entry)
        else:
            self.objects[path] = entry
            event = Event(row.revision, old, entry, None)
        self.keep(event)
        return event

    def put_unreadable(self, row: Row, body: Unreadable) -> Event | None:
        """A row whose body cannot be read. What it says is known all the same when it is a deletion: then as :meth:`put`.

        Else nobody hears of it: it is no deletion, and what it is now nobody knows. Who watches has to list again."""
        path = path_of(row.key.namespace, row.key.name)
        old = self.objects.pop(path, None)
        if row.deleted:
            self.unreadable.pop(path, None)
            if old is not None:
                event = Event(row.revision, old, None, at_revision(old, row.revision))
                self.keep(event)
                return event
        else:
            self.unreadable[path] = body
        self._recent.leave_out(self)
        self.dropped = self.changed = row.revision
        return None

    def keep(self, event: Event) -> None:
        self.events.append(event)
        self.changed = event.revision
        self._recent.add(self, event)

    def forget(self, count: int) -> None:
        """The oldest events are in memory no more."""
        self.dropped = max(self.dropped, self.events[count - 1].revision)
        del self.events[:count]

    def events_after(self, revision: int) -> list[Event] | None:
        """Events with a higher revision, None when memory does not reach back that far."""
        if revision < self.dropped:
            return None
        events = self.events
        if not events or events[-1].revision <= revision:
            return []
        return events[bisect_right(events, revision, key=_revision_of) :]

    def at(self, revision: int) -> SortedDict | None:
        """The objects as they were at ``revision``, None when memory does not reach back that far."""
        if revision >= self.changed:
            return self.objects
        events = self.events_after(revision)
        if events is None:
            return None
        objects = self.objects.copy()
        for event in reversed(events):
            path = path_of(event.key.namespace, event.key.name)
            if event.old is None:
                objects.pop(path, None)
            else:
                objects[path] = event.old
        return objects


def _revision_of(event: Event) -> int:
    return event.revision
