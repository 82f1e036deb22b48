"""Connections that end at the worst moment: every write is carried out once or not at all, and the caller is told which."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from kafila.core.resources import Key
from kafila.store.connect import LOST, Timeouts, connect
from kafila.store.interface import EventQuery, Guard, OutcomeUnknown, StoreUnavailable, Transaction, Write
from kafila.store.postgres import PostgresStore
from kafila.store.timeline import COMMIT_LOCK
from tests.waiting import eventually

from .store_checker import Recorder, check, whole_log
from .store_proxy import Proxy

KEY = Key("pods", "default", "a")


@pytest.fixture
async def proxy(postgres_dsn: str) -> AsyncIterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="kafila-") as folder:  # short: a socket's path has 107 bytes
        async with Proxy(Path(folder), postgres_dsn) as proxy:
            yield proxy


async def opened(dsn: str, **timeouts: float) -> PostgresStore:
    store = PostgresStore(dsn, timeouts=Timeouts(**timeouts))
    await store.open()
    return store


async def reached(store: PostgresStore) -> None:
    """It has a connection again, and on a slow machine that takes longer than its patience with one question."""

    async def answers() -> bool:
        with contextlib.suppress(StoreUnavailable):
            return await store.head() > 0
        return False

    await eventually(answers, "the database")


async def test_a_process_that_stands_still_with_the_lock_does_not_stop_the_others(postgres_dsn: str) -> None:
    """Few statements hold it longer than one call; a process may be stopped between two of them."""
    store = await opened(postgres_dsn)
    stopped = await connect(postgres_dsn, Timeouts(pause=2.0))
    await stopped.execute("BEGIN")
    await stopped.execute("SELECT pg_advisory_xact_lock($1)", COMMIT_LOCK)
    await store.commit(Transaction([], [Write(KEY, b"1")]))
    with pytest.raises(LOST):  # it goes on, and starts again as after any lost connection
        await stopped.execute("SELECT 1")
    stopped.terminate()
    await store.close()


@pytest.mark.parametrize("fault", ["before", "answer", "while"])
@pytest.mark.parametrize("guarded", [False, True])
async def test_a_write_survives_the_loss_of_its_connection(proxy: Proxy, fault: str, guarded: bool) -> None:
    """A create that was carried out must not be answered AlreadyExists by its own repetition."""
    store = await opened(proxy.dsn)
    rows: list = []
    store.subscribe(rows.extend, lambda: None)
    await store.snapshot()
    proxy.arm(b"precious", fault)
    guards = [Guard(KEY, absent=True)] if guarded else []
    [revision] = await store.commit(Transaction(guards, [Write(KEY, b"precious")]))
    assert proxy.struck.is_set()
    assert [(r.revision, r.body) for r in rows] == [(revision, b"precious")]
    assert [(r.revision, r.body) for r in await whole_log(store)] == [(revision, b"precious")]
    await store.close()


READS = {
    "an event": lambda store: store.event("precious", "none"),
    "events": lambda store: store.list_events(EventQuery(namespace="precious")),
    "a list of then": lambda store: store.list_at("precious", 2),
    "a page of members' objects": lambda store: store.search.page("precious", "member1", "", ("", ""), 10),
    "an object of members": lambda store: store.search.find("precious", ["member1"], ("a", "b")),
}


@pytest.mark.parametrize("fault", ["before", "answer", "while"])
@pytest.mark.parametrize("read", READS)
async def test_a_read_does_not_notice_that_its_connection_has_ended(proxy: Proxy, read: str, fault: str) -> None:
    store = await opened(proxy.dsn)
    await store.commit(Transaction([], [Write(KEY, b"x")]))
    expected = await READS[read](store)  # whose connection is kept, and given to the next one
    proxy.arm(b"precious", fault)
    assert await READS[read](store) == expected
    assert proxy.struck.is_set()
    await store.close()


async def test_a_database_that_does_not_answer_is_told_of_until_it_does(postgres_dsn: str) -> None:
    """Its connections are open, so nothing else says so."""
    store = await opened(postgres_dsn, send=0.2)
    await store.commit(Transaction([], [Write(KEY, b"x")]))
    await store.snapshot()
    await store.head()
    assert store.trouble == ""
    holder = await asyncpg.connect(postgres_dsn)
    async with holder.transaction():
        await holder.execute("LOCK TABLE log IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await store.head()
        assert store.trouble == "storage does not answer"
    await reached(store)
    assert store.trouble == ""
    await holder.close()
    await store.close()


async def test_a_batch_that_waits_for_the_lock_when_its_connection_ends_is_carried_out_once(
    proxy: Proxy, postgres_dsn: str
) -> None:
    """The late batch comes to the lock before or after our epoch is raised: once in any case."""
    store = await opened(proxy.dsn)
    await store.commit(Transaction([], [Write(KEY, b"first")]))
    holder = await asyncpg.connect(postgres_dsn)
    await holder.execute("SELECT pg_advisory_lock($1)", COMMIT_LOCK)
    proxy.arm(b"precious", "while")
    commit = asyncio.create_task(store.commit(Transaction([], [Write(KEY, b"precious")])))
    await proxy.struck.wait()
    await holder.execute("SELECT pg_advisory_unlock($1)", COMMIT_LOCK)
    [revision] = await commit
    assert [(r.revision, r.body) for r in await whole_log(store)] == [(2, b"first"), (3, b"precious")]
    assert revision == 3
    await holder.close()
    await store.close()


async def test_a_late_batch_of_an_earlier_epoch_is_refused(postgres_dsn: str) -> None:
    store = await opened(postgres_dsn)
    await store.commit(Transaction([], [Write(KEY, b"x")]))
    connection = await asyncpg.connect(postgres_dsn)
    writer, epoch = await connection.fetchrow("SELECT id, epoch FROM writers")
    empty: list = [[] for _ in range(6)]
    late = [[1], ["pods"], ["default"], ["late"], [b"late"], [None], [""], [False]]
    arguments = (writer, epoch - 1, 99, 1, *empty, *late)
    places = ",".join(f"${i + 1}" for i in range(len(arguments)))
    with pytest.raises(asyncpg.PostgresError) as refused:
        await connection.fetchrow(f"SELECT * FROM commit_batch({places})", *arguments)
    assert refused.value.sqlstate == "KF001"
    await connection.close()
    await store.close()


async def test_unknown_is_said_only_when_nothing_can_be_found_out(proxy: Proxy) -> None:
    store = await opened(proxy.dsn, resolve=0.3, connect=1.0)
    await store.commit(Transaction([], [Write(KEY, b"first")]))
    proxy.arm(b"precious", "answer")
    commit = asyncio.create_task(store.commit(Transaction([], [Write(KEY, b"precious")])))
    await proxy.struck.wait()
    proxy.refusing = True
    with pytest.raises(OutcomeUnknown):
        await commit
    proxy.heal()
    await reached(store)
    [revision] = await store.commit(Transaction([], [Write(KEY, b"next")]))
    assert [r.body for r in await whole_log(store)] == [b"first", b"precious", b"next"]
    assert revision == 4
    await store.close()


async def test_what_was_never_sent_is_unavailable(proxy: Proxy) -> None:
    store = await opened(proxy.dsn, send=1.0, connect=1.0)
    rows: list = []
    store.subscribe(rows.extend, lambda: None)
    await store.commit(Transaction([], [Write(KEY, b"first")]))
    await store.snapshot()
    proxy.refusing = True
    proxy.cut()
    with pytest.raises(StoreUnavailable):
        await store.head()  # the ends of the connections are known here by now: nothing is sent into them
    results = await asyncio.gather(
        *(store.commit(Transaction([], [Write(KEY, b"%d" % i)])) for i in range(5)),
        store.head(),
        store.read_log(1),
        store.leases().acquire("l", "me", 10),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [StoreUnavailable] * 8
    proxy.heal()
    await reached(store)
    [revision] = await store.commit(Transaction([], [Write(KEY, b"again")]))
    assert [(r.revision, r.body) for r in rows] == [(revision, b"again")]
    assert [r.body for r in await whole_log(store)] == [b"first", b"again"]
    await store.close()


async def test_rows_arrive_though_the_listening_connection_ends(postgres_dsn: str) -> None:
    writer, reader = await opened(postgres_dsn), await opened(postgres_dsn)
    seen: asyncio.Queue = asyncio.Queue()
    reader.subscribe(lambda rows: [seen.put_nowait(row.revision) for row in rows], lambda: seen.put_nowait("reset"))
    await reader.snapshot()
    connection = await asyncpg.connect(postgres_dsn)
    for i in range(5):
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        [revision] = await writer.commit(Transaction([], [Write(KEY, b"%d" % i)]))
        assert await seen.get() == revision
    await connection.close()
    await writer.close()
    await reader.close()


async def test_random_cuts_under_load(proxy: Proxy, postgres_dsn: str, tmp_path: Path) -> None:
    """Two processes' worth of writers, one behind a relay that loses everything again and again."""
    cut, whole = await opened(proxy.dsn), await opened(postgres_dsn)
    records = [Recorder(tmp_path / "cut", "cut"), Recorder(tmp_path / "whole", "whole")]
    for record, store in zip(records, (cut, whole), strict=True):
        await record.follow(store)
    done = asyncio.Event()

    async def faults() -> None:
        for i in range(12):
            until = records[0].acknowledged + 30
            while records[0].acknowledged < until:
                await asyncio.sleep(0.005)
            if i % 3 == 0:
                proxy.cut()
            else:
                proxy.arm(b"cut-", "answer" if i % 3 == 1 else "while")
                await proxy.struck.wait()
        done.set()

    await asyncio.gather(
        faults(),
        records[0].keep_writing(cut, 5, done.is_set),
        records[1].keep_writing(whole, 5, done.is_set),
    )
    assert await cut.head() == await whole.head()
    await cut.close()
    await whole.close()
    assert await check(postgres_dsn, tmp_path / "cut", tmp_path / "whole") > 360
