"""The figures of ADR 0002: rows/s and client CPU per row by number of concurrent writers, and idle CPU.

    python bench/group_commit.py /some/folder/others/may/enter [seconds] [snapshot]

``snapshot`` keeps a transaction open meanwhile, as a backup would.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time

import asyncpg
import uvloop

from kafila.core.resources import Key
from kafila.store import open_store
from kafila.store.interface import Guard, Transaction, Write

BODY = b'{"metadata":{' + b'"k":"some text that is not so easy to press together 0123456789",' * 31 + b"}}"


async def measure(store, width: int, seconds: float, tag: str) -> None:
    ends = time.monotonic() + seconds
    waits: list[float] = []

    async def write(number: int) -> None:
        count = 0
        while time.monotonic() < ends:
            key = Key("pods", f"n{number}", f"{tag}-{width}-{count // 2}")
            before = time.monotonic()
            if count % 2 == 0:
                [revision] = await store.commit(Transaction([Guard(key, absent=True)], [Write(key, BODY, "uid")]))
            else:
                await store.commit(Transaction([Guard(key, revision=revision)], [Write(key, BODY, "uid")]))
            waits.append(time.monotonic() - before)
            count += 1

    cpu, began = time.process_time(), time.monotonic()
    await asyncio.gather(*(write(n) for n in range(width)))
    cpu, took = time.process_time() - cpu, time.monotonic() - began
    waits.sort()
    n = len(waits)
    print(
        f"{width:4} writers: {n / took:7.0f} rows/s  {cpu / n * 1e6:5.0f} us CPU/row"
        f"  p50 {waits[n // 2] * 1e3:6.2f} ms  p99 {waits[n * 99 // 100] * 1e3:6.2f} ms",
        flush=True,
    )


async def main() -> None:
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 4.0
    store = await open_store(None, sys.argv[1])
    seen = 0

    def on_rows(rows: list) -> None:
        nonlocal seen
        seen += len(rows)

    store.subscribe(on_rows, lambda: None)
    await store.snapshot()
    holder = None
    if "snapshot" in sys.argv:
        holder = await asyncpg.connect(store.dsn)
        await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM objects LIMIT 1")
    for width in (1, 16, 100, 500):
        await measure(store, width, seconds, f"{time.time():.0f}")
    print("rows seen:", seen, "max RSS MB:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    if holder is not None:
        await holder.close()
    before = time.process_time()
    await asyncio.sleep(5)
    print(f"idle: {(time.process_time() - before) / 5 * 100:.2f} % of a core")
    await store.close()


if __name__ == "__main__":
    uvloop.run(main())
