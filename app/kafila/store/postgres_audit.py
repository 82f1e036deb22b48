"""Who changed what. Rows are kept many together, packed: a *batch*, with the numbers of what occurs in it (``terms``), so that
those in which something cannot be are passed over unread. One by one they would cost a twelfth of what their writes cost.

Batches are partitioned by time; a partition is made when the first batch of its time comes, and dropped as a whole. A question
goes from the newest batch to the oldest and ends when it has enough: what is asked for is mostly young.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, final

import asyncpg
import orjson
import structlog

from .audit import AuditPage, AuditQuery, AuditRow
from .compaction import alone, drop_partitions
from .connect import LOST, PASSING, REFUSES, Timeouts, connect
from .interface import StoreUnavailable

log = structlog.get_logger("kafila.store")
LENGTH: Final = 6 * 3600  # seconds of a partition
AT_ONCE: Final = 50  # batches that are read together
MOST_READ: Final = 1000  # batches that are looked through for one page
LARGEST: Final = 64 << 20  # bytes of an unpacked batch
_LEVEL: Final = 1
_LOCK: Final = 7236837471906  # advisory: one process makes a partition
_INSERT: Final = "INSERT INTO audit VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
_PARTITIONS: Final = """
SELECT c.relname AS name, substring(c.relname FROM 7)::bigint AS since, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c JOIN pg_class parent ON parent.oid = 'audit'::regclass AND parent.relnamespace = c.relnamespace
WHERE c.relkind = 'r' AND c.relname ~ '^audit_[0-9]+$' ORDER BY since DESC
"""
_SELECT: Final = """
SELECT at, id, rows FROM {partition}
WHERE at >= $1 AND since <= $2 AND terms @> $3 AND (at, id) < ($4, $5) ORDER BY at DESC, id DESC LIMIT $6
"""
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)


@final
class PostgresAudit:
    """See :class:`kafila.store.audit.AuditTable`. One connection, made when it is needed and given up at every error."""

    def __init__(self, dsn: str, timeouts: Timeouts) -> None:
        self._dsn, self._timeouts = dsn, timeouts
        self._connection: asyncpg.Connection | None = None
        self._made: set[int] = set()  # partitions that are there, by when they begin

    async def insert(self, rows: Sequence[AuditRow]) -> None:
        try:
            if self._connection is None:
                self._connection = await connect(self._dsn, self._timeouts)
            for start, some in _by_partition(rows):
                await self._insert(self._connection, start, some)
        except (*LOST, *REFUSES, *PASSING, asyncpg.CheckViolationError) as error:
            self._drop()  # of the last one: the partition has just been dropped
            raise StoreUnavailable(str(error) or type(error).__name__) from error
        except asyncpg.PostgresError as error:
            self._drop()
            raise ValueError(str(error)) from error
        except BaseException:
            self._drop()
            raise

    async def _insert(self, connection: asyncpg.Connection, start: int, rows: Sequence[AuditRow]) -> None:
        if start not in self._made:
            await connection.execute(
                f"SELECT pg_advisory_xact_lock({_LOCK});"
                f" CREATE TABLE IF NOT EXISTS audit_{start} PARTITION OF audit"
                f" FOR VALUES FROM (to_timestamp({start})) TO (to_timestamp({start + LENGTH}))"
            )
            self._made.add(start)
        newest = max(rows, key=lambda row: (row.at, row.id))
        packed = zlib.compress(orjson.dumps([tuple(row) for row in rows]), _LEVEL)
        since = min(row.at for row in rows)
        await connection.execute(_INSERT, _time(newest.at), newest.id, _time(since), terms_of(rows), packed)

    async def close(self) -> None:
        self._drop()

    def _drop(self) -> None:
        self._made.clear()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _by_partition(rows: Sequence[AuditRow]) -> Iterable[tuple[int, list[AuditRow]]]:
    """A batch lies in one."""
    found: dict[int, list[AuditRow]] = defaultdict(list)
    for row in rows:
        found[int(row.at) // LENGTH * LENGTH].append(row)
    return found.items()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# -- what occurs in a batch ----------------------------------------------------------------------------------------------


def terms_of(rows: Sequence[AuditRow]) -> list[int]:
    """Others may have the same number: a batch with it has to be read to know."""
    texts = {
        "user": {row.username for row in rows} | {row.acting for row in rows},
        "verb": {row.verb for row in rows},
        "resource": {row.resource for row in rows},
        "namespace": {row.namespace for row in rows},
        "name": {row.name for row in rows},
    }
    return sorted({_number(kind, text) for kind, those in texts.items() for text in those})


def _asked_terms(asked: AuditQuery) -> list[int]:
    given = {"user": asked.user, "verb": asked.verb, "resource": asked.resource, "name": asked.name}
    found = [_number(kind, text) for kind, text in given.items() if text]
    return found if asked.namespace is None else [*found, _number("namespace", asked.namespace)]


def _number(kind: str, text: str) -> int:
    return zlib.crc32(f"{kind}\0{text}".encode()) - (1 << 31)


# -- questions -----------------------------------------------------------------------------------------------------------


class _Batch(NamedTuple):
    at: float  # of its newest row
    rows: list[AuditRow]  # that match


async def select(connection: asyncpg.Connection, asked: AuditQuery) -> AuditPage:
    """Batches of several processes overlap in time: a row is given when no batch that is not read yet can have a newer one."""
    found: list[AuditRow] = []
    waiting: list[AuditRow] = []
    number = 0
    async for batch in _batches(connection, asked):
        found += sorted((row for row in waiting if row.at > batch.at), reverse=True)
        waiting = [row for row in waiting if row.at <= batch.at]
        if len(found) >= asked.limit:
            return _page(found, asked.limit)
        if number >= MOST_READ:
            return AuditPage(found, (batch.at + 1e-6, ""))
        waiting += batch.rows
        number += 1
    found += sorted(waiting, reverse=True)
    return _page(found, asked.limit) if len(found) > asked.limit else AuditPage(found, None)


def _page(found: list[AuditRow], limit: int) -> AuditPage:
    rows = found[:limit]
    return AuditPage(rows, (rows[-1].at, rows[-1].id))


async def _batches(connection: asyncpg.Connection, asked: AuditQuery) -> AsyncIterator[_Batch]:
    before = asked.before[0] if asked.before is not None else None
    until = _END if before is None else _time(before)
    arguments = (_time(asked.since), until, _asked_terms(asked))
    for partition in await connection.fetch(_PARTITIONS):
        if partition["since"] + LENGTH <= asked.since:
            return
        if before is not None and partition["since"] > before:
            continue
        last: tuple[datetime, str] = (_END, "")
        while True:
            query = _SELECT.format(partition=partition["name"])
            try:
                records = await connection.fetch(query, *arguments, *last, AT_ONCE)
            except asyncpg.UndefinedTableError:  # its time is over
                log.debug("audit partition was dropped while it was read", partition=partition["name"])
                break
            for batch in await asyncio.to_thread(_unpacked, records, asked):
                yield batch
            if len(records) < AT_ONCE:
                break
            last = records[-1]["at"], records[-1]["id"]


def _unpacked(records: Iterable[Any], asked: AuditQuery) -> list[_Batch]:
    found = []
    for record in records:
        content = zlib.decompressobj().decompress(record["rows"], LARGEST)
        rows = (AuditRow(*values) for values in orjson.loads(content))
        found.append(_Batch(record["at"].timestamp(), [row for row in rows if asked.matches(row)]))
    return found


# -- forgetting ----------------------------------------------------------------------------------------------------------


async def expire(connection: asyncpg.Connection, ttl: float, most_bytes: int) -> None:
    """Drops partitions whose time is over, and the oldest ones while all take more than ``most_bytes``; never the newest."""
    async with alone(connection) as mine:
        if not mine:
            return
        now = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        kept, names = 0, []
        for number, (name, since, size) in enumerate(await connection.fetch(_PARTITIONS)):
            kept += size
            over = since + LENGTH <= now - ttl
            if number and (over or kept > most_bytes):
                names.append(name)
                if not over:
                    log.warning("audit records end before their time: they take too much room", partition=name)
        await drop_partitions(connection, "audit", names)
