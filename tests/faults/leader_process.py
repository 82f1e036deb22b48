"""Leads when it may, and notes every moment of it: ``python leader_process.py <record>``, DSN in DATABASE_URL. SIGTERM ends it.

With ``starved`` behind it there is no descriptor left for the keeper of its lease.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time

from kafila.store.postgres import PostgresStore
from kafila.workers.leader import Durations, Leader

DURATIONS = Durations(lease=5.0, deadline=4.0, retry=0.1)  # a slow machine stands still for a second at times


async def main() -> None:
    record = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    store = PostgresStore(os.environ["DATABASE_URL"])
    await store.open()
    work: list[asyncio.Task[None]] = []

    def note(what: str) -> None:
        os.write(record, f"{what} {os.getpid()} {time.monotonic()}\n".encode())

    async def keep_working() -> None:
        while True:
            note("work")
            await asyncio.sleep(0.01)

    class Work:
        async def start(self) -> None:
            work.append(asyncio.create_task(keep_working()))

        async def stop(self) -> None:
            work.pop().cancel()
            note("stop")

    if "starved" in sys.argv:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    leader = Leader(store, "test", DURATIONS)
    leader.start(Work())
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    note("up")
    await done.wait()
    await leader.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
