"""Group commit: whatever transactions wait are sent together; while they are under way the next ones gather.

A batch whose connection was lost is not guessed about. The next connection first raises this writer's epoch under the lock,
after which the lost batch can no longer be carried out, and then looks in the log for the batch's rows: those transactions
were committed, the others were not and are sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque

import asyncpg
import structlog

from kafila.core.resources import Key
from kafila.telemetry.tasks import cancelled

from . import batch as batches
from . import dictionaries, events
from .batch import Outcome, Pending
from .connect import LOST, Timeouts, connect, reconnecting, warn_about_durability
from .health import ATTEMPT, CHECK_AGAIN, Health, first_line
from .interface import OutcomeUnknown, StoreUnavailable, Transaction
from .log_tailer import LogTailer
from .packing import Packing
from .sealing import Sealed
from .timeline import COMMIT_LOCK, NEWEST

log = structlog.get_logger("kafila.store")

PARTITION = 32768  # revisions per partition, as in the database's functions
_MISSING_PARTITION = asyncpg.CheckViolationError
_LOSSES = 4  # connections that one transaction may cost, the last of them alone
_EPOCH_PASSED = "KF001"
_EXTEND = "SELECT ensure_log_partitions((SELECT revision FROM log ORDER BY revision DESC LIMIT 1) + 1000)"
_WRITTEN = """
SELECT resource, namespace, name, revision FROM log WHERE revision > $1 AND writer = $2 AND seq = $3
UNION ALL SELECT 'events', namespace, name, revision FROM events WHERE revision > $1 AND writer = $2 AND seq = $3
"""


class Committer:
    """One connection, one batch under way."""

    def __init__(self, dsn: str, log_tailer: LogTailer, timeouts: Timeouts, event_ttl: float, packing: Packing) -> None:
        self.writer = random.getrandbits(62)
        self._epoch = 0
        self._seq = 0
        self._known = 0  # a revision we know to exist
        self._partitioned = 0  # first revision without a partition, as far as we know
        self.health = Health()
        self._next_check = 0.0  # when a database that took nothing is asked again
        self._dsn = dsn
        self._extend_events = events.extension(event_ttl)
        self._log_tailer = log_tailer
        self._packing = packing
        self._timeouts = timeouts
        self._queue: deque[Pending] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._connection: asyncpg.Connection | None = None
        self._statement: asyncpg.prepared_stmt.PreparedStatement | None = None
        self._backoff = reconnecting()
        self._task: asyncio.Task[None] | None = None
        self._delivering: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="store-committer")

    async def commit(self, transaction: Transaction, sealed: Sealed | None = None) -> list[int]:
        if self._closing:
            raise StoreUnavailable("the store is closed")
        pending = Pending(transaction, asyncio.get_running_loop(), sealed)
        self._queue.append(pending)
        self._wake.set()
        return await pending.future

    async def close(self) -> None:
        """Carries out what waits, then ends."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._timeouts.send)
            await cancelled(self._task)
        if self._delivering:
            await asyncio.wait(self._delivering, timeout=self._timeouts.send)
        for pending in self._queue:
            pending.fail(StoreUnavailable("the store is closed"))
        self._drop()

    async def _run(self) -> None:
        while self._queue or not self._closing:
            if self.health.trouble and not self._closing:
                await self._check_again()
            if not self._queue:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_AGAIN if self.health.trouble else None):
                        await self._wake.wait()
                continue
            batch = batches.take(self._queue)
            if not batch:
                continue
            try:
                await self._guaranteed_update(batch)
            except asyncio.CancelledError:
                _fail(batch, OutcomeUnknown("the store was closed"))
                raise
            except Exception as error:
                log.exception("commit failed")
                _fail(batch, OutcomeUnknown(str(error)))
                self._drop()

    async def _guaranteed_update(self, batch: list[Pending]) -> None:
        """Brings every transaction of the batch to its end, over as many connections as that takes."""
        while batch:
            connection = await self._connected(batch)
            if connection is None:
                return
            self._seq += 1
            columns, asked = batches.arguments(batch, self._packing)
            assert self._statement is not None
            try:
                record = await self._statement.fetchrow(
                    self.writer, self._epoch, self._seq, self._known, *columns, timeout=self._timeouts.answer
                )
            except LOST as error:
                log.warning("connection lost in a commit", error=str(error) or type(error).__name__)
                self._drop()
                batch, *others = batches.apart(_without_hopeless(await self._resolve(batch)))
                for other in others:
                    await self._guaranteed_update(other)
            except _MISSING_PARTITION:
                await self._extend()
            except asyncpg.PostgresError as error:
                batch = await self._refused(batch, error)
            except (ValueError, TypeError, asyncpg.DataError) as error:  # not encodable: never sent
                batch = await self._refused(batch, error)
            else:
                await self._finish(batch, Outcome(batch, asked, record))
                return

    async def _finish(self, batch: list[Pending], outcome: Outcome) -> None:
        """The subscriber sees the rows before the callers go on."""
        self._known = outcome.last
        if self._log_tailer.offer(outcome.before, outcome.last, outcome.rows, self._seq, self.writer):
            outcome.deliver(batch)
        else:  # rows of other processes come first: read meanwhile, the next batch need not wait for that
            task = asyncio.create_task(self._deliver_after(outcome, batch))
            self._delivering.add(task)
            task.add_done_callback(self._delivering.discard)
        if outcome.last + 2 * PARTITION >= self._partitioned:
            await self._extend()

    async def _deliver_after(self, outcome: Outcome, batch: list[Pending]) -> None:
        try:
            await self._log_tailer.catch_up(outcome.last)
        finally:
            outcome.deliver(batch)

    async def _extend(self) -> None:
        """Partitions for what comes next, two ahead. Other writers may be far beyond the revision we know."""
        try:
            if self._connection is not None:
                await self._make_partitions(self._connection)
        except (*LOST, asyncpg.PostgresError) as error:
            log.warning("could not create partitions", error=str(error) or type(error).__name__)
            self._drop()

    async def _make_partitions(self, connection: asyncpg.Connection) -> None:
        self._partitioned = await connection.fetchval(_EXTEND, timeout=self._timeouts.answer)
        await connection.execute(self._extend_events, timeout=self._timeouts.answer)

    async def _refused(self, batch: list[Pending], error: Exception) -> list[Pending]:
        """The server rolled the batch back. One bad transaction must not fail the others: each goes alone."""
        if getattr(error, "sqlstate", "") == _EPOCH_PASSED:
            self._drop()
            return batch
        if len(batch) > 1:
            for pending in batch:
                await self._guaranteed_update([pending])
        elif isinstance(error, (ValueError, TypeError, asyncpg.DataError)):
            _fail(batch, error)
        else:
            if not self.health.refused(error):
                log.error("a commit was refused", error=first_line(error), keys=_keys(batch[0]))
            _fail(batch, StoreUnavailable(first_line(error)))
        return []

    async def _check_again(self) -> None:
        """Whether the database takes writes again: nobody may be sending any."""
        now = asyncio.get_running_loop().time()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_AGAIN
        try:
            if self._connection is None or self._connection.is_closed():
                await self._connect()
            assert self._connection is not None
            await self._connection.execute(ATTEMPT, timeout=self._timeouts.answer)
        except Exception as error:  # whatever it is: it takes no writes still
            self.health.refused(error)
            self._drop()
        else:
            self.health.works()

    # Connections ------------------------------------------------------------------------------------------------------

    async def _connected(self, batch: list[Pending]) -> asyncpg.Connection | None:
        """None when nobody waits any more: those who waited too long got StoreUnavailable, nothing of theirs was sent."""
        while self._connection is None or self._connection.is_closed():
            try:
                await self._connect()
            except (*LOST, asyncpg.PostgresError) as error:
                self._drop()
                self.health.refused(error)
                self._give_up(batch, first_line(error))
                if not batch:
                    return None
                await asyncio.sleep(self._backoff.failed())
        return self._connection

    def _give_up(self, batch: list[Pending], why: str) -> None:
        """Fails those who waited too long, in the batch and behind it."""
        before = asyncio.get_running_loop().time() - self._timeouts.send
        for waiting in (batch, self._queue):
            for pending in waiting:
                if pending.since < before:
                    pending.fail(StoreUnavailable(why))
            kept = [pending for pending in waiting if not pending.future.done()]
            waiting.clear()
            waiting.extend(kept)

    async def _connect(self) -> None:
        """A connection on which nothing of an earlier one can still be carried out."""
        connection = await connect(self._dsn, self._timeouts)
        self._connection = connection
        await self._log_tailer.verify(connection)
        async with asyncio.timeout(self._timeouts.answer), connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", COMMIT_LOCK)
            self._epoch = await connection.fetchval(
                "INSERT INTO writers AS w VALUES ($1, $2, clock_timestamp())"
                " ON CONFLICT (id) DO UPDATE SET epoch = greatest(w.epoch, $2 - 1) + 1, at = clock_timestamp()"
                " RETURNING epoch",
                self.writer,
                self._epoch + 1,
            )
            self._known = (await connection.fetchrow(NEWEST))["revision"]
        await dictionaries.save(connection, self._packing)
        self._statement = await connection.prepare(batches.COMMIT)
        await self._make_partitions(connection)
        if self._epoch == 1:
            await warn_about_durability(connection)
        self._log_tailer.own_backends = {connection.get_server_pid()}
        self._backoff.reset()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
            self._statement = None

    async def _resolve(self, batch: list[Pending]) -> list[Pending]:
        """What became of the batch sent last. Delivers what was committed, returns what was not."""
        seq, known = self._seq, self._known
        try:
            async with asyncio.timeout(self._timeouts.resolve):
                written = await self._written(seq, known)
        except TimeoutError:
            _fail(batch, OutcomeUnknown("the connection to the database was lost while committing"))
            return []
        except OutcomeUnknown as error:
            _fail(batch, error)
            return []
        committed, rest = batches.recovered(batch, written)
        if committed:
            await self._log_tailer.catch_up(max(written.values()))
        for pending in committed:
            pending.succeed([written[write.key] for write in pending.transaction.writes])
        now = asyncio.get_running_loop().time()
        for pending in rest:
            pending.since = max(pending.since, now - self._timeouts.send / 2)  # certainly not sent: may try again
        return [pending for pending in rest if not pending.future.done()]

    async def _written(self, seq: int, known: int) -> dict[Key, int]:
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    await self._connect()
                assert self._connection is not None
                compacted = await self._connection.fetchval("SELECT compacted FROM history")
                if compacted > known:
                    raise OutcomeUnknown("the history that would tell is gone")
                records = await self._connection.fetch(
                    _WRITTEN,
                    known,
                    self.writer,
                    seq,
                )
                return {Key(r["resource"], r["namespace"], r["name"]): r["revision"] for r in records}
            except (*LOST, asyncpg.PostgresError):
                self._drop()
                await asyncio.sleep(self._backoff.failed())


def _without_hopeless(batch: list[Pending]) -> list[Pending]:
    """Counts a lost connection, and fails the one that has lost several on its own: it was certainly not carried out."""
    for pending in batch:
        pending.losses += 1
    if len(batch) == 1 and batch[0].losses >= _LOSSES:
        log.error("every connection that was to write this was lost", keys=_keys(batch[0]))
        batch.pop().fail(StoreUnavailable("the database ends the connection on which this is written"))
    return batch


def _keys(pending: Pending) -> list[str]:
    return ["/".join(write.key) for write in pending.transaction.writes[:10]]


def _fail(batch: list[Pending], error: Exception) -> None:
    for pending in batch:
        pending.fail(error)
