"""Reading the past: pages of the log, lists at a revision, the snapshot everything starts from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg

from kafila.core.resources import Key

from .interface import Compacted, LogPage, Row, Sealer, StoredObject
from .packing import SIZE
from .sealing import opened
from .timeline import NEWEST, Position, marker_after

_PREFETCH = 500  # objects read at once: the loop is not held longer than it takes to build these
PAGE_BYTES = 8 << 20  # of bodies, and one row more

_LOG = f"""
SELECT l.revision, l.resource, l.namespace, l.name, l.body, l.deleted, l.previous,
       coalesce(l.previous_body, (SELECT p.body FROM log p WHERE p.revision = l.previous)) AS previous_body
FROM (
    SELECT *, sum({SIZE.format("body")}) OVER (ORDER BY revision) - {SIZE.format("body")} AS before
    FROM (SELECT * FROM log WHERE revision > $1 ORDER BY revision LIMIT $2) page
) l WHERE l.before < {PAGE_BYTES} ORDER BY l.revision
"""

# The first later row of a key has what the key was at the revision; keys without one are what they are now.
_LIST_AT = """
WITH later AS (
    SELECT DISTINCT ON (namespace, name) namespace, name, previous, previous_body
    FROM log WHERE revision > $2 AND resource = $1 ORDER BY namespace, name, revision
)
SELECT namespace, name, revision, body FROM objects WHERE resource = $1 AND revision <= $2
UNION ALL
SELECT l.namespace, l.name, l.previous, coalesce(l.previous_body, (SELECT p.body FROM log p WHERE p.revision = l.previous))
FROM later l WHERE l.previous > 0
ORDER BY 1, 2
"""


async def snapshot(connection: asyncpg.Connection, sealer: Sealer) -> tuple[Position, list[StoredObject]]:
    """All objects and the position they are at, as of one database snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        position = Position(*await connection.fetchrow(NEWEST))
        return position, [found async for found in objects(connection, sealer)]


async def objects(connection: asyncpg.Connection, sealer: Sealer) -> AsyncIterator[StoredObject]:
    """Current objects, streamed; needs a transaction."""
    query = "SELECT resource, namespace, name, revision, body FROM objects ORDER BY resource, namespace, name"
    cursor = await connection.cursor(query)
    while records := await cursor.fetch(_PREFETCH):
        await sealer.prepare([body for *_, body in records])
        for resource, namespace, name, revision, body in records:
            key = Key(resource, namespace, name)
            yield StoredObject(key, revision, opened(sealer, key, body))


async def read_log(connection: asyncpg.Connection, after: int, limit: int, sealer: Sealer) -> LogPage:
    """In this order: the head, so that nothing up to it is missing from the page; the rows; the compacted revision, which
    is published before rows are dropped, so that a page with missing rows is never taken for whole."""
    head = (await connection.fetchrow(NEWEST))["revision"]
    records = await connection.fetch(_LOG, after, limit)
    await sealer.prepare([body for record in records for body in (record["body"], record["previous_body"])])
    rows = []
    for revision, resource, namespace, name, body, deleted, previous, previous_body in records:
        key = Key(resource, namespace, name)
        before = opened(sealer, key, previous_body) if previous_body is not None else None
        rows.append(Row(revision, key, opened(sealer, key, body), deleted, previous, before))
    for row in rows:
        if not row.key.resource:
            raise Compacted(after, row.revision)
    compacted = await _compacted(connection, after)
    return LogPage(rows, compacted, max(head, rows[-1].revision) if rows else head)


async def list_at(connection: asyncpg.Connection, resource: str, revision: int, sealer: Sealer) -> list[StoredObject]:
    records = await connection.fetch(_LIST_AT, resource, revision)
    await _compacted(connection, revision)
    if (marker := await marker_after(connection, revision)) is not None:
        raise Compacted(revision, marker)
    await sealer.prepare([body for *_, body in records])
    return [
        StoredObject(key := Key(resource, namespace, name), at, opened(sealer, key, body))
        for namespace, name, at, body in records
    ]


async def _compacted(connection: asyncpg.Connection, asked: int) -> int:
    compacted = await connection.fetchval("SELECT compacted FROM history")
    if asked < compacted:
        raise Compacted(asked, compacted)
    return compacted
