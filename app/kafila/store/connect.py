"""Connections to PostgreSQL, and what their errors mean for the request that met them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
import structlog

from kafila.core.rates import Backoff

from . import dictionaries
from .interface import StoreUnavailable
from .packing import MissingDictionary, Packing

log = structlog.get_logger("kafila.store")
T = TypeVar("T")

DatabaseError = asyncpg.PostgresError  # whatever PostgreSQL answers with, for those who import no driver

# Errors after which a connection is of no use: it is gone, hangs, or ends at a server that takes no writes.
LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutdown, crash, "starting up"
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a primary that became a standby
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,  # a database that is being restored
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
)

# Of these, those that say that the connection is gone, and nothing about a new one
GONE = (
    ConnectionError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)

# The database's own reasons to take no write
REFUSES = (
    asyncpg.InsufficientResourcesError,  # disk full, out of memory
    asyncpg.PostgresSystemError,  # input or output failed
    asyncpg.DataCorruptedError,
    asyncpg.IndexCorruptedError,
)

# Of who else was there at this moment
PASSING = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)  # deadlocks, and locks not waited for


@dataclass(slots=True, frozen=True)
class Timeouts:
    """Seconds that requests wait. ``send``: for a connection; ``answer``: for a commit or the log's tail;
    ``read``: for any other statement; ``resolve``: to find out
    what became of a batch whose connection was lost; ``publish``: for the subscriber to see a commit. ``pause``: that the
    database waits for the next statement of a transaction: who is stopped there must not keep the lock of commits."""

    connect: float = 3.0
    send: float = 3.0
    answer: float = 15.0
    read: float = 60.0
    resolve: float = 10.0
    publish: float = 10.0
    pause: float = 5.0
    prepare: float = 2.0  # that the log's tail waits for keys, which some bodies may need: consistent reads wait for it
    poll: float = 1.0  # between reads of the log when no hint comes


def reconnecting() -> Backoff:
    """Pauses between attempts to reach the database."""
    return Backoff(0.05, 1.0)


async def connect(dsn: str, timeouts: Timeouts) -> asyncpg.Connection:
    """A connection for one long-lived task. Raises one of LOST."""
    connection = await asyncpg.connect(
        dsn,
        timeout=timeouts.connect,
        command_timeout=timeouts.answer,
        target_session_attrs="read-write",
        max_cached_statement_lifetime=0,
        server_settings={
            "application_name": "kafila",
            "idle_in_transaction_session_timeout": f"{timeouts.pause * 1000:.0f}",
        },
    )
    # Plans are made once per connection. Keys are looked up one by one whatever the statistics say: a plan made while the
    # tables were small would read them whole when they are big.
    await connection.execute(
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off;"
        " SET enable_mergejoin = off; SET jit = off; SET default_transaction_isolation = 'read committed'"
    )
    return connection


async def read_bodies(connection: asyncpg.Connection, packing: Packing) -> None:
    """All bodies that are read on this connection are unpacked: they are the only values of their type."""
    await connection.set_type_codec(
        "bytea", schema="pg_catalog", encoder=bytes, decoder=packing.unpack, format="binary"
    )


async def warn_about_durability(connection: asyncpg.Connection) -> None:
    """An acknowledged write can be lost when the server does not wait for its disk or, at a failover, for its standby."""
    fsync, commit, standbys, replicated = await connection.fetchrow(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
        " current_setting('synchronous_standby_names'), EXISTS (SELECT FROM pg_stat_replication)"
    )
    if fsync == "off" or commit == "off":
        log.warning("acknowledged writes can be lost in a crash", fsync=fsync, synchronous_commit=commit)
    if replicated and not standbys:
        log.warning("acknowledged writes can be lost in a failover: synchronous_standby_names is empty")


class ConnectionGone(StoreUnavailable):
    """It was there when it was taken, and had ended, or ended meanwhile."""


class Pool:
    """The few connections for everything that is neither a commit nor the log's tail; none is kept when idle."""

    def __init__(self, dsn: str, timeouts: Timeouts, size: int, packing: Packing) -> None:
        self._timeouts = timeouts
        self._packing = packing
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=60,
            timeout=timeouts.connect,
            command_timeout=timeouts.read,
            target_session_attrs="read-write",
            init=self._init,
            reset=_keep,
            server_settings={"application_name": "kafila"},
        )

    async def open(self) -> None:
        await self._pool

    async def _init(self, connection: asyncpg.Connection) -> None:
        await read_bodies(connection, self._packing)
        await dictionaries.load(connection, self._packing)

    async def close(self) -> None:
        self._pool.terminate()

    async def expire(self) -> None:
        """Connections made before now are not used again."""
        await self._pool.expire_connections()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        """Raises StoreUnavailable for whatever means that the database cannot be asked now."""
        connection = None
        try:
            connection = await self._pool.acquire(timeout=self._timeouts.connect)
            yield connection
        except MissingDictionary as error:  # just learned by another process; the next connection will know it
            await self.expire()
            raise StoreUnavailable(str(error)) from error
        except LOST as error:
            is_gone = connection is not None and isinstance(error, GONE)
            if connection is not None:
                with suppress(
                    asyncpg.InterfaceError
                ):  # one that was lost in the middle the pool has taken back already
                    connection.terminate()
            unavailable = ConnectionGone if is_gone else StoreUnavailable
            raise unavailable(str(error) or type(error).__name__) from error
        except (*REFUSES, *PASSING) as error:
            raise StoreUnavailable(str(error)) from error
        finally:
            if connection is not None:
                await self._pool.release(connection)

    async def read(self, ask: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """What ``ask`` finds, which changes nothing: where its connection turns out to be gone, once more on a new one. Raises as ``acquire``."""
        try:
            async with self.acquire() as connection:
                return await ask(connection)
        except ConnectionGone as error:
            log.info("a read is asked again on a new connection", error=str(error))
        await self.expire()  # the others were made before it ended, and most often end together
        async with self.acquire() as connection:
            return await ask(connection)


async def _keep(connection: asyncpg.Connection) -> None:
    """Nothing is set on these connections, so nothing has to be undone when they return."""
