"""Forgetting: the compacted revision is published first, then whole partitions below it are dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog

from .timeline import COMMIT_LOCK, NEWEST

log = structlog.get_logger("kafila.store")

_COMPACTION_LOCK = 7236837471904
_WRITER_DAYS = 7  # a writer that connects again after longer gets a new row

_PARTITIONS = """
SELECT c.relname, substring(c.relname FROM 5)::bigint AS lower
FROM pg_class c JOIN pg_class parent ON parent.oid = 'log'::regclass AND parent.relnamespace = c.relnamespace
WHERE c.relkind = 'r' AND c.relname ~ '^log_[0-9]+$' ORDER BY lower
"""
_STATE = "SELECT true AS attached, inhdetachpending AS pending FROM pg_inherits WHERE inhrelid = to_regclass($1)"


@asynccontextmanager
async def alone(connection: asyncpg.Connection) -> AsyncIterator[bool]:
    """Whether no other process forgets at this moment; none begins meanwhile."""
    mine = await connection.fetchval("SELECT pg_try_advisory_lock($1)", _COMPACTION_LOCK)
    try:
        yield mine
    finally:
        if mine and not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _COMPACTION_LOCK)


async def compact(connection: asyncpg.Connection, keep_seconds: float, partition: int) -> int:
    """Returns the compacted revision. One process compacts; for others this is only the answer."""
    async with alone(connection) as mine:
        if not mine:
            return await connection.fetchval("SELECT compacted FROM history")
        compacted = await _publish(connection, keep_seconds)
        await _drop_partitions(connection, compacted, partition)
        return compacted


async def _publish(connection: asyncpg.Connection, keep_seconds: float) -> int:
    compacted = await connection.fetchval("SELECT compacted FROM history")
    oldest = await _newest_before(connection, compacted, keep_seconds)
    # One message, one transaction: a process that is stopped here must not keep the lock.
    await connection.execute(
        f"SELECT pg_advisory_xact_lock({COMMIT_LOCK});"
        f" DELETE FROM writers WHERE at < clock_timestamp() - interval '{_WRITER_DAYS} days';"
        f" UPDATE history SET compacted = greatest(compacted, {oldest:d})"
    )
    return await connection.fetchval("SELECT compacted FROM history")


async def _newest_before(connection: asyncpg.Connection, low: int, seconds: float) -> int:
    """Newest revision older than that, or ``low``: a binary search, since times rise with revisions and have no index."""
    high = (await connection.fetchrow(NEWEST))["revision"]
    cutoff = await connection.fetchval("SELECT clock_timestamp() - $1 * interval '1 second'", float(seconds))
    while low < high:
        middle = (low + high + 1) // 2
        row = await connection.fetchrow(
            "SELECT revision, at FROM log WHERE revision >= $1 ORDER BY revision LIMIT 1", middle
        )
        if row is not None and row["at"] < cutoff:
            low = row["revision"]
        else:
            high = middle - 1
    return low


async def _drop_partitions(connection: asyncpg.Connection, compacted: int, partition: int) -> None:
    """Never the one that has the newest row: a database without it would start again at 1."""
    newest = (await connection.fetchrow(NEWEST))["revision"]
    bound = min(compacted + 1, newest // partition * partition)
    found = await connection.fetch(_PARTITIONS)
    await drop_partitions(connection, "log", [p["relname"] for p in found if p["lower"] + partition <= bound])


async def drop_partitions(connection: asyncpg.Connection, table: str, names: list[str]) -> None:
    """Nobody waits for it: it waits for readers, and not for long."""
    await connection.execute("SET lock_timeout = '2s'")
    try:
        for name in names:
            attached, pending = await connection.fetchrow(_STATE, name) or (False, False)
            if pending:
                await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE")
            elif attached:
                await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {name} CONCURRENTLY")
            await connection.execute(f"DROP TABLE {name}")
    except (asyncpg.LockNotAvailableError, asyncpg.ObjectInUseError) as error:
        log.info("old history is still being read; dropped next time", table=table, error=str(error))
    finally:
        if not connection.is_closed():
            await connection.execute("RESET lock_timeout")
