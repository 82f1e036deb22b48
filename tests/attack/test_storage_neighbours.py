"""Writes go to the database together. What one of them does to it is not what happens to the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.core.resources import Key
from app.store import batch
from app.store.batch import Pending
from app.store.interface import StoreUnavailable, Transaction, Write
from app.store.postgres import PostgresStore

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
