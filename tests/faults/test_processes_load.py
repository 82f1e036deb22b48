"""Two api and two workers processes under load while one of them, the database or their connections fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from functools import partial

import pytest

from tests.waiting import PATIENCE, eventually

from .process_load import Load
from .processes import ControlPlane, Serve

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_process_that_is_stopped_for_a_while_goes_on_where_it_was(plane: ControlPlane) -> None:
    stopped, other = plane.api
    async with Load(plane, "stopped") as load:
        for _ in range(2):
            await load.more(30, stopped)
            stopped.signal(signal.SIGSTOP)
            try:
                await asyncio.gather(asyncio.sleep(3), load.more(50, other))
            finally:
                stopped.signal(signal.SIGCONT)
        await load.more(30, stopped)


async def test_a_killed_process_takes_nothing_acknowledged_with_it(plane: ControlPlane) -> None:
    killed, other = plane.api
    async with Load(plane, "killed") as load:
        await load.more(50, killed)
        killed.kill()
        await load.more(50, other)
        await eventually(lambda: all(w.reconnected for w in load.watches[::2]), "watchers on the other")
        killed.launch()
        await killed.ready()
        await load.more(50, killed)


async def test_changes_arrive_though_listening_ends(plane: ControlPlane) -> None:
    """Notifications are hints: the connections that listen are cut again and again; one process is not notified at all."""
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND query LIKE '%FROM log WHERE revision > $1 ORDER BY revision%'"
    )

    async def is_cut() -> bool:
        return bool(await plane.sql(cut))

    plane.proxy.replaced = (b"kafila_log", b"kafila_gol")  # it listens to another channel
    async with Load(plane, "deaf") as load:
        for _ in range(4):
            await eventually(is_cut, "a connection that listens")
            for server in plane.api:
                await load.more(20, server)
    assert plane.proxy.replacements
    plane.proxy.replaced = (b"", b"")
    await eventually(is_cut, "a connection that listens")


async def test_a_killed_database_comes_back_with_everything_acknowledged(plane: ControlPlane) -> None:
    async with Load(plane, "crash") as load:
        for _ in range(2):
            await load.more(50, plane.api[0])
            before = plane.database.pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            await eventually(lambda: plane.database.pid != before, "the next server")  # noqa: B023
            for server in plane.api:
                await load.more(50, server)


async def test_connections_cut_after_commit_was_sent(plane: ControlPlane) -> None:
    """What happened to the batch is looked up: nobody is told AlreadyExists by the repetition of their own create."""
    behind, other = plane.api
    async with Load(plane, "cut-off-here") as load:
        for fault in ("answer", "while", "before", "answer", "while"):
            await load.more(15, behind)
            plane.proxy.arm(b"cut-off-here", fault)
            await asyncio.wait_for(plane.proxy.struck.wait(), PATIENCE)
        await load.more(15, behind)
        await load.more(15, other)
        assert not load.books.unknown  # the database was there to be asked


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_one_fault_after_the_other(plane: ControlPlane) -> None:
    """In an order of chance, sometimes one before the last is over."""
    seed = random.randrange(1000)
    print("seed", seed)
    rng = random.Random(seed)

    async def pause(server: Serve) -> None:
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(rng.uniform(0.1, 3))
        server.signal(signal.SIGCONT)

    async def kill(server: Serve) -> None:
        server.kill()
        await asyncio.sleep(rng.uniform(0, 1))
        server.launch()
        await server.ready()

    async def cut() -> None:
        plane.proxy.arm(b"chaos", rng.choice(["before", "answer", "while"]))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(plane.proxy.struck.wait(), 5)
        plane.proxy.arm(b"", "")

    async def crash() -> None:
        before = plane.database.pid
        plane.signal_database(signal.SIGKILL)
        await eventually(lambda: plane.database.pid != before, "the next server")

    async with Load(plane, "chaos") as load:
        for _ in range(15):
            paused = [rng.choice(plane.api), rng.choice(plane.workers)]
            faults = [partial(pause, paused[0]), partial(pause, paused[1]), cut, crash]
            await asyncio.gather(*(fault() for fault in rng.sample(faults, 2)))
            victim = rng.choice([*plane.api, *plane.workers])
            await kill(victim)
            for server in plane.api:
                await load.more(20, server)
