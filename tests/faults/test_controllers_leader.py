"""Several worker processes over one PostgreSQL: one of them works, and when it ends another takes over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import final

import pytest

from kafila.telemetry.fatal import CODE

from .processes import PATIENCE

_SCRIPT = Path(__file__).with_name("leader_process.py")


@final
class Workers:
    def __init__(self, dsn: str, record: Path) -> None:
        self._dsn = dsn
        self._record = record
        self.processes: dict[int, asyncio.subprocess.Process] = {}

    async def begin(self, *more: str) -> asyncio.subprocess.Process:
        environment = os.environ | {"DATABASE_URL": self._dsn, "PYTHONPATH": str(_SCRIPT.parents[2] / "app")}
        command = (sys.executable, str(_SCRIPT), str(self._record), *more)
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        self.processes[process.pid] = process
        return process

    async def start(self) -> int:
        process = await self.begin()
        await self.until(lambda: any(pid == process.pid for _, pid, _ in self.lines()))
        return process.pid

    async def end(self, pid: int, sign: signal.Signals) -> None:
        process = self.processes.pop(pid)
        process.send_signal(sign)
        await process.wait()

    def lines(self) -> list[tuple[str, int, float]]:
        text = self._record.read_text() if self._record.exists() else ""
        found = (line.split() for line in text.splitlines())
        return [(what, int(pid), float(at)) for what, pid, at in found]

    def working(self) -> int:
        """The process that worked last, 0 for none."""
        return next((pid for what, pid, _ in reversed(self.lines()) if what == "work"), 0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.02)

    def check(self) -> list[int]:
        """The order in which processes worked; no two at a time."""
        spans: dict[int, tuple[float, float]] = {}
        for what, pid, at in self.lines():
            if what == "work":
                spans[pid] = (spans.get(pid, (at, at))[0], at)
        ordered = sorted(spans.items(), key=lambda item: item[1])
        for (_, (_, ended)), (_, (began, _)) in itertools.pairwise(ordered):
            assert ended < began
        return [pid for pid, _ in ordered]


@pytest.fixture
async def workers(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Workers]:
    found = Workers(postgres_dsn, tmp_path / "record")
    try:
        yield found
    finally:
        for pid in list(found.processes):
            with contextlib.suppress(ProcessLookupError):
                await found.end(pid, signal.SIGKILL)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
async def test_another_takes_over(workers: Workers, sign: signal.Signals) -> None:
    first = await workers.start()
    await workers.until(lambda: workers.working() == first)
    second = await workers.start()
    before = len(workers.lines())
    await workers.until(lambda: len(workers.lines()) > before + 50)  # several renewals
    assert workers.working() == first
    await workers.end(first, sign)
    await workers.until(lambda: workers.working() == second)
    assert workers.check() == [first, second]
    times = {(what, pid): at for what, pid, at in workers.lines()}
    if sign is signal.SIGTERM:
        assert ("stop", first) in times
    third = await workers.start()
    await workers.end(second, signal.SIGKILL)
    await workers.until(lambda: workers.working() == third)
    assert workers.check() == [first, second, third]


async def test_a_process_whose_lease_nobody_keeps_ends(workers: Workers) -> None:
    """It would stay alive, hold connections and never lead again: whoever watches over it starts it again."""
    process = await workers.begin("starved")
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == CODE
    del workers.processes[process.pid]
