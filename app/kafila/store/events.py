"""Events: their table has every version until its time is over, and whole partitions of it are dropped.

What an event is now is its newest row above the horizon. The horizon moves by one row of the log, an *expiry* (``expiries``
remembers them): from its revision on, what lies below has ended. Rows are dropped a while later, so that watchers can read what
ended, and lists that began before can be read to their end. Then the expiry is the oldest revision that may be asked for; that
is published before rows are dropped, and read after the rows are: a list with missing rows is never taken for whole.
"""

from __future__ import annotations

import random

import asyncpg
import structlog

from kafila.core.resources import Key

from .compaction import alone, drop_partitions
from .interface import EVENTS, EVENTS_PAGE, Compacted, EventPage, EventQuery, EventRows, Row, Sealer, StoredObject
from .packing import unpack
from .sealing import opened
from .timeline import NEWEST

log = structlog.get_logger("kafila.store")

PARTS = 8  # a time to live is so many partitions long
SHORTEST = 30.0  # seconds that a partition has at least
AHEAD = 180.0  # and that partitions are made before they are needed
GRACE = 60.0  # seconds that what has expired can still be read
_COUNTED = 10_000  # what is left of a list is counted up to here: nobody may rely on it

_GET = """
SELECT revision, body, deleted FROM events
WHERE namespace = $1 AND name = $2 AND revision > (SELECT upto FROM expiries ORDER BY revision DESC LIMIT 1)
ORDER BY revision DESC LIMIT 1
"""
_HORIZON = "SELECT upto FROM expiries WHERE revision <= $1 ORDER BY revision DESC LIMIT 1"
_OLDEST = "SELECT min(revision) FROM expiries"

_CURRENT = """
SELECT {columns} FROM (
    SELECT DISTINCT ON (namespace, name) namespace, name, revision, body, deleted FROM events
    WHERE revision <= $1 AND revision > $2 AND (namespace, name) > ($3, $4) AND ($5 = '' OR namespace = $5)
    ORDER BY namespace, name, revision DESC
) newest WHERE NOT deleted
"""
_COUNT = f"SELECT count(*) FROM ({_CURRENT.format(columns='1')} LIMIT {_COUNTED}) counted"

_READ = """
SELECT e.revision, e.namespace, e.name, e.body, e.deleted, e.previous, p.body
FROM events e LEFT JOIN events p ON e.previous > 0 AND p.revision = e.previous
WHERE e.revision > $1 AND e.revision <= $2 ORDER BY e.revision LIMIT $3
"""

# Ended at an expiry: between the last horizon and this one, with no later row before the expiry.
_ENDED = """
SELECT e.namespace, e.name, e.revision, e.body FROM events e
WHERE e.revision > $1 AND e.revision <= $2 AND NOT e.deleted AND NOT EXISTS (
    SELECT FROM events n
    WHERE n.namespace = e.namespace AND n.name = e.name AND n.revision > e.revision AND n.revision < $3
)
ORDER BY e.revision LIMIT $4
"""


def _body(sealer: Sealer, key: Key, stored: bytes) -> bytes:
    """The JSON, or Unreadable; what was sealed is packed still."""
    return unpack(opened(sealer, key, stored))


async def get(connection: asyncpg.Connection, namespace: str, name: str, sealer: Sealer) -> StoredObject | None:
    record = await connection.fetchrow(_GET, namespace, name)
    if record is None or record["deleted"]:
        return None
    await sealer.prepare((record["body"],))
    key = Key(EVENTS, namespace, name)
    return StoredObject(key, record["revision"], _body(sealer, key, record["body"]))


async def list_at(connection: asyncpg.Connection, asked: EventQuery, sealer: Sealer) -> EventPage:
    revision = asked.revision or (await connection.fetchrow(NEWEST))["revision"]
    horizon = await connection.fetchval(_HORIZON, revision)
    if horizon is None:
        raise Compacted(revision, await connection.fetchval(_OLDEST))
    limit = min(asked.limit, EVENTS_PAGE)
    found = await _current(connection, asked, revision, horizon, limit + 1, sealer)
    remaining = 0
    if len(found) > limit:
        del found[limit:]
        remaining = 1
        if asked.counted:
            remaining = await connection.fetchval(_COUNT, revision, horizon, *found[-1].key[1:], asked.namespace)
    await _check(connection, revision)
    return EventPage(found, revision, remaining)


async def _current(
    connection: asyncpg.Connection, asked: EventQuery, revision: int, horizon: int, limit: int, sealer: Sealer
) -> list[StoredObject]:
    """The first ``limit`` of what is asked for. What an Event contains is looked for here: the database has them packed."""
    found: list[StoredObject] = []
    after = asked.after or (asked.namespace, "")
    at_once = EVENTS_PAGE if asked.containing else limit
    query = _CURRENT.format(columns="namespace, name, revision, body") + f"ORDER BY namespace, name LIMIT {at_once}"
    while True:
        records = await connection.fetch(query, revision, horizon, *after, asked.namespace)
        await sealer.prepare([stored for *_, stored in records])
        for namespace, name, at, stored in records:
            key = Key(EVENTS, namespace, name)
            body = _body(sealer, key, stored)
            if asked.containing in body or not body:
                found.append(StoredObject(key, at, body))
        if len(found) >= limit or len(records) < at_once:
            return found[:limit]
        after = records[-1]["namespace"], records[-1]["name"]


async def read(connection: asyncpg.Connection, after: int, sealer: Sealer) -> EventRows:
    head = (await connection.fetchrow(NEWEST))["revision"]
    expiry = await connection.fetchval(
        "SELECT min(revision) FROM expiries WHERE revision > $1 AND revision <= $2", after, head
    )
    records = await connection.fetch(_READ, after, head if expiry is None else expiry - 1, EVENTS_PAGE)
    await _check(connection, after)
    await sealer.prepare([stored for *_, body, _, _, before in records for stored in (body, before)])
    rows = []
    for revision, namespace, name, body, deleted, previous, before in records:
        key = Key(EVENTS, namespace, name)
        previous_body = before and _body(sealer, key, before)
        rows.append(Row(revision, key, _body(sealer, key, body), deleted, previous, previous_body))
    if len(rows) == EVENTS_PAGE:  # there may be more
        return EventRows(rows, rows[-1].revision, 0)
    return EventRows(rows, head if expiry is None else expiry - 1, expiry or 0)


async def ended(connection: asyncpg.Connection, expiry: int, after: int, sealer: Sealer) -> list[StoredObject]:
    before = await connection.fetchval(_HORIZON, expiry - 1)
    upto = await connection.fetchval("SELECT upto FROM expiries WHERE revision = $1", expiry)
    if before is None or upto is None:
        raise Compacted(expiry - 1, await connection.fetchval(_OLDEST))
    records = await connection.fetch(_ENDED, max(before, after), upto, expiry, EVENTS_PAGE)
    await _check(connection, expiry - 1)
    await sealer.prepare([body for *_, body in records])
    return [
        StoredObject(key := Key(EVENTS, namespace, name), at, _body(sealer, key, body))
        for namespace, name, at, body in records
    ]


async def _check(connection: asyncpg.Connection, asked: int) -> None:
    oldest = await connection.fetchval(_OLDEST)
    if asked < oldest:
        raise Compacted(asked, oldest)


# Ending ---------------------------------------------------------------------------------------------------------------


def width(ttl: float) -> int:
    """Seconds that one partition has."""
    return int(max(ttl / PARTS, SHORTEST))


def extension(ttl: float) -> str:
    """The statement that makes the partitions for what comes next."""
    return f"SELECT ensure_event_partitions({width(ttl)}, {width(ttl) + AHEAD:.0f})"


async def expire(connection: asyncpg.Connection, ttl: float, grace: float) -> None:
    """Ends what was last written longer ago, drops what ended some time ago. One process does; for others there is nothing to do."""
    async with alone(connection) as mine:
        if mine:
            await connection.execute(extension(ttl))
            await _expire(connection, ttl, grace)


async def _expire(connection: asyncpg.Connection, ttl: float, grace: float) -> None:
    old = await connection.fetch(
        "SELECT name, since FROM event_partitions"
        " WHERE until <= extract(epoch FROM clock_timestamp()) - $1 ORDER BY since",
        float(ttl),
    )
    newest = {}
    for name, _ in old:
        newest[name] = await connection.fetchval(f"SELECT coalesce(max(revision), 0) FROM {name}")
    horizon = await connection.fetchval("SELECT max(upto) FROM expiries")
    if max(newest.values(), default=0) > horizon:
        await connection.fetchval("SELECT expire_events($1, $2)", max(newest.values()), random.getrandbits(62))
    gone = await connection.fetchrow(
        "SELECT revision, upto FROM expiries WHERE at <= clock_timestamp() - $1 * interval '1 second'"
        " ORDER BY revision DESC LIMIT 1",
        float(grace),
    )
    if gone is not None:
        await connection.execute("DELETE FROM expiries WHERE revision < $1", gone["revision"])
        await drop_partitions(connection, "events", [name for name in newest if newest[name] <= gone["upto"]])
