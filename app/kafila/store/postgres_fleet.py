"""The tables of the schema ``fleet`` in PostgreSQL. See :mod:`.fleet`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import asyncpg
import orjson
import structlog

from .connect import Pool, Timeouts
from .fleet import PAGE, TABLES, Followed, NotTheProjector, Place, Progress, Replacement, Row
from .interface import StoreUnavailable
from .packing import Packing

log = structlog.get_logger(__name__)

CONNECTIONS: Final = 2  # of their own, and none while nobody projects: nothing else waits for them
_TYPES: Final = {"number": "int"}  # of keys, where it is not text
_STATE: Final = """
INSERT INTO fleet.state AS s (one, writer, format, revision, events, at) VALUES (true, $1, $2, 0, 0, clock_timestamp())
ON CONFLICT (one) DO UPDATE SET writer = $1, format = $2 RETURNING revision, events
"""
_OWNED: Final = "SELECT 1 FROM fleet.state WHERE writer = $1 FOR UPDATE"
_REACHED: Final = """
UPDATE fleet.state SET revision = coalesce($1, revision), events = coalesce($2, events), at = clock_timestamp()
"""
_FOLLOW: Final = """
INSERT INTO fleet.followed (resource, cluster, version) VALUES ($1, $2, $3)
ON CONFLICT (resource, cluster) DO UPDATE SET version = excluded.version
"""
_UNFOLLOW: Final = "DELETE FROM fleet.followed WHERE resource = $1 AND cluster = $2"
_UNKNOWN: Final = "DELETE FROM fleet.object WHERE resource = $1 AND cluster = $2"
_RESOURCES: Final = "SELECT DISTINCT resource FROM fleet.object WHERE cluster = '' ORDER BY resource"
_KNOWN: Final = """
SELECT namespace, name, revision FROM fleet.object
WHERE cluster = $1 AND resource = $2 AND (namespace, name) > ($3, $4) ORDER BY namespace, name LIMIT $5
"""
_KNOWN_EVENTS: Final = """
SELECT namespace, event FROM fleet.event WHERE (namespace, event) > ($1, $2) ORDER BY namespace, event LIMIT $3
"""


def _delete(name: str) -> str:
    """$1: rows that stay, as JSON; then an array for each column that tells an object."""
    table = TABLES[name]
    told = table.key[: table.of]
    arrays = ", ".join(f"${number}::text[]" for number, _ in enumerate(told, 2))
    columns = ", ".join(f"{column} {_TYPES.get(column, 'text')}" for column in table.key)
    of = " AND ".join(f"t.{column} = g.{column}" for column in told)
    same = " AND ".join(f"t.{column} = n.{column}" for column in table.key)
    return (
        f"DELETE FROM fleet.{name} t USING unnest({arrays}) AS g({', '.join(told)}) WHERE {of}"
        f" AND NOT EXISTS (SELECT FROM json_to_recordset($1::json) AS n({columns}) WHERE {same})"
    )


def _put(name: str) -> str:
    """Rows that are what they were are not written."""
    table = TABLES[name]
    columns = ", ".join((*table.key, *table.columns))
    sets = ", ".join(f"{column} = excluded.{column}" for column in table.columns)
    before = ", ".join(f"t.{column}" for column in table.columns)
    after = ", ".join(f"excluded.{column}" for column in table.columns)
    return (
        f"INSERT INTO fleet.{name} AS t ({columns})"
        f" SELECT {columns} FROM json_populate_recordset(NULL::fleet.{name}, $1::json)"
        f" ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {sets}"
        f" WHERE ({before}) IS DISTINCT FROM ({after})"
    )


_DELETES: Final = {name: _delete(name) for name in TABLES}
_PUTS: Final = {name: _put(name) for name in TABLES}


@final
class PostgresFleet:
    """See :class:`kafila.store.fleet.FleetTables`."""

    def __init__(self, dsn: str, timeouts: Timeouts, packing: Packing) -> None:
        self._pool = Pool(dsn, timeouts, CONNECTIONS, packing)

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.ProgramLimitExceededError,
        ) as error:
            raise ValueError(str(error)) from error
        except asyncpg.PostgresError as error:
            raise StoreUnavailable(str(error) or type(error).__name__) from error

    async def take_over(self, writer: int, format: int) -> Progress:
        async with self._connected() as connection:
            await self._adopt(connection)
            async with connection.transaction():
                before = await connection.fetchval("SELECT format FROM fleet.state FOR UPDATE")
                if before != format:
                    for name in (*TABLES, "followed"):
                        await connection.execute(f"DELETE FROM fleet.{name}")
                    await connection.execute("DELETE FROM fleet.state")
                return Progress(*await connection.fetchrow(_STATE, writer, format))

    async def _adopt(self, connection: asyncpg.Connection) -> None:
        """The role that reads may be missing, or its rights, after a restore. Without it everything else works."""
        try:
            await connection.execute("SELECT fleet.adopt()")
        except asyncpg.PostgresError as error:
            log.warning("no role for readers of the views could be made", error=str(error))

    async def write(
        self,
        writer: int,
        replacements: Sequence[Replacement],
        *,
        revision: int | None = None,
        events: int | None = None,
        followed: Sequence[Followed] = (),
    ) -> int:
        changed = 0
        documents = await asyncio.to_thread(_documents, replacements)
        async with self._connected() as connection, connection.transaction():
            # what a crash takes is projected again: nobody waits for the disk
            await connection.execute("SET LOCAL synchronous_commit = off")
            if await connection.fetchval(_OWNED, writer) is None:
                raise NotTheProjector
            for each, document in zip(replacements, documents, strict=True):
                of = [list(column) for column in zip(*each.of, strict=True)]
                if of:
                    changed += _count(await connection.execute(_DELETES[each.table], document, *of))
                if each.rows:
                    changed += _count(await connection.execute(_PUTS[each.table], document))
            for resource, cluster, version in followed:
                if version is None:
                    changed += _count(await connection.execute(_UNKNOWN, resource, cluster))
                    await connection.execute(_UNFOLLOW, resource, cluster)
                else:
                    await connection.execute(_FOLLOW, resource, cluster, version)
            await connection.execute(_REACHED, revision, events)
        return changed

    async def resources(self) -> list[str]:
        async with self._connected() as connection:
            return [record[0] for record in await connection.fetch(_RESOURCES)]

    async def known(self, resource: str, cluster: str, after: Place, limit: int = PAGE) -> list[tuple[str, str, int]]:
        async with self._connected() as connection:
            return [tuple(record) for record in await connection.fetch(_KNOWN, cluster, resource, *after, limit)]

    async def known_events(self, after: Place, limit: int = PAGE) -> list[Place]:
        async with self._connected() as connection:
            return [tuple(record) for record in await connection.fetch(_KNOWN_EVENTS, *after, limit)]

    async def followed(self) -> list[Followed]:
        async with self._connected() as connection:
            return [Followed(*record) for record in await connection.fetch("SELECT * FROM fleet.followed")]


def _documents(replacements: Sequence[Replacement]) -> list[str]:
    return [_document(each.rows) for each in replacements]


def _document(rows: Sequence[Row]) -> str:
    """Raises ValueError."""
    try:
        return orjson.dumps(rows).decode()
    except TypeError as error:
        raise ValueError(str(error)) from error


def _count(done: str) -> int:
    """Of ``INSERT 0 3`` and ``DELETE 3``."""
    return int(done.rpartition(" ")[2])
