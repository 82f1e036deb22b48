"""What a store promises, whatever holds the data.

* The unit of writing is a :class:`Transaction`: guards and writes, all or nothing. Every write gets a revision of its own;
  revisions follow commit order over all processes, strictly increasing.
* A body is the object's JSON without ``kind``, ``apiVersion`` and ``metadata.resourceVersion``; it starts with
  ``{"metadata":{`` so that readers can splice those in without parsing.
* Every committed row reaches :meth:`Store.subscribe`'s callback exactly once, in revision order, before the ``commit`` that
  wrote it returns: a process reads its own writes.
* Objects of the resource :data:`EVENTS` end some time after they were last written. They are in no snapshot, in no page of
  the log, and subscribers do not get their rows: revisions that are left out are theirs. They are read by methods of their own.
  After a batch of nothing but those, and at each expiry, comes a row of :data:`EVENTS` without a name, that only says so.
* A body that cannot be read is :class:`Unreadable` wherever bodies are returned. It is not missing: it has a key and a revision.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, final

from kafila.core.resources import Key

from .audit import AuditPage, AuditQuery, AuditTable
from .fleet import FleetTables
from .search import SearchCache

EVENTS = "events"


class Guard(NamedTuple):
    """A condition on the current state. Exactly one of the three is asked.

    ``revision`` > 0: the object exists at this revision. ``absent``: it does not exist.
    ``alive``: it exists and is not being deleted (no deletionTimestamp).
    """

    key: Key
    revision: int = 0
    absent: bool = False
    alive: bool = False


class Write(NamedTuple):
    """``body`` None deletes. ``last`` of a deletion is the object's final body, sent with the DELETED event (without it
    the stored one). Deleting what does not exist fails like a guard, with revision 0."""

    key: Key
    body: bytes | None
    uid: str = ""
    terminating: bool = False  # the body has a deletionTimestamp (what Guard.alive compares)
    last: bytes | None = None


class Lease(NamedTuple):
    """A lock that ends by itself. ``token`` rises with every change of holder (fencing)."""

    name: str
    holder: str
    token: int


@final
@dataclass(slots=True, frozen=True)
class Transaction:
    guards: Sequence[Guard]
    writes: Sequence[Write]  # at most one write per key
    lease: Lease | None = None  # nothing is written unless it is held still

    def __post_init__(self) -> None:
        if len(self.writes) > 1 and len({write.key for write in self.writes}) < len(self.writes):
            raise ValueError("a transaction writes a key only once")


@final
class Unreadable(bytes):
    """Stands where a body cannot be read (:mod:`kafila.store.sealing`): empty, which no body is."""

    reason: str

    def __new__(cls, reason: str) -> Unreadable:
        found = super().__new__(cls)
        found.reason = reason
        return found


class Row(NamedTuple):
    """One line of the log. ``body`` is the state after the write, or the last state when ``deleted``."""

    revision: int
    key: Key
    body: bytes
    deleted: bool
    previous: int  # revision of the key before this write, 0 when it was created
    previous_body: bytes | None = None  # only filled by read_log


class StoredObject(NamedTuple):
    key: Key
    revision: int
    body: bytes


EVENTS_PAGE: Final = 500  # Events given at once: the loop is not held longer than it takes to build these


class EventQuery(NamedTuple):
    """Events in order of namespace and name, at most ``limit``, behind ``after`` (namespace, name) when given."""

    revision: int = 0  # as they were then; 0: as they are now
    namespace: str = ""
    after: tuple[str, str] | None = None
    limit: int = EVENTS_PAGE  # of which the store may give fewer
    containing: bytes = b""  # only those whose body has these bytes
    counted: bool = False  # how many remain is wanted


class EventPage(NamedTuple):
    objects: list[StoredObject]
    revision: int
    remaining: int  # 0: that was all; else about how many more there are


class EventRows(NamedTuple):
    """Changes of Events, oldest first, with ``previous_body``: all of them up to ``revision``. ``expiry``: the next revision
    is one at which Events ended: :meth:`Store.events_ended` returns them."""

    rows: list[Row]
    revision: int
    expiry: int


class LogPage(NamedTuple):
    rows: list[Row]
    compacted: int  # rows with revision <= compacted are gone
    head: int  # last committed revision when the page was read


class GuardFailed(Exception):
    """A guard did not hold; nothing of the transaction was written. ``revision`` is the key's current one, 0 if absent."""

    def __init__(self, guard: Guard, revision: int, terminating: bool = False) -> None:
        super().__init__(f"{guard} but revision is {revision}")
        self.guard = guard
        self.revision = revision
        self.terminating = terminating


class StoreUnavailable(Exception):
    """The request was certainly not carried out: it may be repeated."""


class LeaseLost(StoreUnavailable):
    """The lease under which something was to be written is, or may be, another process's by now."""

    expected = True  # it needs no traceback


class OutcomeUnknown(Exception):
    """The connection was lost after the commit was sent, and what became of it could not be found out."""


class Compacted(Exception):
    """The revision asked for is older than the history that is kept."""

    def __init__(self, asked: int, compacted: int) -> None:
        super().__init__(f"revision {asked} is compacted (oldest is {compacted + 1})")
        self.asked = asked
        self.compacted = compacted


RowsCallback = Callable[[list[Row]], None]
ResetCallback = Callable[[], None]


class Leases(Protocol):
    """All raise StoreUnavailable, and OSError or TimeoutError when the database cannot be reached. Time is the database's."""

    async def holder(self, name: str) -> str:
        """Who holds it now, "" when nobody does."""
        ...

    async def acquire(self, name: str, holder: str, ttl: float, replacing: str = "") -> Lease | None:
        """Takes or renews; None when someone else holds it. One that had ended has another token afterwards.

        ``replacing``: a holder that is known to be dead; its lease is taken over before its time.
        """
        ...

    async def take(self, names: Sequence[str], registrations: str, holder: str) -> dict[str, Lease]:
        """Takes leases without an end of their own: each counts as long as its holder's registration, which is the lease of that
        name (``registrations`` and the holder). Those that are the holder's afterwards; none without its registration."""
        ...

    async def held(self) -> list[Lease]:
        """All that have not ended, those included that rest on a registration which has."""
        ...

    async def release(self, names: Sequence[str], holder: str) -> None:
        """After whatever attempts of the holder are still under way. Nothing happens to what is someone else's."""
        ...

    async def close(self) -> None: ...


class Sealer(Protocol):
    """How bodies lie in the database (:mod:`kafila.store.sealing`)."""

    @property
    def active(self) -> bool:
        """Whether :meth:`seal` may give anything but what it gets; else it need not be asked."""
        ...

    @property
    def sealed(self) -> str:
        """Which resources are not stored in clear, "" for none: another text as soon as these are others."""
        ...

    def concerns(self, resource: str) -> bool:
        """Whether something is said about objects of the resource, or may be about some of them; else they lie in clear."""
        ...

    def seals(self, key: Key, clear: bytes) -> bool:
        """Whether the object with this JSON is not stored in clear."""
        ...

    def seal(self, key: Key, body: bytes, clear: bytes) -> bytes:
        """What is stored for ``body`` at ``key``, sometimes itself. ``clear``: its JSON, where ``body`` is packed.
        Raises CannotSeal."""
        ...

    async def prepare(self, stored: Sequence[bytes | None]) -> None:
        """Gets what opening these needs and is not here yet. To be awaited before; what could not be had shows in :meth:`open`."""
        ...

    def open(self, key: Key, stored: bytes) -> bytes:
        """What was given to :meth:`seal`. Raises CannotOpen."""
        ...


class Store(Protocol):
    @property
    def sealer(self) -> Sealer:
        """How bodies are kept."""
        ...

    @property
    def trouble(self) -> str:
        """Why the database cannot be reached, or takes no writes, as far as is known; "" when all is well."""
        ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def start_over(self, why: str) -> None:
        """Has the subscriber drop what it knows and begin again with a snapshot: what was unreadable may be readable by now."""
        ...

    async def snapshot(self) -> tuple[int, list[StoredObject]]:
        """All current objects and the revision they are at (1 or more). Rows after it reach the subscriber, from the moment
        this returns: await it directly. Called once after open, and once after each reset. Raises StoreUnavailable."""
        ...

    def subscribe(self, on_rows: RowsCallback, on_reset: ResetCallback) -> None:
        """``on_rows`` gets every row after the snapshot's revision, in order. ``on_reset`` is called when the history
        this process saw is not the database's any more (failover to an older standby, restore): everything cached must be
        dropped and ``snapshot`` called again."""
        ...

    async def commit(self, transaction: Transaction) -> list[int]:
        """Revisions of the writes, in their order. Raises GuardFailed, LeaseLost, StoreUnavailable, OutcomeUnknown, CannotSeal."""
        ...

    async def head(self) -> int:
        """Last committed revision by a query that started after this call; the subscriber has seen it on return.
        Raises StoreUnavailable (after 3 s)."""
        ...

    async def read_log(self, after: int, limit: int = 1000) -> LogPage:
        """Rows with revision > ``after``, oldest first, with ``previous_body``; fewer than ``limit`` at the end, and where
        they are large. Raises Compacted when ``after`` is below the compacted revision, or the page crosses a point at which history was lost;
        StoreUnavailable."""
        ...

    async def list_at(self, resource: str, revision: int) -> list[StoredObject]:
        """Objects of one resource as they were at ``revision``, sorted by (namespace, name). Raises Compacted as
        ``read_log`` does, StoreUnavailable."""
        ...

    async def compact(self, keep_seconds: float) -> int:
        """Drops history older than the window; returns the compacted revision. Raises StoreUnavailable."""
        ...

    async def event(self, namespace: str, name: str) -> StoredObject | None:
        """Raises StoreUnavailable, as the following do."""
        ...

    async def list_events(self, asked: EventQuery) -> EventPage:
        """Raises Compacted when some of what was there at ``asked.revision`` is gone."""
        ...

    async def read_events(self, after: int) -> EventRows:
        """What happened to Events behind revision ``after``. Raises Compacted."""
        ...

    async def events_ended(self, expiry: int, after: int) -> list[StoredObject]:
        """Those that ended at the revision ``expiry``, in order of their own revisions and only above ``after``; not all at
        once: nothing comes when that was all. Raises Compacted."""
        ...

    async def expire_events(self, ttl: float, grace: float = 60.0) -> None:
        """Ends Events that were last written ``ttl`` seconds ago and up to an eighth longer; gives their room back when
        ``grace`` more seconds are over."""
        ...

    def leases(self) -> Leases:
        """To be asked for, used and closed on one event loop, which need not be the store's."""
        ...

    @property
    def search(self) -> SearchCache:
        """What is kept of members' objects."""
        ...

    @property
    def fleet(self) -> FleetTables:
        """What is kept for SQL over the fleet."""
        ...

    def audit(self) -> AuditTable:
        """To be asked for, used and closed on one event loop, which need not be the store's."""
        ...

    async def audit_rows(self, asked: AuditQuery) -> AuditPage:
        """Raises StoreUnavailable."""
        ...

    async def expire_audit(self, ttl: float, most_bytes: int) -> None:
        """Lets go of rows older than ``ttl`` seconds, and of the oldest ones where all take more than ``most_bytes``; some
        hours late. Raises StoreUnavailable."""
        ...

    def listing(self) -> AsyncIterator[StoredObject]:
        """Current objects streamed straight from the database, for export and checks."""
        ...
