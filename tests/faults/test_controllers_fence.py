"""A leader that stood still past its lease and goes on in the middle of its work writes nowhere any more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import final

import pytest
from aiohttp import web

from kafila.store.postgres import PostgresStore
from tests.waiting import eventually

from .store_checker import whole_log

_SCRIPT = Path(__file__).with_name("fenced_process.py")


@final
class Member:
    """Notes who wrote. ``hold`` lets the next answer wait until ``release``."""

    def __init__(self) -> None:
        self.writers: list[int] = []
        self.url = ""
        self.held = asyncio.Event()
        self._hold = False
        self._go_on = asyncio.Event()
        self._go_on.set()

    def hold(self) -> None:
        self._hold = True

    def release(self) -> None:
        self._go_on.set()

    async def write(self, request: web.Request) -> web.Response:
        self.writers.append(json.loads(await request.read())["by"])
        if self._hold:
            self._hold = False
            self._go_on.clear()
            self.held.set()
            await self._go_on.wait()
        return web.json_response({})


@pytest.fixture
async def member() -> AsyncIterator[Member]:
    member = Member()
    app = web.Application()
    app.router.add_post("/write", member.write)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    member.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield member
    member.release()
    await runner.cleanup()


@contextlib.asynccontextmanager
async def process(dsn: str, record: Path, member: Member) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {"DATABASE_URL": dsn, "PYTHONPATH": str(_SCRIPT.parents[2] / "app")}
    started = await asyncio.create_subprocess_exec(
        sys.executable, str(_SCRIPT), str(record), member.url, env=environment
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


async def test_a_leader_that_goes_on_after_its_lease_writes_nowhere(
    postgres_dsn: str, tmp_path: Path, member: Member
) -> None:
    record = tmp_path / "record"

    def noted(process: asyncio.subprocess.Process) -> list[str]:
        lines = record.read_text().splitlines() if record.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{process.pid} ")]

    async with process(postgres_dsn, record, member) as first:
        await eventually(lambda: first.pid in member.writers, "the first writes")
        async with process(postgres_dsn, record, member) as second:
            member.hold()
            await member.held.wait()
            first.send_signal(signal.SIGSTOP)  # it waits for the member's answer
            await eventually(lambda: member.writers.count(second.pid) > 1, "the second writes")
            assert noted(first) == ["leads"]
            taken = len(member.writers)
            member.release()
            first.send_signal(signal.SIGCONT)
            await eventually(lambda: "stopped" in noted(first), "the first gave up")
            assert set(noted(first)) == {"leads", "member refused", "store refused", "stopped"}
            await eventually(lambda: member.writers[-10:] == 10 * [second.pid], "the second works on")
    first_of_second = member.writers.index(second.pid)
    assert first_of_second < taken
    assert set(member.writers[first_of_second:]) == {second.pid}
    store = PostgresStore(postgres_dsn)
    await store.open()
    written = [int(row.body) for row in await whole_log(store) if row.key.name == "p"]
    await store.close()
    assert set(written[written.index(second.pid) :]) == {second.pid}
