"""Room for answers that are kept until they are read: in turn, given back, and not lost by whoever leaves."""

from __future__ import annotations

import asyncio

import pytest

from kafila.api import outgoing
from kafila.api.outgoing import MOST, Outgoing
from kafila.core.errors import StatusError


async def waiting(room: Outgoing, size: int) -> asyncio.Task[None]:
    task = asyncio.create_task(room.take(size))
    await asyncio.sleep(0)
    return task


async def test_in_turn_and_what_leaves_makes_no_difference() -> None:
    room = Outgoing()
    await room.take(MOST - 1)
    first, second, third = [await waiting(room, size) for size in (2, 3 * MOST, 1)]
    small = await waiting(room, 1)
    assert not any(task.done() for task in (first, second, third, small))  # no small one goes before
    second.cancel()
    room.give(MOST - 1)
    await asyncio.gather(first, third, small)
    room.give(4)
    await room.take(2 * MOST)  # larger than all there is: alone
    late = await waiting(room, 1)
    assert not late.done()
    room.give(2 * MOST)
    await late


async def test_whoever_leaves_as_his_turn_comes_gives_it_back() -> None:
    room = Outgoing()
    await room.take(MOST)
    leaving = await waiting(room, MOST)
    room.give(MOST)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await room.take(MOST)


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "TIMEOUT", 0.01)
    room = Outgoing()
    await room.take(MOST)
    with pytest.raises(StatusError) as found:
        await room.take(1)
    assert (found.value.code, found.value.reason) == (429, "TooManyRequests")
    room.give(MOST)
    await room.take(MOST)
