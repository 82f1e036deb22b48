"""What the database refuses while old history and old Events go keeps nothing from going on: neither the process nor the other of the two."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from kafila.settings.settings import Settings
from kafila.store.interface import StoreUnavailable
from kafila.store.postgres import PostgresStore
from kafila.workers.compaction import compacting

PATIENCE = 60.0  # seconds for anything that has to come
STATES = {"deadlock": "40P01", "lock not available": "55P03", "duplicate table": "42P07"}


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_dsn)
    await store.open()
    await store.snapshot()
    yield store
    await store.close()


async def refuse(dsn: str, function: str, state: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            f"CREATE OR REPLACE FUNCTION {function} LANGUAGE plpgsql AS"
            f" $$BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END$$"
        )
    finally:
        await connection.close()


EVENTS = "ensure_event_partitions(p_width bigint, p_ahead bigint) RETURNS void"
ROWS = "no_row() RETURNS trigger"


async def test_a_refusal_is_the_stores_own_error(store: PostgresStore, postgres_dsn: str) -> None:
    for state in STATES.values():
        await refuse(postgres_dsn, EVENTS, state)
        with pytest.raises(StoreUnavailable, match="not now"):
            await store.expire_events(3600.0)


async def test_the_process_goes_on_and_tries_again(
    store: PostgresStore, postgres_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither waits for the other: compaction is refused by a trigger, and Events are still looked at."""
    await refuse(postgres_dsn, EVENTS, STATES["duplicate table"])
    await refuse(postgres_dsn, ROWS, STATES["deadlock"])
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("CREATE TRIGGER no_row BEFORE UPDATE ON history EXECUTE FUNCTION no_row()")
    await connection.close()
    settings = Settings().model_copy(update={"watch_history": 0.02})  # of which half is waited for
    task = asyncio.create_task(compacting(store, settings))
    told = ""
    async with asyncio.timeout(PATIENCE):
        while min(told.count("history not compacted"), told.count("Events not ended")) < 2:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
            told += capsys.readouterr().out
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
