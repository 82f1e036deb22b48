"""What a snapshot that is held open for ten minutes costs (ADR 0002): commits at a steady pace, with a burst each minute.

    python bench/open_snapshot.py /some/folder/others/may/enter [minutes with the snapshot] [rows per second]

The first two minutes and the last two are without it. The snapshot has read every table, as ``pg_dump`` does, so that it also
keeps partitions from being dropped; history is compacted to one minute each minute.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from pathlib import Path

import asyncpg
import uvloop

from kafila.core.resources import Key
from kafila.store import open_store
from kafila.store.interface import Guard, Transaction, Write

# 2 kB of which the server can press together about a half, as with real objects
BODY = b'{"metadata":{' + b"".join(b'"k%d":"%s",' % (n, random.randbytes(8).hex().encode()) for n in range(80)) + b"}}"
OBJECTS = 2000
WRITERS = 16
BURST = 5.0  # seconds


class Load:
    """Objects that are changed in turn, each change a compare-and-set."""

    def __init__(self, store) -> None:
        self.store = store
        self.revisions = [0] * OBJECTS
        self.waits: list[float] = []
        self._next = itertools.count()

    async def one(self) -> None:
        number = next(self._next) % OBJECTS
        key, known = Key("pods", "n", f"p{number}"), self.revisions[number]
        guard = Guard(key, revision=known) if known else Guard(key, absent=True)
        before = time.monotonic()
        [self.revisions[number]] = await self.store.commit(Transaction([guard], [Write(key, BODY, "uid")]))
        self.waits.append(time.monotonic() - before)

    async def steady(self, seconds: float, pace: float) -> None:
        ends = time.monotonic() + seconds

        async def write(number: int) -> None:
            await asyncio.sleep(number / pace)
            due = time.monotonic()
            while due < ends:
                await self.one()
                due += WRITERS / pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))

        await asyncio.gather(*(write(n) for n in range(WRITERS)))

    async def burst(self, seconds: float) -> None:
        ends = time.monotonic() + seconds

        async def write() -> None:
            while time.monotonic() < ends:
                await self.one()

        await asyncio.gather(*(write() for _ in range(WRITERS)))

    def taken(self) -> list[float]:
        waits, self.waits = sorted(self.waits), []
        return waits


def postgres_cpu(data: Path) -> float:
    """Seconds of all the server's processes."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text().strip() == "postgres" and (entry / "cwd").readlink() == data:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / 100


async def hold(dsn: str) -> asyncpg.Connection:
    holder = await asyncpg.connect(dsn)
    await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    for table in ("objects", "log", "writers", "history", "leases"):
        await holder.execute(f"SELECT count(*) FROM {table}")
    return holder


async def report(load: Load, minute: int, held: bool, pace: float, data: Path, admin: asyncpg.Connection) -> None:
    cpu = postgres_cpu(data)
    await load.steady(60 - BURST, pace)
    cpu = postgres_cpu(data) - cpu
    steady = load.taken()
    await load.burst(BURST)
    burst = load.taken()
    began = time.monotonic()
    compacted = await load.store.compact(60.0)
    compaction = time.monotonic() - began
    size, dead, log_size, partitions = await admin.fetchrow(
        "SELECT pg_total_relation_size('objects') >> 20, (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'objects'),"
        " (SELECT sum(pg_total_relation_size(inhrelid))::bigint >> 20 FROM pg_inherits WHERE inhparent = 'log'::regclass),"
        " (SELECT count(*) FROM pg_inherits WHERE inhparent = 'log'::regclass)"
    )
    n, m = len(steady), len(burst)
    print(
        f"{minute:3} {'held' if held else 'free'}  steady p50 {steady[n // 2] * 1e3:5.1f} p99 {steady[n * 99 // 100] * 1e3:6.1f} ms"
        f" server {cpu / n * 1e6:5.0f} us/row | burst {m / BURST:6.0f} rows/s p99 {burst[m * 99 // 100] * 1e3:6.1f} ms"
        f" | objects {size} MB {dead} dead, log {log_size} MB {partitions} partitions"
        f" | compacted {compacted} in {compaction:.2f} s, head {max(load.revisions)}",
        flush=True,
    )


async def main() -> None:
    minutes = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    pace = float(sys.argv[3]) if len(sys.argv) > 3 else 200.0
    store = await open_store(None, Path(sys.argv[1]))
    store.subscribe(lambda rows: None, lambda: None)
    await store.snapshot()
    load = Load(store)
    admin = await asyncpg.connect(store.dsn)
    data = (Path(sys.argv[1]) / "postgres" / "data").resolve()
    holder = None
    for minute in range(minutes + 4):
        if minute == 2:
            holder = await hold(store.dsn)
        if minute == minutes + 2 and holder is not None:
            await holder.close()
            holder = None
        await report(load, minute, holder is not None, pace, data, admin)
    await admin.close()
    await store.close()


if __name__ == "__main__":
    uvloop.run(main())
