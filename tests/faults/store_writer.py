"""A process that writes until its standard input ends: ``python store_writer.py <record> <name> <keys>``, DSN in DATABASE_URL."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from kafila.store.postgres import PostgresStore
from tests.faults.store_checker import Recorder


async def main() -> None:
    store = PostgresStore(os.environ["DATABASE_URL"])
    await store.open()
    record = Recorder(Path(sys.argv[1]), sys.argv[2])
    await record.follow(store)
    done = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), done.set)
    await record.keep_writing(store, int(sys.argv[3]), done.is_set)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
