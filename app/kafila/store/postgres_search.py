"""Members' objects in PostgreSQL: packed, and sealed where objects of their resource are. See :mod:`.search`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, final

import asyncpg

from kafila.core.resources import Key
from kafila.core.selectors import Requirement, Selector
from kafila.telemetry.tasks import cancelled

from .connect import LOST, Pool, Timeouts, connect, reconnecting
from .exports import PostgresExports
from .interface import Sealer, StoreUnavailable
from .packing import Packing
from .sealing import CannotSeal, opened
from .search import (
    KEPT,
    PAGE,
    PAGE_BYTES,
    CachedChange,
    CachedObject,
    CachedResource,
    Changes,
    NotTheWriter,
    ObjectWrite,
    Place,
    Rows,
    key_of,
)

CHANNEL: Final = "kafila_search"
CONNECTIONS: Final = 4  # of their own: a search never keeps anything else waiting
POLL: Final = 10.0  # seconds after which it is looked for changes without a hint
_DROPPED: Final = 2000  # rows deleted in one transaction

_STATE: Final = (
    "resource, cluster, namespaces, CASE WHEN leaving THEN 0 ELSE version END AS version, oldest, objects, bytes, trouble,"
    " extract(epoch FROM at)::float8 AS at"
)
_RESOURCES: Final = f"""
SELECT {_STATE} FROM search_resources WHERE ($1 = '' OR resource = $1) AND ($2 = '' OR cluster = $2) ORDER BY resource, cluster
"""
_OWNED: Final = "SELECT 1 FROM search_resources WHERE resource = $1 AND cluster = $2 AND writer = $3 FOR UPDATE"
_TAKE: Final = f"""
INSERT INTO search_resources AS r (resource, cluster, namespaces, writer, version, oldest, objects, bytes, trouble, leaving, at)
VALUES ($1, $2, $3, $4, 0, 0, 0, 0, '', false, clock_timestamp())
ON CONFLICT (resource, cluster) DO UPDATE SET writer = $4, namespaces = $3, leaving = false,
    version = CASE WHEN r.namespaces = $3 AND NOT r.leaving THEN r.version ELSE 0 END
RETURNING {_STATE}
"""
_BEFORE: Final = """
SELECT count(*), coalesce(sum(octet_length(o.body)), 0)::bigint FROM unnest($3::text[], $4::text[]) AS g(namespace, name)
JOIN search_objects o ON o.resource = $1 AND o.cluster = $2 AND o.namespace = g.namespace AND o.name = g.name AND NOT o.deleted
"""
_PUT: Final = """
INSERT INTO search_objects AS o
    (resource, cluster, namespace, name, version, since, object_version, labels, before_version, deleted, at, body)
SELECT $1, $2, g.namespace, g.name, g.version, g.version, g.object_version, g.labels::jsonb, 0, false, clock_timestamp(), g.body
FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bytea[])
    AS g(namespace, name, version, object_version, labels, body)
ON CONFLICT (resource, cluster, namespace, name) DO UPDATE SET
    version = excluded.version, since = CASE WHEN o.deleted THEN excluded.since ELSE least(o.since, excluded.since) END,
    object_version = excluded.object_version, labels = excluded.labels,
    before = CASE WHEN o.deleted THEN NULL ELSE o.labels END, before_version = o.version,
    deleted = false, at = excluded.at, body = excluded.body
WHERE o.deleted OR o.object_version <> excluded.object_version OR $9
"""
_DELETE: Final = """
UPDATE search_objects o SET deleted = true, version = g.version, before = o.labels, before_version = o.version,
    at = clock_timestamp()
FROM unnest($3::text[], $4::text[], $5::bigint[]) AS g(namespace, name, version)
WHERE o.resource = $1 AND o.cluster = $2 AND o.namespace = g.namespace AND o.name = g.name AND NOT o.deleted
"""
_REACH: Final = f"""
UPDATE search_resources SET version = coalesce($3, version), oldest = CASE WHEN version = 0 THEN coalesce($3, oldest) ELSE oldest END,
    objects = objects + $4, bytes = bytes + $5, trouble = CASE WHEN $3 IS NULL THEN trouble ELSE '' END, at = clock_timestamp()
WHERE resource = $1 AND cluster = $2 RETURNING {_STATE}
"""
_PLACES: Final = """
SELECT namespace, name FROM search_objects
WHERE resource = $1 AND cluster = $2 AND (namespace, name) > ($3, $4) AND NOT deleted ORDER BY namespace, name LIMIT $5
"""
# Not more than some bytes, but one row at least; and how many there were to choose from
_WITHIN: Final = """
SELECT * FROM (
    SELECT *, sum(octet_length(body)) OVER (ORDER BY {order}) AS upto, row_number() OVER (ORDER BY {order}) AS number,
        count(*) OVER () AS found
    FROM ({query} ORDER BY {order} LIMIT {limit:d}) chosen
) counted WHERE upto <= {bytes} OR number = 1
"""
_PAGE: Final = """
SELECT namespace, name, body FROM search_objects
WHERE resource = $1 AND cluster = $2 AND (namespace, name) > ($3, $4) AND NOT deleted{where}
"""
_CHANGES: Final = """
SELECT namespace, name, version, since, labels::text AS labels, before::text AS before, before_version, deleted, body
FROM search_objects
WHERE resource = $1 AND cluster = $2 AND (version, namespace, name) > ($3, $4, $5) AND version <= $6
"""
# Looked up cluster by cluster, whatever the statistics say
_FIND: Final = """
SELECT c.cluster, o.namespace, o.name, o.body FROM unnest($2::text[]) AS c(cluster), LATERAL (
    SELECT namespace, name, body FROM search_objects
    WHERE resource = $1 AND cluster = c.cluster AND namespace = $3 AND name = $4 AND NOT deleted OFFSET 0
) o ORDER BY c.cluster COLLATE "C"
"""
_FORGET: Final = """
WITH gone AS (
    DELETE FROM search_objects WHERE deleted AND at < clock_timestamp() - $1 * interval '1 second'
    RETURNING resource, cluster, version
), newest AS (SELECT resource, cluster, max(version) AS version FROM gone GROUP BY resource, cluster)
UPDATE search_resources r SET oldest = greatest(r.oldest, n.version)
FROM newest n WHERE n.resource = r.resource AND n.cluster = r.cluster
"""
_DROP: Final = f"""
DELETE FROM search_objects WHERE ctid = ANY (ARRAY(
    SELECT o.ctid FROM search_objects o JOIN search_resources r USING (resource, cluster)
    WHERE resource = $1 AND cluster = $2 AND r.leaving LIMIT {_DROPPED}))
"""


@final
class PostgresSearch:
    """See :class:`kafila.store.search.SearchCache`."""

    def __init__(self, dsn: str, timeouts: Timeouts, packing: Packing, sealer: Sealer) -> None:
        self._dsn = dsn
        self._timeouts = timeouts
        self._packing = packing
        self._sealer = sealer
        self._pool = Pool(dsn, timeouts, CONNECTIONS, packing)
        self.exports = PostgresExports(self._connected)
        self._listeners: list[Callable[[str], None]] = []
        self._listening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        with _refusals():
            async with self._pool.acquire() as connection:
                yield connection

    async def _fetched(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What is only read."""
        with _refusals():
            return await self._pool.read(lambda connection: connection.fetch(query, *arguments))

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await cancelled(self._listening)
        await self._pool.close()

    # -- what is cached ------------------------------------------------------------------------------------------------

    async def resources(self, resource: str = "", cluster: str = "") -> list[CachedResource]:
        async with self._connected() as connection:
            return [_resource(record) for record in await connection.fetch(_RESOURCES, resource, cluster)]

    async def take_over(self, resource: str, cluster: str, namespaces: Sequence[str], writer: int) -> CachedResource:
        async with self._connected() as connection:
            return _resource(await connection.fetchrow(_TAKE, resource, cluster, list(namespaces), writer))

    async def say(self, resource: str, cluster: str, writer: int, trouble: str) -> None:
        async with self._connected() as connection:
            done = await connection.execute(
                "UPDATE search_resources SET trouble = $4 WHERE resource = $1 AND cluster = $2 AND writer = $3",
                resource,
                cluster,
                writer,
                trouble.replace("\0", " "),
            )
        if done == "UPDATE 0":
            raise NotTheWriter(f"{resource} of {cluster}")

    async def start_over(self, resource: str, cluster: str, writer: int) -> None:
        async with self._connected() as connection, connection.transaction():
            await self._check_writer(connection, resource, cluster, writer)
            await connection.execute(
                "DELETE FROM search_objects WHERE resource = $1 AND cluster = $2 AND deleted", resource, cluster
            )
            await connection.execute(
                "UPDATE search_resources SET version = 0 WHERE resource = $1 AND cluster = $2", resource, cluster
            )

    async def write(
        self,
        resource: str,
        cluster: str,
        writer: int,
        writes: Sequence[ObjectWrite],
        *,
        version: int | None = None,
        anew: bool = False,
    ) -> CachedResource:
        last = {(write.namespace, write.name): write for write in writes}
        puts = [write for write in last.values() if write.body is not None]
        bodies = await asyncio.to_thread(self._stored, resource, cluster, puts)
        async with self._connected() as connection, connection.transaction():
            await self._check_writer(connection, resource, cluster, writer)
            objects, size = len(puts), sum(map(len, bodies))
            if last:
                places = [place[0] for place in last], [place[1] for place in last]
                before = await connection.fetchrow(_BEFORE, resource, cluster, *places)
                objects, size = objects - before[0], size - before[1]
            if puts:
                columns: list[list[Any]] = [list(column) for column in zip(*(write[:4] for write in puts), strict=True)]
                labels = [write.labels.decode() for write in puts]
                await connection.execute(_PUT, resource, cluster, *columns, labels, bodies, anew)
            if gone := [write[:3] for write in last.values() if write.body is None]:
                await connection.execute(_DELETE, resource, cluster, *map(list, zip(*gone, strict=True)))
            found = await connection.fetchrow(_REACH, resource, cluster, version, objects, size)
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, resource)
        return _resource(found)

    async def _check_writer(self, connection: asyncpg.Connection, resource: str, cluster: str, writer: int) -> None:
        if await connection.fetchval(_OWNED, resource, cluster, writer) is None:
            raise NotTheWriter(f"{resource} of {cluster}")

    def _stored(self, resource: str, cluster: str, puts: Sequence[ObjectWrite]) -> list[bytes]:
        return [self._sealed(key_of(resource, cluster, put.namespace, put.name), put.body or b"") for put in puts]

    def _sealed(self, key: Key, body: bytes) -> bytes:
        if self._sealer.active and self._sealer.concerns(key.resource):
            try:
                stored = self._sealer.seal(key, body, body)
            except CannotSeal as error:
                raise StoreUnavailable(str(error)) from error
            if stored is not body:
                return stored
        return self._packing.pack(body)

    async def places(self, resource: str, cluster: str, after: Place, limit: int) -> list[Place]:
        return [tuple(record) for record in await self._fetched(_PLACES, resource, cluster, *after, limit)]

    async def drop(self, resource: str, cluster: str) -> None:
        """First nobody reads it any more, then the rows go, a few at a time."""
        async with self._connected() as connection:
            await connection.execute(
                "UPDATE search_resources SET leaving = true, writer = 0 WHERE resource = $1 AND cluster = $2",
                resource,
                cluster,
            )
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, resource)
            while await connection.execute(_DROP, resource, cluster) != "DELETE 0":
                pass
            await connection.execute(
                "DELETE FROM search_resources WHERE resource = $1 AND cluster = $2 AND leaving", resource, cluster
            )

    async def forget(self, seconds: float = KEPT) -> None:
        async with self._connected() as connection:
            await connection.execute(_FORGET, seconds)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def page(
        self, resource: str, cluster: str, namespace: str, after: Place, limit: int, labels: Selector | None = None
    ) -> Rows:
        arguments: list[Any] = [resource, cluster, *after]
        where = ""
        if namespace:
            arguments.append(namespace)
            where = f" AND namespace = ${len(arguments)}"
        where += _labels_where(labels, arguments)
        limit = min(limit, PAGE)
        query = _WITHIN.format(query=_PAGE.format(where=where), order="namespace, name", limit=limit, bytes=PAGE_BYTES)
        records = await self._fetched(query, *arguments)
        rows = [CachedObject(*record[:3]) for record in records]
        return Rows(await self._opened_rows(resource, cluster, rows), _has_more(records, limit))

    async def find(self, resource: str, clusters: Collection[str], place: Place) -> list[tuple[str, CachedObject]]:
        records = await self._fetched(_FIND, resource, list(clusters), *place)
        found = []
        for record in records:
            rows = await self._opened_rows(resource, record["cluster"], [CachedObject(*record[1:4])])
            found.append((record["cluster"], rows[0]))
        return found

    async def changes(
        self, resource: str, cluster: str, after: tuple[int, Place], upto: int, limit: int = PAGE
    ) -> Changes:
        order = "version, namespace, name"
        query = _WITHIN.format(query=_CHANGES, order=order, limit=min(limit, PAGE), bytes=PAGE_BYTES)
        records = await self._fetched(query, resource, cluster, after[0], *after[1], upto)
        rows = [_change(record) for record in records]
        if self._sealer.active or self._is_sealed(rows):
            await self._sealer.prepare([row.body for row in rows])
            rows = [row._replace(body=self._open(resource, cluster, row)) for row in rows]
        return Changes(rows, _has_more(records, min(limit, PAGE)))

    async def _opened_rows(self, resource: str, cluster: str, rows: list[CachedObject]) -> list[CachedObject]:
        if not self._sealer.active and not self._is_sealed(rows):
            return rows
        await self._sealer.prepare([row.body for row in rows])
        return [row._replace(body=self._open(resource, cluster, row)) for row in rows]

    def _is_sealed(self, rows: Sequence[CachedObject | CachedChange]) -> bool:
        return any(not row.body.startswith(b"{") for row in rows)

    def _open(self, resource: str, cluster: str, row: CachedObject | CachedChange) -> bytes:
        return opened(self._sealer, key_of(resource, cluster, row.namespace, row.name), row.body)

    # -- hints ---------------------------------------------------------------------------------------------------------

    def listen(self, changed: Callable[[str], None]) -> Callable[[], None]:
        self._listeners.append(changed)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="search-listener")
        return lambda: self._listeners.remove(changed)

    def _changed(self, resource: str) -> None:
        for changed in list(self._listeners):
            changed(resource)

    async def _listen(self) -> None:
        """Whatever comes is a hint: without a connection, or without hints, it is looked now and then."""
        backoff = reconnecting()
        while True:
            connection = None
            try:
                connection = await connect(self._dsn, self._timeouts)
                await connection.add_listener(CHANNEL, lambda *given: self._changed(given[3]))
                backoff.reset()
                while not connection.is_closed():
                    self._changed("")
                    await asyncio.sleep(POLL)
            except LOST:
                await asyncio.sleep(backoff.failed())
            finally:
                if connection is not None:
                    with suppress(*LOST):
                        connection.terminate()


@contextmanager
def _refusals() -> Iterator[None]:
    """What the database refuses is a ValueError where it is what was said, and passes otherwise."""
    try:
        yield
    except (asyncpg.DataError, asyncpg.CharacterNotInRepertoireError) as error:
        raise ValueError(str(error)) from error
    except asyncpg.PostgresError as error:
        raise StoreUnavailable(str(error) or type(error).__name__) from error


def _has_more(records: Sequence[Any], limit: int) -> bool:
    """There may be: as many were found as were asked for, or their bytes were too many for all of them."""
    return bool(records) and (records[0]["found"] == limit or len(records) < records[0]["found"])


def _resource(record: Any) -> CachedResource:
    resource, cluster, namespaces, *rest = record
    return CachedResource(resource, cluster, tuple(namespaces), *rest)


def _change(record: Any) -> CachedChange:
    namespace, name, version, since, labels, before, before_version, deleted, body = record[:9]
    was = before.encode() if before is not None else None
    return CachedChange(namespace, name, version, since, labels.encode(), was, before_version, deleted, body)


def _labels_where(labels: Selector | None, arguments: list[Any]) -> str:
    """Requirements as SQL; what they name are arguments."""
    if labels is None:
        return ""
    return "".join(f" AND {_condition(each, arguments)}" for each in labels.requirements)


def _condition(requirement: Requirement, arguments: list[Any]) -> str:
    arguments.append(requirement.key)
    key = f"labels ->> ${len(arguments)}"
    match requirement.operator:
        case "exists":
            return f"({key}) IS NOT NULL"
        case "!":
            return f"({key}) IS NULL"
        case "=" | "==" | "in":
            arguments.append(list(requirement.values))
            return f"({key}) = ANY (${len(arguments)}::text[])"
        case "!=" | "notin":
            arguments.append(list(requirement.values))
            return f"NOT coalesce(({key}) = ANY (${len(arguments)}::text[]), false)"
    arguments.append(int(requirement.values[0]))
    sign = ">" if requirement.operator == "gt" else "<"
    number = f"({key})::numeric {sign} ${len(arguments)}::bigint"
    return f"CASE WHEN ({key}) ~ '^[+-]?[0-9]{{1,18}}$' THEN {number} ELSE false END"
