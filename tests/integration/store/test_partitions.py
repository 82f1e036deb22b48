"""The log's partitions: made ahead of the writers, dropped behind the readers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from kafila.core.resources import Key
from kafila.store.committer import PARTITION
from kafila.store.interface import Compacted, Row, RowsCallback, StoreUnavailable, Transaction, Write
from kafila.store.postgres import PostgresStore
from kafila.store.timeline import raise_head


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_dsn)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


async def partitions(connection: asyncpg.Connection) -> list[int]:
    query = "SELECT substring(relname FROM 5)::bigint FROM pg_class WHERE relkind = 'r' AND relname ~ '^log_[0-9]'"
    return sorted(number // PARTITION for (number,) in await connection.fetch(query))


async def fill(connection: asyncpg.Connection, until: int) -> None:
    """Rows that nobody looks at: the log is full up to there."""
    await connection.execute("SELECT ensure_log_partitions($1)", until)
    await connection.execute(
        "INSERT INTO log (revision, resource, namespace, name, uid, body, deleted, terminating, previous, writer, seq, at)"
        " SELECT r, 'fillers', '', r::text, '', '', false, false, 0, 0, 0, clock_timestamp()"
        " FROM generate_series((SELECT max(revision) + 1 FROM log), $1) r",
        until,
    )


def of_pods(rows: list[Row]) -> RowsCallback:
    return lambda new: rows.extend(row for row in new if row.key.resource == "pods")


def write(name: str, text: bytes | None) -> Transaction:
    return Transaction([], [Write(Key("pods", "", name), text)])


async def test_writers_cross_partitions_and_keep_what_was_before(
    store: PostgresStore, connection: asyncpg.Connection
) -> None:
    rows: list = []
    await store.commit(write("old", b"1"))
    store.subscribe(of_pods(rows), lambda: pytest.fail("reset"))
    await store.snapshot()
    await fill(connection, PARTITION - 2)
    revisions = [(await store.commit(write("old", b"%d" % i)))[0] for i in range(4)]
    assert revisions == [PARTITION - 1, PARTITION, PARTITION + 1, PARTITION + 2]
    assert [row.revision for row in rows] == revisions
    kept = await connection.fetch("SELECT revision, previous_body FROM log WHERE previous_body IS NOT NULL")
    assert [tuple(row) for row in kept] == [(PARTITION, b"0")]
    page = await store.read_log(PARTITION - 2)
    assert [row.previous_body for row in page.rows] == [b"1", b"0", b"1", b"2"]
    assert await partitions(connection) == [0, 1, 2, 3]


async def test_compaction_drops_partitions_and_keeps_previous_bodies(
    store: PostgresStore, connection: asyncpg.Connection
) -> None:
    await store.commit(write("a", b"1"))
    await fill(connection, 2 * PARTITION - 1)
    [later] = await store.commit(write("a", b"2"))
    await store.commit(write("b", b"1"))
    assert await store.compact(0) == later + 1
    assert (await partitions(connection))[0] == 2
    with pytest.raises(Compacted):
        await store.read_log(later)
    [last] = await store.commit(write("a", None))
    assert [(r.revision, r.previous_body, r.deleted) for r in (await store.read_log(later + 1)).rows] == [
        (last, b"2", True)
    ]
    assert [o.key.name for o in await store.list_at("pods", later + 1)] == ["a", "b"]
    assert [o.key.name for o in await store.list_at("pods", last)] == ["b"]


async def test_the_newest_row_is_never_dropped(store: PostgresStore, connection: asyncpg.Connection) -> None:
    await fill(connection, 3 * PARTITION - 1)
    assert await store.compact(0) == 3 * PARTITION - 1
    assert await store.head() == 3 * PARTITION - 1
    assert await store.commit(write("a", b"1")) == [3 * PARTITION]


async def test_a_long_reader_only_postpones_dropping(
    store: PostgresStore, connection: asyncpg.Connection, postgres_dsn: str
) -> None:
    await fill(connection, 2 * PARTITION)
    reader = await asyncpg.connect(postgres_dsn)
    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM log LIMIT 1")
    head = await store.compact(0)
    assert head == 2 * PARTITION
    assert await store.commit(write("a", b"1")) == [head + 1]  # writers do not wait for it
    assert 1 in await partitions(connection)
    await reader.close()
    await store.compact(0)
    assert (await partitions(connection))[0] == 2


async def test_partitions_missing_after_another_process_raised_the_head(
    store: PostgresStore, connection: asyncpg.Connection
) -> None:
    """The process that had seen nothing of what was lost starts again too: its watchers may have come from one that had."""
    rows: list = []
    reset = asyncio.Event()
    store.subscribe(of_pods(rows), reset.set)
    await store.snapshot()
    await store.commit(write("a", b"1"))
    raised = await raise_head(connection, 2, 1, -1)
    bound = raised // PARTITION * PARTITION + 3 * PARTITION
    await fill(connection, bound - 1)
    for number in (bound, bound + PARTITION, bound + 2 * PARTITION):
        await connection.execute(f"DROP TABLE IF EXISTS log_{number}")
    assert await store.commit(write("a", b"2")) == [bound]
    await reset.wait()
    assert [(row.revision, row.previous) for row in rows] == [(2, 0)]
    revision, objects = await store.snapshot()
    assert (revision, [(o.revision, o.body) for o in objects]) == (bound, [(bound, b"2")])


async def test_a_process_that_slept_through_compaction_starts_again(
    store: PostgresStore, connection: asyncpg.Connection, postgres_dsn: str
) -> None:
    """Its connection may have survived (a stopped process) or not; nothing was lost, so no revision is raised."""
    reset = asyncio.Event()
    rows: list = []
    await store.commit(write("a", b"1"))
    store.subscribe(of_pods(rows), reset.set)
    await store.snapshot()
    slept = store._log_tailer.seen
    await fill(connection, 2 * PARTITION)
    await store.head()
    await store.compact(0)
    for ends in (False, True):
        store._log_tailer.seen = slept
        if ends:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        while not reset.is_set():
            with contextlib.suppress(StoreUnavailable):
                await store.head()
            if not reset.is_set():
                store._log_tailer.seen = slept  # the answer to a question that was under way has moved it on
        reset.clear()
        revision, _ = await store.snapshot()
        [later] = await store.commit(write("a", b"2"))
        assert (rows[-1].revision, later) == (later, revision + 1)
    assert later < 3 * PARTITION
