"""Tasks that are ended by who began them."""

from __future__ import annotations

import asyncio

import pytest

from kafila.telemetry.tasks import cancelled


async def test_all_are_over_however_they_ended() -> None:
    started, tidied = asyncio.Event(), False

    async def tidying() -> None:
        nonlocal tidied
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            tidied = True

    async def failing() -> None:
        raise ValueError

    tasks = asyncio.create_task(tidying()), asyncio.create_task(failing())
    await started.wait()
    await cancelled(*tasks, None)
    assert tidied
    assert [task.done() for task in tasks] == [True, True]


async def test_who_waits_can_be_cancelled_himself() -> None:
    async def stubborn(release: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()

    release = asyncio.Event()
    task = asyncio.create_task(stubborn(release))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(cancelled(task))
    await asyncio.sleep(0)
    waiting.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
