"""Is the database's history still the one this process saw?

A failover to an older standby, or a restored backup, loses the newest revisions and gives their numbers again to other
writes. Every row of the log carries the batch that wrote it, so the row at our position shows it. When it differs, revisions
are raised far above everything that was lost: no number that some client remembers will ever mean something else. The marker
that raises them splits history: who stands before it may have seen what was lost, and has to start again behind it.
"""

from __future__ import annotations

from typing import NamedTuple

import asyncpg

RAISE = 1 << 20
RAISE_RESTORED = 1_000_000_000
COMMIT_LOCK = 7236837471902  # the same as in commit_batch


class Position(NamedTuple):
    revision: int
    writer: int
    seq: int


NEWEST = "SELECT revision, writer, seq FROM log ORDER BY revision DESC LIMIT 1"


async def holds(connection: asyncpg.Connection, position: Position) -> bool:
    """True when the row at ``position`` is the one we saw."""
    row = await connection.fetchrow("SELECT revision, writer, seq FROM log WHERE revision = $1", position.revision)
    return row is not None and Position(*row) == position


async def marker_after(connection: asyncpg.Connection, revision: int) -> int | None:
    """The newest marker above ``revision``."""
    return await connection.fetchval("SELECT max(revision) FROM log WHERE revision > $1 AND resource = ''", revision)


async def raise_head(connection: asyncpg.Connection, above: int, writer: int, seq: int) -> int:
    """Puts a marker (a row without a resource) 2^20 above the database's newest revision and ``above``, unless another
    process did so already. Returns the newest marker's revision."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", COMMIT_LOCK)
        if (marker := await marker_after(connection, above)) is not None:
            return marker
        newest = await connection.fetchrow(NEWEST)
        revision = max(above, newest["revision"]) + RAISE
        await _mark(connection, revision, writer, seq)
    return revision


async def raise_restored(connection: asyncpg.Connection) -> int:
    """Of a database that was made from a backup, in the caller's transaction: nobody can say how far it was when it was lost.
    Returns the marker's revision. (etcd's ``--bump-revision`` has the same number.)"""
    newest = await connection.fetchrow(NEWEST)
    revision = int(newest["revision"]) + RAISE_RESTORED
    await _mark(connection, revision, 0, 0)
    return revision


async def _mark(connection: asyncpg.Connection, revision: int, writer: int, seq: int) -> None:
    await connection.execute("SELECT ensure_log_partitions($1)", revision)
    await connection.execute(
        "INSERT INTO log (revision, resource, namespace, name, uid, body, deleted, terminating, previous, writer, seq, at)"
        " VALUES ($1, '', '', '', '', '', false, false, 0, $2, $3, clock_timestamp())",
        revision,
        writer,
        seq,
    )
