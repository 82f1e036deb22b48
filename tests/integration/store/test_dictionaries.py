"""Dictionaries are learned from what is stored, and every process can read what was packed with them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import orjson
import pytest

from kafila.core.resources import Key
from kafila.store import dictionaries
from kafila.store.history import PAGE_BYTES
from kafila.store.interface import EventQuery, StoreUnavailable, Transaction, Write
from kafila.store.packing import LARGEST
from kafila.store.postgres import PostgresStore

from .conftest import Subscriber

COMMON = bytes(random.Random("an installation").choices(b"abcdefghijklmnopqrstuvwxyz ", k=1500)).decode()


def body(number: int) -> bytes:
    return orjson.dumps({"metadata": {"name": f"app-{number}", "uid": f"{number:032x}"}, "spec": {"text": COMMON}})


def writes(numbers: range, resource: str = "pods") -> Transaction:
    return Transaction([], [Write(Key(resource, "a", f"n{number}"), body(number)) for number in numbers])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionaries, "DELAY", 0.0)
    monkeypatch.setattr(dictionaries, "FIRST_PAUSE", 0.0)


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def stores(postgres_dsn: str) -> AsyncIterator[list[PostgresStore]]:
    """Two processes over one database."""
    opened = [PostgresStore(postgres_dsn) for _ in range(2)]
    for store in opened:
        await store.open()
    yield opened
    for store in opened:
        await store.close()


async def stored(connection: asyncpg.Connection, name: str) -> bytes:
    return await connection.fetchval("SELECT body FROM objects WHERE name = $1", name)


async def learned(store: PostgresStore) -> None:
    await store.compact(300)
    await asyncio.sleep(0)  # what it learned is used in the loop's next turn


def forget(store: PostgresStore) -> None:
    """As if it had never heard of what others learned."""
    store._packing.__init__()  # type: ignore[misc]


async def test_what_one_process_learns_all_can_read(
    stores: list[PostgresStore], connection: asyncpg.Connection, postgres_dsn: str
) -> None:
    first, second = stores
    subscriber = await Subscriber(second).begin()
    await first.commit(writes(range(400)))
    await first.commit(writes(range(400), "events"))
    before = len(await stored(connection, "n1"))
    await learned(first)
    kinds = await connection.fetch("SELECT kind FROM dictionaries ORDER BY kind")
    assert [kind for (kind,) in kinds] == ["events", "objects"]

    start = await first.head()
    await first.commit(writes(range(400, 410)))
    await first.commit(writes(range(1000, 1010), "events"))
    assert len(await stored(connection, "n401")) < before / 4
    await second.head()
    assert [row.body for row in subscriber.rows if row.key.name == "n401"] == [body(401)]
    assert (await second.read_log(start)).rows[1].body == body(401)
    event = await second.event("a", "n1001")
    assert event is not None
    assert event.body == body(1001)
    found = await second.list_events(EventQuery(containing=b"app-1001"))
    assert [o.body for o in found.objects] == [body(1001)]

    later = PostgresStore(postgres_dsn)  # which starts when all of it was learned
    await later.open()
    _, objects = await later.snapshot()
    assert {o.key.name: o.body for o in objects} == {f"n{number}": body(number) for number in range(410)}
    await later.commit(writes(range(410, 411)))  # and packs with it at once
    assert len(await stored(connection, "n410")) < before / 4
    await later.close()


async def test_a_process_that_was_not_told_reads_again(
    stores: list[PostgresStore], connection: asyncpg.Connection
) -> None:
    """It stood still while others learned and wrote; nothing of what it reads may be wrong, and it goes on."""
    first, second = stores
    subscriber = await Subscriber(second).begin()
    await second.read_log(await second.head())  # its connections are made before there is anything to know
    await first.commit(writes(range(400)))
    await second.head()
    await learned(first)
    forget(second)
    start = await first.head()
    await first.commit(writes(range(400, 410)))
    await second.head()
    assert [row.body for row in subscriber.rows if row.key.name == "n401"] == [body(401)]
    forget(second)
    with pytest.raises(StoreUnavailable):  # which is: ask again
        await second.read_log(start)
    assert (await second.read_log(start)).rows[1].body == body(401)


async def test_a_database_that_lost_a_dictionary_gets_it_before_it_is_used(
    stores: list[PostgresStore], connection: asyncpg.Connection
) -> None:
    """A standby that is promoted may not have what was learned last."""
    first = stores[0]
    await Subscriber(first).begin()
    await first.commit(writes(range(400)))
    await learned(first)
    assert first._packing.of_objects != first._packing.base
    await connection.execute("DELETE FROM dictionaries")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await first.commit(writes(range(400, 401)))
    number = int.from_bytes((await stored(connection, "n400"))[1:5], "big")
    assert await connection.fetchval("SELECT kind FROM dictionaries WHERE id = $1", number) == "objects"


@pytest.mark.parametrize("resource", ["secrets", "keypairs.internal"])
async def test_secrets_teach_nothing(
    resource: str, stores: list[PostgresStore], connection: asyncpg.Connection
) -> None:
    await stores[0].commit(writes(range(400), resource))
    await learned(stores[0])
    assert await connection.fetchval("SELECT count(*) FROM dictionaries") == 0


async def test_there_is_an_end_of_learning(
    stores: list[PostgresStore], connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dictionaries, "MOST", 0)
    await stores[0].commit(writes(range(400)))
    await learned(stores[0])
    assert await connection.fetchval("SELECT count(*) FROM dictionaries") == 0
    assert stores[0]._packing.of_objects == stores[0]._packing.base


async def test_what_is_not_what_was_stored_is_refused(
    stores: list[PostgresStore], connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO dictionaries VALUES (7, 'objects', 'another one', now())")
    await stores[0]._pool.expire()
    with pytest.raises(StoreUnavailable, match="dictionary 7"):
        await stores[0].read_log(1)


async def test_a_page_of_history_is_bounded_by_what_it_becomes(stores: list[PostgresStore]) -> None:
    """What is nothing but spaces takes no room in the database, and as much as anything else in memory."""
    large = b'{"a":"' + b" " * (LARGEST - 10) + b'"}'
    start = await stores[0].head()
    for part in range(4):
        keys = [Key("pods", "a", f"n{part}-{number}") for number in range(100)]
        await stores[0].commit(Transaction([], [Write(key, large) for key in keys]))
    rows = (await stores[0].read_log(start)).rows
    assert PAGE_BYTES <= sum(len(row.body) for row in rows) <= PAGE_BYTES + LARGEST


async def test_rows_of_older_schemas_stay_readable(stores: list[PostgresStore], connection: asyncpg.Connection) -> None:
    from tests.unit.store.test_packing import DEFLATED, EVENT

    await stores[0].commit(Transaction([], [Write(Key("events", "a", "old"), EVENT)]))
    await connection.execute("UPDATE events SET body = $1", DEFLATED)
    await stores[0].commit(Transaction([], [Write(Key("pods", "a", "old"), EVENT)]))
    await connection.execute("UPDATE objects SET body = $1", EVENT)
    event = await stores[0].event("a", "old")
    assert event is not None
    assert event.body == EVENT
    assert [found.body for found in (await stores[0].snapshot())[1]] == [EVENT]
