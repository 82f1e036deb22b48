"""Events of the store in memory: the same promises as :mod:`.events`, for units and simulated members."""

from __future__ import annotations

import bisect
import time
from typing import NamedTuple, final

from .interface import EVENTS_PAGE, Compacted, EventPage, EventQuery, EventRows, Row, StoredObject


class _Expiry(NamedTuple):
    revision: int
    upto: int
    at: float


@final
class MemoryEvents:
    def __init__(self) -> None:
        self.rows: list[Row] = []  # every version
        self.times: list[float] = []  # of the rows
        self._current: dict[tuple[str, str], Row] = {}
        self._expiries = [_Expiry(0, 0, time.monotonic())]

    def get(self, namespace: str, name: str) -> Row | None:
        found = self._current.get((namespace, name))
        return None if found is None or found.deleted else found

    def current(self) -> list[Row]:
        return [row for _, row in sorted(self._current.items()) if not row.deleted]

    def put(self, row: Row) -> None:
        self.rows.append(row)
        self.times.append(time.monotonic())
        self._current[row.key[1:]] = row

    def list_at(self, asked: EventQuery, head: int) -> EventPage:
        revision = asked.revision or head
        self._check(revision)
        horizon = max(expiry.upto for expiry in self._expiries if expiry.revision <= revision)
        newest = {row.key[1:]: row for row in self.rows if horizon < row.revision <= revision}
        found = [
            StoredObject(row.key, row.revision, row.body)
            for path, row in sorted(newest.items())
            if not row.deleted
            and (not asked.namespace or path[0] == asked.namespace)
            and (asked.after is None or path > asked.after)
            and asked.containing in row.body
        ]
        limit = min(asked.limit, EVENTS_PAGE)
        return EventPage(found[:limit], revision, len(found[limit:]) if asked.counted else bool(found[limit:]))

    def read(self, after: int, head: int) -> EventRows:
        self._check(after)
        expiry = next((expiry.revision for expiry in self._expiries if expiry.revision > after), 0)
        first = bisect.bisect_right(self.rows, after, key=_revision)
        last = bisect.bisect_left(self.rows, expiry or head + 1, key=_revision)
        if last - first > EVENTS_PAGE:
            rows = self.rows[first : first + EVENTS_PAGE]
            return EventRows(rows, rows[-1].revision, 0)
        return EventRows(self.rows[first:last], expiry - 1 if expiry else head, expiry)

    def ended(self, expiry: int, after: int) -> list[StoredObject]:
        self._check(expiry - 1)
        upto = next(e.upto for e in self._expiries if e.revision == expiry)
        before = max(e.upto for e in self._expiries if e.revision < expiry)
        newest = {row.key: row for row in self.rows if row.revision < expiry}
        ended = (row for row in newest.values() if max(before, after) < row.revision <= upto and not row.deleted)
        return [StoredObject(row.key, row.revision, row.body) for row in sorted(ended, key=_revision)][:EVENTS_PAGE]

    def due(self, ttl: float) -> int:
        """Up to which revision events have to end now, 0 when there are none."""
        old = bisect.bisect_right(self.times, time.monotonic() - ttl)
        return self.rows[old - 1].revision if old and self.rows[old - 1].revision > self._expiries[-1].upto else 0

    def end(self, revision: int, upto: int) -> None:
        self._expiries.append(_Expiry(revision, upto, time.monotonic()))
        for path, row in list(self._current.items()):
            if row.revision <= upto:
                del self._current[path]

    def forget(self, grace: float) -> None:
        while len(self._expiries) > 1 and self._expiries[1].at <= time.monotonic() - grace:
            del self._expiries[0]
        gone = bisect.bisect_right(self.rows, self._expiries[0].upto, key=_revision)
        del self.rows[:gone], self.times[:gone]

    def _check(self, asked: int) -> None:
        if asked < self._expiries[0].revision:
            raise Compacted(asked, self._expiries[0].revision)


def _revision(row: Row) -> int:
    return row.revision
