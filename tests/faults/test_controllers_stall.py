"""Work that holds the event loop for long: the lease is renewed meanwhile, and what it made is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, final

import psycopg
import pytest

from kafila.core.resources import Key
from kafila.store.interface import LeaseLost, Transaction, Write
from kafila.store.postgres import PostgresStore
from kafila.store.timeline import COMMIT_LOCK
from kafila.workers.leader import Durations, Leader

from .processes import PATIENCE

KEY = Key("pods", "default", "p")
# A lease that no machine is too slow for. That it would have run out is seen by its renewals, and done by the clock of the database.
LEASE = Durations(lease=600.0, deadline=450.0, retry=0.1)
RENEWALS = 5


@final
class Job:
    """Holds the event loop until ``over``, then writes. Notes what became of it."""

    def __init__(self, dsn: str, over: Callable[[psycopg.Connection[Any]], bool], durations: Durations = LEASE) -> None:
        self.notes: list[str] = []
        self.done = asyncio.Event()
        self._dsn = dsn
        self._over = over
        self._store = PostgresStore(dsn)
        self.leader = Leader(self._store, "test", durations)
        self._task: asyncio.Task[None]

    async def run(self) -> list[str]:
        await self._store.open()
        try:
            self.leader.start(self)
            async with asyncio.timeout(PATIENCE):
                await self.done.wait()
        finally:
            await self.leader.stop()
            await self._store.close()
        return self.notes

    async def start(self) -> None:
        self.notes.append("begun")
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        self.notes.append("ended")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            limit = time.monotonic() + PATIENCE
            while not self._over(connection):
                assert time.monotonic() < limit
        try:
            await self._store.commit(Transaction([], [Write(KEY, b"made")], self.leader.fence()))
            self.notes.append("written")
        except (LeaseLost, asyncio.CancelledError):  # by the database, or by the leader, who may hear of it first
            self.notes.append("refused")
        self.done.set()


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_dsn, autocommit=True) as found:
        yield found


def row(connection: psycopg.Connection[Any], columns: str) -> Any:
    found = connection.execute(f"SELECT {columns} FROM leases WHERE name = 'test'").fetchone()
    assert found is not None
    return found[0]


async def test_work_that_takes_longer_than_the_lease_is_written(postgres_dsn: str) -> None:
    """It was fenced off, begun again after 5 ms, and so for ever: nothing renewed the lease while the event loop was held."""
    seen: set[Any] = set()

    def renewed(connection: psycopg.Connection[Any]) -> bool:
        seen.add(row(connection, "expires"))
        return len(seen) > RENEWALS

    job = Job(postgres_dsn, renewed)
    assert await job.run() == ["begun", "written", "ended"]


async def test_what_was_begun_under_another_token_is_not_written(
    postgres_dsn: str, connection: psycopg.Connection[Any]
) -> None:
    """Somebody else had the lease for a moment. The keeper has it again before the work knows."""
    first: list[int] = []

    def taken_and_back(connection: psycopg.Connection[Any]) -> bool:
        if not first:
            first.append(row(connection, "token"))
            connection.execute("SELECT acquire_lease('test', 'thief', 0, %s)", (job.leader.identity,))
        return bool(row(connection, "token") == first[0] + 2 and job.leader._keeper.held.lease.token == first[0] + 2)

    job = Job(postgres_dsn, taken_and_back)
    assert [note for note in await job.run() if note != "ended"][:2] == ["begun", "refused"]
    assert connection.execute("SELECT FROM objects").fetchone() is None


async def test_an_event_loop_that_does_not_come_back_loses_the_lease(
    postgres_dsn: str, connection: psycopg.Connection[Any]
) -> None:
    seen: list[tuple[Any, float]] = []

    def lost(connection: psycopg.Connection[Any]) -> bool:
        stalled = job.leader._stalled_for()
        if stalled < durations.stall + LEASE.retry:  # an attempt that was begun before that may renew it still
            return False
        seen.append((row(connection, "expires"), stalled))
        if seen[-1][0] != seen[0][0]:
            seen.clear()
        if not seen or stalled < seen[0][1] + RENEWALS * LEASE.retry:
            return False
        connection.execute("UPDATE leases SET expires = clock_timestamp()")  # nobody has renewed it: its time is over
        answer = connection.execute("SELECT acquire_lease('test', 'other', 60, '')").fetchone()
        return answer is not None and answer[0] is not None

    durations = LEASE._replace(stall=0.5)
    job = Job(postgres_dsn, lost, durations)
    assert [note for note in await job.run() if note != "ended"][:2] == ["begun", "refused"]
    assert row(connection, "holder") == "other"
    assert connection.execute("SELECT FROM objects").fetchone() is None


class Nothing:
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def test_what_an_attempt_takes_while_the_process_ends_is_given_back(
    postgres_dsn: str, connection: psycopg.Connection[Any]
) -> None:
    """The attempt is cancelled here and carried out there: the successor would wait until the lease has run out."""
    connection.execute("SELECT pg_advisory_lock(%s)", (COMMIT_LOCK,))
    leader = Leader(PostgresStore(postgres_dsn), "test", LEASE._replace(deadline=10 * PATIENCE, retry=PATIENCE))
    leader.start(Nothing())
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE %s"
    async with asyncio.timeout(PATIENCE):
        while connection.execute(waiting, ("%acquire_lease%",)).fetchone() == (0,):
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(leader.stop())
        while not stopping.done() and connection.execute(waiting, ("SELECT pg_advisory_xact_lock%",)).fetchone() == (
            0,
        ):
            await asyncio.sleep(0.01)
        connection.execute("SELECT pg_advisory_unlock_all()")
        await stopping
        while connection.execute(waiting, ("%",)).fetchone() != (0,):
            await asyncio.sleep(0.01)
    taken = connection.execute("SELECT acquire_lease('test', 'successor', 60, '')").fetchone()
    assert taken is not None
    assert taken[0] is not None


async def test_the_end_does_not_wait_for_a_database_that_does_not_answer(
    postgres_dsn: str, connection: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody holds the lock that a lease is taken under: the attempt would be given up after the deadline."""
    connection.execute("SELECT pg_advisory_lock(%s)", (COMMIT_LOCK,))
    store = PostgresStore(postgres_dsn)
    leader = Leader(store, "test", LEASE._replace(deadline=10 * PATIENCE))
    leader.start(Nothing())
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE d.datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    async with asyncio.timeout(PATIENCE):
        while connection.execute(waiting).fetchone() == (0,):
            await asyncio.sleep(0.01)
        await leader.stop()
    assert not leader._keeper._thread.is_alive()
    assert "lease not renewed" not in capsys.readouterr().out  # which it says when it has waited in vain
    connection.execute("SELECT pg_advisory_unlock_all()")
