"""The store in memory: the same promises, for units and simulated members. Nothing outlives the process.

Several stores over one :class:`MemoryDatabase` behave like several processes over one PostgreSQL.
"""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, final

from kafila.core.resources import Key

from .audit import AuditPage, AuditQuery
from .interface import (
    EVENTS,
    Compacted,
    EventPage,
    EventQuery,
    EventRows,
    Guard,
    GuardFailed,
    Lease,
    LeaseLost,
    LogPage,
    ResetCallback,
    Row,
    RowsCallback,
    Sealer,
    StoredObject,
    StoreUnavailable,
    Transaction,
    Write,
)
from .memory_audit import MemoryAudit
from .memory_events import MemoryEvents
from .memory_fleet import MemoryFleet
from .memory_search import MemorySearch
from .sealing import Clear


class _Current(NamedTuple):
    revision: int
    body: bytes
    terminating: bool


class _Lease(NamedTuple):
    holder: str
    token: int
    expires: float


@final
class MemoryDatabase:
    """``keep_rows``: history beyond twice that is compacted by itself, since often nobody else does."""

    def __init__(self, keep_rows: int = 10_000) -> None:
        self.keep_rows = keep_rows
        self.head = 1  # 0 means "any" in the API
        self.compacted = 0
        self.objects: dict[Key, _Current] = {}
        self.events = MemoryEvents()
        self.log: list[Row] = []  # all rows after ``compacted``
        self.times: list[float] = []  # of the rows
        self.leases: dict[str, _Lease] = {}
        self.audit = MemoryAudit()
        self.search = MemorySearch()
        self.fleet = MemoryFleet()
        self.stores: list[MemoryStore] = []

    def check(self, transaction: Transaction) -> None:
        lease = transaction.lease
        if lease is not None and not self.is_held(lease):
            raise LeaseLost(f"the lease {lease.name} is not held any more")
        guards = list(transaction.guards)
        for guard in guards:
            found = self.current(guard.key)
            revision = found.revision if found else 0
            if guard.absent:
                holds = found is None
            elif guard.alive:
                holds = found is not None and not found.terminating
            else:
                holds = revision == guard.revision
            if not holds:
                raise GuardFailed(guard, revision, found is not None and found.terminating)
        for write in transaction.writes:
            if write.body is None and self.current(write.key) is None:
                raise GuardFailed(Guard(write.key), 0)

    def current(self, key: Key) -> _Current | None:
        if key.resource != EVENTS:
            return self.objects.get(key)
        row = self.events.get(key.namespace, key.name)
        return _Current(row.revision, row.body, False) if row is not None else None

    def is_held(self, lease: Lease) -> bool:
        found = self.leases.get(lease.name)
        return found is not None and (found.holder, found.token) == (lease.holder, lease.token)

    def apply(self, writes: Sequence[Write]) -> tuple[dict[Key, int], list[Row]]:
        """Revisions by key, and the rows of the log."""
        revisions: dict[Key, int] = {}
        rows = []
        for key, body, _, terminating, last in sorted(writes, key=lambda write: write.key.resource != EVENTS):
            found = self.current(key)
            self.head += 1
            revisions[key] = self.head
            final_body = body if body is not None else last if last is not None else found.body if found else b""
            previous, previous_body = (found.revision, found.body) if found else (0, None)
            row = Row(self.head, key, final_body, body is None, previous, previous_body)
            if key.resource == EVENTS:
                self.events.put(row)
                continue
            if body is None:
                del self.objects[key]
            else:
                self.objects[key] = _Current(self.head, body, terminating)
            rows.append(row)
        if writes and not rows:
            rows.append(self.about_events(False))
        self._append(rows)
        return revisions, rows

    def about_events(self, expired: bool, upto: int = 0) -> Row:
        """The row that says that something happened to Events, with a revision of its own."""
        self.head += 1
        return Row(self.head, Key(EVENTS, "", ""), b"", expired, upto)

    def expire(self, ttl: float, grace: float) -> list[Row]:
        rows = []
        if upto := self.events.due(ttl):
            rows.append(self.about_events(True, upto))
            self.events.end(self.head, upto)
            self._append(rows)
        self.events.forget(grace)
        return rows

    def _append(self, rows: list[Row]) -> None:
        self.log += rows
        self.times += [time.monotonic()] * len(rows)
        if len(self.log) > 2 * self.keep_rows:
            self.forget(len(self.log) - self.keep_rows)

    def forget(self, rows: int) -> None:
        self.compacted = self.log[rows - 1].revision
        del self.log[:rows], self.times[:rows]

    def after(self, revision: int) -> int:
        return bisect.bisect_right(self.log, revision, key=_revision)


def _revision(row: Row) -> int:
    return row.revision


@final
class MemoryStore:
    """See :class:`kafila.store.interface.Store`."""

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        self.database = database or MemoryDatabase()
        self.sealer: Sealer = Clear()
        self.search = self.database.search
        self.fleet = self.database.fleet
        self._on_rows: RowsCallback | None = None
        self._following = False
        self._opened = False

    @property
    def trouble(self) -> str:
        return ""

    async def open(self) -> None:
        self._opened = True
        self.database.stores.append(self)

    async def close(self) -> None:
        self._opened = False
        if self in self.database.stores:
            self.database.stores.remove(self)

    def start_over(self, why: str) -> None:
        pass  # nothing is unreadable in memory

    async def snapshot(self) -> tuple[int, list[StoredObject]]:
        self._following = True
        return self.database.head, self._all()

    def subscribe(self, on_rows: RowsCallback, on_reset: ResetCallback) -> None:
        self._on_rows = on_rows

    async def commit(self, transaction: Transaction) -> list[int]:
        if not self._opened:
            raise StoreUnavailable("the store is closed")
        self.database.check(transaction)
        revisions, rows = self.database.apply(transaction.writes)
        self._publish_to_all(rows)
        return [revisions[write.key] for write in transaction.writes]

    def _publish_to_all(self, rows: list[Row]) -> None:
        if rows:
            published = [row._replace(previous_body=None) for row in rows]
            for store in list(self.database.stores):
                store._publish(published)

    def _publish(self, rows: list[Row]) -> None:
        if self._following and self._on_rows is not None:
            self._on_rows(list(rows))

    async def head(self) -> int:
        return self.database.head

    async def read_log(self, after: int, limit: int = 1000) -> LogPage:
        self._check_kept(after)
        start = self.database.after(after)
        return LogPage(self.database.log[start : start + limit], self.database.compacted, self.database.head)

    async def list_at(self, resource: str, revision: int) -> list[StoredObject]:
        self._check_kept(revision)
        found = {o.key: o for o in self._all() if o.key.resource == resource and o.revision <= revision}
        later: set[Key] = set()
        for row in self.database.log[self.database.after(revision) :]:
            if row.key.resource != resource or row.key in later:
                continue
            later.add(row.key)
            if row.previous:
                found[row.key] = StoredObject(row.key, row.previous, row.previous_body or b"")
        return [found[key] for key in sorted(found)]

    async def compact(self, keep_seconds: float) -> int:
        database = self.database
        dropped = bisect.bisect_right(database.times, time.monotonic() - keep_seconds)
        if dropped:
            database.forget(dropped)
        elif not database.log and keep_seconds <= 0:
            database.compacted = database.head
        return database.compacted

    async def event(self, namespace: str, name: str) -> StoredObject | None:
        row = self.database.events.get(namespace, name)
        return StoredObject(row.key, row.revision, row.body) if row is not None else None

    async def list_events(self, asked: EventQuery) -> EventPage:
        return self.database.events.list_at(asked, self.database.head)

    async def read_events(self, after: int) -> EventRows:
        return self.database.events.read(after, self.database.head)

    async def events_ended(self, expiry: int, after: int) -> list[StoredObject]:
        return self.database.events.ended(expiry, after)

    async def expire_events(self, ttl: float, grace: float = 60.0) -> None:
        self._publish_to_all(self.database.expire(ttl, grace))

    def audit(self) -> MemoryAudit:
        return self.database.audit

    async def audit_rows(self, asked: AuditQuery) -> AuditPage:
        return self.database.audit.select(asked)

    async def expire_audit(self, ttl: float, most_bytes: int) -> None:
        self.database.audit.expire(ttl)

    def leases(self) -> MemoryLeases:
        return MemoryLeases(self.database)

    async def listing(self) -> AsyncIterator[StoredObject]:
        for found in self._all():
            yield found

    def _all(self) -> list[StoredObject]:
        objects = self.database.objects
        return [StoredObject(key, objects[key].revision, objects[key].body) for key in sorted(objects)]

    def _check_kept(self, revision: int) -> None:
        if revision < self.database.compacted:
            raise Compacted(revision, self.database.compacted)


@final
class MemoryLeases:
    """See :class:`kafila.store.interface.Leases`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def holder(self, name: str) -> str:
        found = self._database.leases.get(name)
        return found.holder if found is not None and found.expires >= time.monotonic() else ""

    async def acquire(self, name: str, holder: str, ttl: float, replacing: str = "") -> Lease | None:
        now = time.monotonic()
        found = self._database.leases.get(name, _Lease("", 0, 0.0))
        if found.holder not in (holder, replacing or holder) and found.expires >= now:
            return None
        token = found.token + (found.holder != holder or found.expires < now)
        self._database.leases[name] = _Lease(holder, token, now + ttl)
        return Lease(name, holder, token)

    async def take(self, names: Sequence[str], registrations: str, holder: str) -> dict[str, Lease]:
        taken: dict[str, Lease] = {}
        for name in names if await self.holder(registrations + holder) else ():
            found = self._database.leases.get(name, _Lease("", 0, 0.0))
            free = found.expires < time.monotonic() or not await self.holder(registrations + found.holder)
            if found.holder == holder or free:
                token = found.token + (found.holder != holder)
                self._database.leases[name] = _Lease(holder, token, math.inf)
                taken[name] = Lease(name, holder, token)
        return taken

    async def held(self) -> list[Lease]:
        leases, now = self._database.leases, time.monotonic()
        return [Lease(name, each.holder, each.token) for name, each in leases.items() if each.expires >= now]

    async def release(self, names: Sequence[str], holder: str) -> None:
        for name in names:
            found = self._database.leases.get(name)
            if found is not None and found.holder == holder:
                self._database.leases[name] = _Lease("", found.token, 0.0)

    async def close(self) -> None:
        pass
