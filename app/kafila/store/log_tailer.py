"""The log's tail: every committed row to the subscriber, once and in order, whichever process wrote it.

Own commits are handed over by the committer when they continue what was published (no query); everything else is read from
the log: after a NOTIFY (a hint, not relied upon), for a consistent read, for a gap, and once a second in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import structlog

from kafila.core.resources import Key
from kafila.telemetry.tasks import cancelled

from . import dictionaries
from .connect import LOST, Timeouts, connect, read_bodies, reconnecting
from .interface import ResetCallback, Row, RowsCallback, Sealer, StoreUnavailable
from .packing import MissingDictionary, Packing
from .sealing import Clear, opened
from .timeline import NEWEST, Position, holds, raise_head

log = structlog.get_logger("kafila.store")

CHANNEL = "kafila_log"
_PAGE = 500  # rows handed over at once: the loop is not held longer than it takes to fan these out
_LARGE = 64 << 10  # bytes of a body that is read alone: a page of objects of 8 MiB would not fit into memory
_TAIL = (
    f"SELECT revision, resource, namespace, name, CASE WHEN octet_length(body) <= {_LARGE} THEN body END AS body,"
    f" deleted, previous, writer, seq, octet_length(body) > {_LARGE} AS large"
    f" FROM log WHERE revision > $1 ORDER BY revision LIMIT {_PAGE}"
)
# a plan made while the log was small would find and sort all that is behind a revision each time
_IN_ORDER = "SET enable_bitmapscan = off"
_FIRST = (
    "SELECT revision, resource, namespace, name, body, deleted, previous, writer, seq"
    " FROM log WHERE revision > $1 ORDER BY revision LIMIT 1"
)


class LogTailer:
    """``seen`` is the position up to which the subscriber has everything; None before the snapshot and after a reset."""

    def __init__(self, dsn: str, timeouts: Timeouts, packing: Packing, sealer: Sealer | None = None) -> None:
        self.seen: Position | None = None
        self.own_backends: set[int] = set()  # server process ids whose notifications tell us nothing new
        self._dsn = dsn
        self._sealer = sealer or Clear()
        self._writer = random.getrandbits(62)  # of the markers this process may have to write
        self._timeouts = timeouts
        self._packing = packing
        self._learned = False  # another process told of a dictionary
        self._on_rows: RowsCallback = lambda rows: None
        self._on_reset: ResetCallback = lambda: None
        self._connection: asyncpg.Connection | None = None
        self._verifying = asyncio.Lock()
        self._wake = asyncio.Event()
        self._waiting: set[asyncio.Future[int]] = set()  # for the next query
        self._patience: dict[
            asyncio.Future[int], float
        ] = {}  # until when each of all waits, who ends first comes first
        self._giving_up: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._raises = 0
        self.is_late = False  # somebody has waited in vain since the database has answered last

    def subscribe(self, on_rows: RowsCallback, on_reset: ResetCallback) -> None:
        self._on_rows, self._on_reset = on_rows, on_reset

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="log-tailer")

    async def close(self) -> None:
        await cancelled(self._task)
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        self._drop()
        self._release(error=StoreUnavailable("the store is closed"))

    @property
    def connected(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    # What the subscriber has seen -------------------------------------------------------------------------------------

    def offer(self, before: int, last: int, rows: Sequence[Row] | None, seq: int, writer: int) -> bool:
        """Own commit that follows revision ``before``. False when it has to come from the log."""
        seen = self.seen
        if seen is None or seen.revision >= last:
            return True
        if rows is None or seen.revision != before:
            return False
        self._publish(rows, Position(last, writer, seq))
        return True

    async def catch_up(self, revision: int) -> None:
        """Waits until the subscriber has seen ``revision``, but not for ever: the commit it belongs to is certain."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeouts.publish):
                while self.seen is not None and self.seen.revision < revision:
                    with contextlib.suppress(StoreUnavailable):
                        await self.wait_for_consistent_read()

    async def wait_for_consistent_read(self) -> int:
        """Newest revision by a query that starts after this call; one query serves all who wait. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()
        self._waiting.add(waiter)
        self._wake.set()
        self._patience[waiter] = loop.time() + self._timeouts.send
        if self._giving_up is None:  # one timer for all: one for each costs more than the rest
            self._giving_up = loop.call_later(self._timeouts.send, self._give_up)
        try:
            return await waiter
        finally:
            del self._patience[waiter]
            self._waiting.discard(waiter)

    def _give_up(self) -> None:
        """Nobody waits longer than for ``send`` seconds; looks again when the next one has."""
        loop, self._giving_up = asyncio.get_running_loop(), None
        now = loop.time()
        for waiter, until in self._patience.items():
            if waiter.done():
                continue
            if until > now:
                self._giving_up = loop.call_at(until, self._give_up)
                return
            self.is_late = True
            waiter.set_exception(StoreUnavailable("the database does not answer"))

    def _publish(self, rows: Sequence[Row], position: Position) -> None:
        self.seen = position
        if rows:
            try:
                self._on_rows(list(rows))
            except Exception:  # it has missed rows now: nothing less than a new start makes it whole
                log.exception("a subscriber failed", revision=position.revision)
                self.reset("the subscriber failed")

    def reset(self, why: str) -> None:
        """The subscriber has to start again from a snapshot."""
        if self.seen is not None:
            log.warning("store history changed", why=why, seen=self.seen.revision)
            self.seen = None
            self._drop()  # it may lead to the server that was replaced
            try:
                self._on_reset()
            except Exception:
                log.exception("a subscriber failed at a reset")

    async def verify(self, connection: asyncpg.Connection) -> None:
        """To be called on every new connection before it is used for anything else. Raises one of LOST."""
        async with self._verifying:
            seen = self.seen
            if seen is None or await holds(connection, seen):
                return
            if self.seen is None or self.seen.revision != seen.revision:
                return  # moved on meanwhile by a connection that had been verified
            if seen.revision >= await connection.fetchval("SELECT compacted FROM history"):
                self._raises += 1
                await raise_head(connection, seen.revision, self._writer, -self._raises)
            self.reset("the row at our revision is not the one we saw")

    # Reading ----------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        backoff = reconnecting()
        while True:
            try:
                connection = await self._connected()
                waiting, self._waiting = self._waiting, set()
                try:
                    head = await self._read_all(connection)
                except BaseException:
                    self._waiting.update(waiter for waiter in waiting if not waiter.done())
                    raise
                self._release(waiting, head)
                self.is_late = False
                backoff.reset()
            except MissingDictionary as error:  # just learned by another process
                log.info("a body is read again", error=str(error))
                self._learned = True
                await asyncio.sleep(backoff.failed())
                continue
            except LOST as error:
                if self._connection is not None:
                    log.warning(
                        "the connection that follows the log was lost", error=str(error) or type(error).__name__
                    )
                self._drop()
                await asyncio.sleep(backoff.failed())
                continue
            except Exception:  # this task has to live as long as the store
                self._drop()
                log.exception("following the log failed")
                await asyncio.sleep(backoff.failed())
                continue
            if not self._waiting:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._timeouts.poll):
                        await self._wake.wait()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        connection = await connect(self._dsn, self._timeouts)
        try:
            await self.verify(connection)
            await connection.execute(_IN_ORDER)
            await read_bodies(connection, self._packing)
            await connection.add_listener(CHANNEL, self._hint)
            await connection.add_listener(dictionaries.CHANNEL, self._hint_of_dictionary)
            await dictionaries.load(connection, self._packing)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(self._terminated)
        self._connection = connection
        return connection

    def _hint(self, connection: Any, backend: int, channel: str, payload: str) -> None:
        if backend not in self.own_backends:
            self._wake.set()

    def _hint_of_dictionary(self, connection: Any, backend: int, channel: str, payload: str) -> None:
        self._learned = True
        self._wake.set()

    def _terminated(self, connection: Any) -> None:
        self._wake.set()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _read_all(self, connection: asyncpg.Connection) -> int:
        """Publishes the log up to its end as of a query that starts now; returns that revision."""
        while True:
            self._wake.clear()
            if self._learned:
                self._learned = False
                await dictionaries.load(connection, self._packing)
            seen = self.seen
            if seen is None:
                return (await connection.fetchrow(NEWEST, timeout=self._timeouts.answer))["revision"]
            records = await connection.fetch(_TAIL, seen.revision, timeout=self._timeouts.answer)
            if not records:
                return seen.revision
            if not all(record["resource"] for record in records):
                self.reset("another process found that history changed")
                continue
            if not await self._continues(connection, seen, records[0]):
                self.reset("history was compacted past our position")
                continue
            small = list(itertools.takewhile(lambda record: not record["large"], records))
            page = small or await connection.fetch(_FIRST, seen.revision, timeout=self._timeouts.answer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.prepare):
                    await self._sealer.prepare([record["body"] for record in page])
            self._publish_records(page)
            if len(small) == len(records) < _PAGE:
                return records[-1]["revision"]
            await asyncio.sleep(0)

    async def _continues(self, connection: asyncpg.Connection, seen: Position, first: Any) -> bool:
        """Revisions that are left out are of Events, or rows have been dropped (before markers too, of which there are none here)."""
        if first["revision"] == seen.revision + 1:
            return True
        return await connection.fetchval("SELECT compacted FROM history") <= seen.revision

    def _publish_records(self, records: Sequence[Any]) -> None:
        """Own commits may have been published while the query ran: those rows are left out."""
        seen = self.seen
        last = records[-1]
        if seen is None or last["revision"] <= seen.revision:
            return
        after = seen.revision
        position = Position(last["revision"], last["writer"], last["seq"])
        self._publish(rows_of((r for r in records if r["revision"] > after), self._sealer), position)

    def _release(
        self, waiting: set[asyncio.Future[int]] | None = None, head: int = 0, error: Exception | None = None
    ) -> None:
        for waiter in self._waiting if waiting is None else waiting:
            if not waiter.done():
                if error is None:
                    waiter.set_result(head)
                else:
                    waiter.set_exception(error)


def rows_of(records: Iterable[Any], sealer: Sealer) -> list[Row]:
    """Rows of the log as they are published."""
    return [
        Row(revision, key := Key(resource, namespace, name), opened(sealer, key, body), deleted, previous)
        for revision, resource, namespace, name, body, deleted, previous, *_ in records
    ]
