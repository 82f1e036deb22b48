"""Writers and the database are stopped and killed; what was acknowledged stays, and nothing is there twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from kafila.store.embedded import EmbeddedPostgres
from kafila.store.postgres import PostgresStore
from kafila.store.timeline import COMMIT_LOCK

from .store_checker import Recorder, check
from .test_store_connections import reached

_SCRIPT = Path(__file__).with_name("store_writer.py")


class WriterProcess:
    def __init__(self, dsn: str, record: Path) -> None:
        self._dsn = dsn
        self.record = record
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> WriterProcess:
        root = _SCRIPT.parents[2]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_SCRIPT),
            str(self.record),
            self.record.name,
            "6",
            env=os.environ | {"DATABASE_URL": self._dsn, "PYTHONPATH": f"{root / 'app'}{os.pathsep}{root}"},
            stdin=asyncio.subprocess.PIPE,
        )
        return self

    @property
    def acknowledged(self) -> int:
        return self.record.read_text().count("ack ") if self.record.exists() else 0

    async def more(self, number: int) -> None:
        """Waits until so many more writes were acknowledged."""
        goal = self.acknowledged + number
        while self.acknowledged < goal:
            assert self.process is not None
            assert self.process.returncode is None, "the writer ended by itself"
            await asyncio.sleep(0.02)

    def signal(self, sign: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(sign)

    async def finish(self) -> int:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.process.wait()


async def test_killed_writers_leave_whole_batches(postgres_dsn: str, tmp_path: Path) -> None:
    writers = [await WriterProcess(postgres_dsn, tmp_path / f"w{i}").start() for i in range(3)]
    for victim in writers[:2]:
        await victim.more(50)
        victim.signal(signal.SIGKILL)
        assert victim.process is not None
        await victim.process.wait()
    await writers[2].more(50)
    assert await writers[2].finish() == 0
    assert await check(postgres_dsn, *(w.record for w in writers)) >= 150


async def test_a_stopped_writer_does_not_stop_the_others(postgres_dsn: str, tmp_path: Path) -> None:
    stopped, other = [await WriterProcess(postgres_dsn, tmp_path / name).start() for name in ("stopped", "other")]
    for _ in range(5):  # at several moments of a batch
        await stopped.more(10)
        stopped.signal(signal.SIGSTOP)
        await other.more(20)
        stopped.signal(signal.SIGCONT)
    assert await stopped.finish() == 0
    assert await other.finish() == 0
    assert await check(postgres_dsn, stopped.record, other.record) >= 150


async def test_a_writer_stopped_while_it_waits_for_the_lock(postgres_dsn: str, tmp_path: Path) -> None:
    """Its batch is carried out by the server without it; the lock is never held across a round trip."""
    stopped, other = [await WriterProcess(postgres_dsn, tmp_path / name).start() for name in ("stopped", "other")]
    await stopped.more(10)
    await other.more(10)
    holder = await asyncpg.connect(postgres_dsn)
    await holder.execute("SELECT pg_advisory_lock($1)", COMMIT_LOCK)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while await holder.fetchval(waiting) < 2:
        await asyncio.sleep(0.01)
    stopped.signal(signal.SIGSTOP)
    await holder.execute("SELECT pg_advisory_unlock($1)", COMMIT_LOCK)
    await other.more(50)
    stopped.signal(signal.SIGCONT)
    await stopped.more(10)
    await holder.close()
    await stopped.finish()
    await other.finish()
    assert await check(postgres_dsn, stopped.record, other.record) >= 70


@pytest.mark.parametrize("victim", ["postmaster", "backend"])
async def test_killed_database(server: EmbeddedPostgres, tmp_path: Path, victim: str) -> None:
    """Every acknowledged write survives kill -9 of PostgreSQL; writers and subscribers go on after it is back."""
    store = PostgresStore(server.dsn)
    await store.open()
    record = Recorder(tmp_path / "own", "own")
    await record.follow(store)
    writer = await WriterProcess(server.dsn, tmp_path / "other").start()
    done = asyncio.Event()
    writing = asyncio.create_task(record.keep_writing(store, 6, done.is_set))
    for _ in range(3):
        await writer.more(30)
        assert server.pid is not None
        if victim == "postmaster":
            os.kill(server.pid, signal.SIGKILL)
            await server.stop()
            await server.start()
        else:
            connection = await asyncpg.connect(server.dsn)
            os.kill(connection.get_server_pid(), signal.SIGKILL)
            connection.terminate()
        await writer.more(30)
    done.set()
    await writing
    assert await writer.finish() == 0
    await store.head()
    await store.close()
    assert await check(server.dsn, record_path := tmp_path / "own", writer.record) >= 180, record_path


async def test_frozen_database_is_said_to_be_unavailable(server: EmbeddedPostgres) -> None:
    from kafila.core.resources import Key
    from kafila.store.connect import Timeouts
    from kafila.store.interface import OutcomeUnknown, StoreUnavailable, Transaction, Write

    store = PostgresStore(server.dsn, timeouts=Timeouts(connect=1.0, send=1.0, answer=1.0, resolve=1.0))
    await store.open()
    await store.commit(Transaction([], [Write(Key("pods", "", "a"), b"before")]))
    connection = await asyncpg.connect(server.dsn)
    children = [
        row["pid"] for row in await connection.fetch("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    ]
    assert server.pid is not None
    frozen = [server.pid, *children]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(OutcomeUnknown):
            await store.commit(Transaction([], [Write(Key("pods", "", "a"), b"during")]))
        with pytest.raises(StoreUnavailable):
            await store.head()
        with pytest.raises(StoreUnavailable):
            await store.commit(Transaction([], [Write(Key("pods", "", "a"), b"never")]))
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    connection.terminate()
    await reached(store)
    await store.commit(Transaction([], [Write(Key("pods", "", "a"), b"after")]))
    bodies = [row.body for row in (await store.read_log(1)).rows]
    assert bodies in ([b"before", b"after"], [b"before", b"during", b"after"])
    await store.close()
