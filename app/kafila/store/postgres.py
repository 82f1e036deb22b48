"""The store over PostgreSQL: one connection that commits, one that follows the log, a small pool for the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, final

import asyncpg

from . import compaction, events, history, postgres_audit
from .audit import AuditPage, AuditQuery
from .committer import PARTITION, Committer
from .connect import Pool, Timeouts
from .dictionaries import Learner
from .interface import (
    EventPage,
    EventQuery,
    EventRows,
    LogPage,
    ResetCallback,
    RowsCallback,
    Sealer,
    StoredObject,
    StoreUnavailable,
    Transaction,
)
from .leases import PostgresLeases
from .log_tailer import LogTailer
from .packing import Packing
from .postgres_audit import PostgresAudit
from .postgres_fleet import PostgresFleet
from .postgres_search import PostgresSearch
from .sealing import Clear, sealed

if TYPE_CHECKING:
    from .embedded import EmbeddedPostgres


@final
class PostgresStore:
    """See :class:`kafila.store.interface.Store`. The database has to be migrated (:func:`kafila.store.migrate.upgrade`)."""

    def __init__(
        self,
        dsn: str,
        *,
        timeouts: Timeouts | None = None,
        pool_size: int = 4,
        event_ttl: float = 3600.0,
        embedded: EmbeddedPostgres | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        """``embedded``: the server, to be stopped when the store is closed. ``sealer``: how bodies are kept, without it in clear."""
        self._timeouts = timeouts = timeouts or Timeouts()
        self.dsn = dsn
        self._embedded = embedded
        self._packing = packing = Packing()
        self.sealer = sealer = sealer or Clear()
        self._learner = Learner(packing, sealer)
        self._pool = Pool(dsn, timeouts, pool_size, packing)
        self._log_tailer = LogTailer(dsn, timeouts, packing, sealer)
        self._committer = Committer(dsn, self._log_tailer, timeouts, event_ttl, packing)
        self.search = PostgresSearch(dsn, timeouts, packing, sealer)
        self.fleet = PostgresFleet(dsn, timeouts, packing)

    @property
    def trouble(self) -> str:
        if self._log_tailer.is_late:
            return "storage does not answer"
        if not self._log_tailer.connected:
            why = self._embedded.trouble if self._embedded is not None else ""
            return f"storage is not reachable: {why}" if why else "storage is not reachable"
        refused = self._committer.health.trouble
        return f"storage takes no writes: {refused}" if refused else ""

    async def open(self) -> None:
        """Does not wait for the database: requests do, each for itself."""
        await self._pool.open()
        await self.search.open()
        await self.fleet.open()
        self._committer.start()
        self._log_tailer.start()

    async def close(self) -> None:
        await self.search.close()
        await self.fleet.close()
        await self._committer.close()
        await self._log_tailer.close()
        await self._pool.close()
        if self._embedded is not None:
            await self._embedded.stop()

    def subscribe(self, on_rows: RowsCallback, on_reset: ResetCallback) -> None:
        self._log_tailer.subscribe(on_rows, on_reset)

    def start_over(self, why: str) -> None:
        self._log_tailer.reset(why)

    async def snapshot(self) -> tuple[int, list[StoredObject]]:
        await self._pool.expire()  # after a failover these may lead to the server that was replaced
        position, found = await self._pool.read(lambda connection: history.snapshot(connection, self.sealer))
        # No await between here and the caller's next line: the first row comes after the caller has the snapshot.
        self._log_tailer.seen = position
        return position.revision, found

    async def commit(self, transaction: Transaction) -> list[int]:
        if not self.sealer.active:
            return await self._committer.commit(transaction)
        return await self._committer.commit(transaction, await sealed(self.sealer, transaction))

    def head(self) -> Coroutine[Any, Any, int]:
        return self._log_tailer.wait_for_consistent_read()

    async def read_log(self, after: int, limit: int = 1000) -> LogPage:
        return await self._pool.read(lambda connection: history.read_log(connection, after, limit, self.sealer))

    async def list_at(self, resource: str, revision: int) -> list[StoredObject]:
        return await self._pool.read(lambda connection: history.list_at(connection, resource, revision, self.sealer))

    async def compact(self, keep_seconds: float) -> int:
        async with self._forgetting() as connection:
            compacted = await compaction.compact(connection, keep_seconds, PARTITION)
            await self._learner.learn(connection)
            return compacted

    async def event(self, namespace: str, name: str) -> StoredObject | None:
        return await self._pool.read(lambda connection: events.get(connection, namespace, name, self.sealer))

    async def list_events(self, asked: EventQuery) -> EventPage:
        return await self._pool.read(lambda connection: events.list_at(connection, asked, self.sealer))

    async def read_events(self, after: int) -> EventRows:
        return await self._pool.read(lambda connection: events.read(connection, after, self.sealer))

    async def events_ended(self, expiry: int, after: int) -> list[StoredObject]:
        return await self._pool.read(lambda connection: events.ended(connection, expiry, after, self.sealer))

    async def expire_events(self, ttl: float, grace: float = events.GRACE) -> None:
        async with self._forgetting() as connection:
            await events.expire(connection, ttl, grace)

    @asynccontextmanager
    async def _forgetting(self) -> AsyncIterator[asyncpg.Connection]:
        """Raises StoreUnavailable for whatever the database says: what is old can wait, and whoever lets go of it goes on."""
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except asyncpg.PostgresError as error:
            raise StoreUnavailable(str(error) or type(error).__name__) from error

    def audit(self) -> PostgresAudit:
        return PostgresAudit(self.dsn, self._timeouts)

    async def audit_rows(self, asked: AuditQuery) -> AuditPage:
        return await self._pool.read(lambda connection: postgres_audit.select(connection, asked))

    async def expire_audit(self, ttl: float, most_bytes: int) -> None:
        async with self._forgetting() as connection:
            await postgres_audit.expire(connection, ttl, most_bytes)

    def leases(self) -> PostgresLeases:
        return PostgresLeases(self.dsn, self._timeouts)

    async def listing(self) -> AsyncIterator[StoredObject]:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            async for found in history.objects(connection, self.sealer):
                yield found
