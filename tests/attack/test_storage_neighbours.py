"""Writes go to the database together. What one of them does to it is not what happens to the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import asyncpg
import pytest

from kafila.core.resources import Key
from kafila.store import batch
from kafila.store.batch import Pending
from kafila.store.history import PAGE_BYTES
from kafila.store.interface import Row, StoreUnavailable, Transaction, Write
from kafila.store.postgres import PostgresStore

# A write that the database does not survive, as one of 900 MB was
POISON = """
CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NEW;
END $$;
CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON objects
FOR EACH ROW WHEN (NEW.name = 'poison') EXECUTE FUNCTION poison();
"""


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(POISON)
    await connection.close()
    store = PostgresStore(postgres_dsn)
    await store.open()
    yield store
    await store.close()


def write(name: str, body: bytes = b"{}") -> Transaction:
    return Transaction([], [Write(Key("configmaps", "default", name), body)])


async def test_a_write_that_ends_the_connection_fails_alone(store: PostgresStore) -> None:
    names = [f"c{number}" for number in range(20)]
    names.insert(7, "poison")
    outcomes = await asyncio.gather(*(store.commit(write(name)) for name in names), return_exceptions=True)
    failed = [name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, BaseException)]
    assert failed == ["poison"]
    assert isinstance(outcomes[7], StoreUnavailable)  # certainly not carried out
    stored = [found.key.name async for found in store.listing()]
    assert sorted(stored) == sorted(set(names) - {"poison"})
    assert await store.commit(write("next"))


async def test_a_batch_is_bounded_in_bytes() -> None:
    """Not by what it may have before the next transaction is added: that one may be large."""
    loop = asyncio.get_running_loop()
    third = b"x" * (batch.MAX_BYTES // 3)
    queue = deque(Pending(write(f"c{number}", third), loop) for number in range(5))
    queue.append(Pending(write("big", 3 * batch.MAX_BYTES * b"x"), loop))  # alone: it has to go at some time
    queue.append(Pending(write("small"), loop))
    sent = []
    while queue:
        sent.append([pending.transaction.writes[0].key.name for pending in batch.take(queue)])
    assert sent == [["c0", "c1", "c2"], ["c3", "c4"], ["big"], ["small"]]


async def test_what_is_read_of_the_log_at_once_is_bounded_in_bytes(store: PostgresStore) -> None:
    """A process that comes back after a while would else have 500 objects of 8 MiB in memory."""
    other = PostgresStore(store.dsn)
    seen: list[Row] = []
    other.subscribe(seen.extend, lambda: None)
    await other.open()
    start, _ = await other.snapshot()
    half = b"x" * (PAGE_BYTES // 2)
    for number in range(5):
        await store.commit(write(f"c{number}", half))
        await store.commit(write("small"))
    head = await other.head()
    assert [(row.revision, len(row.body)) for row in seen] == [
        (start + 1 + number, 2 if number % 2 else len(half)) for number in range(head - start)
    ]
    await other.close()
    pages = []
    while rows := (await store.read_log(pages[-1][-1] if pages else start)).rows:
        pages.append([row.revision for row in rows])
    assert [len(page) for page in pages] == [3, 4, 3]
    assert [revision for page in pages for revision in page] == list(range(start + 1, head + 1))
