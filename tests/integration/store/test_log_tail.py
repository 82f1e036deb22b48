"""How the database finds the log's tail."""

from __future__ import annotations

from kafila.store.log_tailer import _TAIL
from kafila.store.postgres import PostgresStore


async def test_the_tail_of_a_log_that_was_small_is_read_in_order(postgres_dsn: str) -> None:
    """Rows are taken from the index as far as they are wanted, not all of them found and sorted."""
    store = PostgresStore(postgres_dsn)
    await store.open()
    try:
        await store.snapshot()
        await store.head()
        connection = store._log_tailer._connection
        assert connection is not None
        plan = "\n".join(line for (line,) in await connection.fetch(f"EXPLAIN {_TAIL.replace('$1', '1')}"))
    finally:
        await store.close()
    assert "Index Scan using log_0_pkey" in plan
    assert "Sort" not in plan
