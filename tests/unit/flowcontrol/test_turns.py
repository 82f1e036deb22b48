"""The event loop's time in turns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kafila.flowcontrol.queueset import Flow
from kafila.flowcontrol.turns import ALONE, REMEMBERED, Paced, Turns


def nothing(most: int) -> tuple[int, bool]:
    return 0, False


async def paced(turns: Turns, flow: Flow, name: str, done: list[str], gate: asyncio.Event) -> str:
    async def work() -> str:
        await gate.wait()
        done.append(name)
        return name

    return await Paced(work(), flow, turns)


async def test_who_has_little_goes_before_who_has_much() -> None:
    turns, much, little = Turns(nothing), Flow((0,)), Flow((1,))
    much.executing, little.executing = 20, 1
    done: list[str] = []
    gate = asyncio.Event()
    tasks = [asyncio.create_task(paced(turns, much, "much", done, gate)) for _ in range(20)]
    tasks.append(asyncio.create_task(paced(turns, little, "little", done, gate)))
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*tasks) == ["much"] * 20 + ["little"]
    assert done.index("little") <= 1


async def test_flows_take_turns_one_after_the_other() -> None:
    turns, flows = Turns(nothing), {name: Flow((0,)) for name in "ab"}
    done: list[str] = []
    gate = asyncio.Event()
    tasks = []
    for name, count in (("a", 10), ("b", 4)):
        flows[name].executing = count
        tasks += [asyncio.create_task(paced(turns, flows[name], name, done, gate)) for _ in range(count)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    assert len(done) == 14
    assert "".join(done[1:9]).count("b") == 4


async def test_errors_and_cancellation_reach_what_is_paced() -> None:
    turns, flow = Turns(nothing), Flow((0,))
    flow.executing = 2
    seen: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def waited(work: Any) -> None:
        await Paced(work, flow, turns)

    with pytest.raises(ValueError, match="no"):
        await waited(fails())
    task = asyncio.create_task(waited(waits()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


async def test_whoever_is_cancelled_while_he_waits_for_his_turn_costs_no_turn() -> None:
    turns, flow = Turns(nothing), Flow((0,))
    flow.executing = 2
    turns.left = 0
    first, second = turns.wait(flow), turns.wait(flow)
    first.cancel()
    async with asyncio.timeout(10):
        await second


async def test_of_what_comes_at_once_only_the_first_is_looked_at_at_once() -> None:
    turns, flow, other = Turns(nothing), Flow((0,)), Flow((1,))
    assert turns.arrives(flow, 1.0)
    assert turns.arrives(flow, 1.0)  # this turn has room for one that is not the first
    assert not turns.arrives(flow, 1.0)
    assert turns.arrives(other, 1.0)
    assert turns.arrives(flow, 2.0)


async def test_a_turn_has_many_steps_as_long_as_nobody_else_comes() -> None:
    now, per_turn = 10.0, [0]

    def look(most: int) -> tuple[int, bool]:
        per_turn.append(0)
        return 0, False

    turns, much, little = Turns(look, lambda: now), Flow((0,)), Flow((1,))
    much.executing = 100

    def step() -> bool:
        per_turn[-1] += 1
        return True

    async def turned(steps: int) -> list[int]:
        per_turn[:] = [0]
        for _ in range(steps):
            turns.call(much, step)
        while turns._waiting:
            await asyncio.sleep(0)
        return [count for count in per_turn if count]

    turns.meets(much, now)
    now += REMEMBERED
    assert await turned(2 * ALONE) == [ALONE, ALONE]
    turns.meets(much, now)  # again with nothing under way: no one else
    assert await turned(2 * ALONE) == [ALONE, ALONE]
    turns.meets(little, now)
    assert await turned(5) == [1] * 5
    now += REMEMBERED
    assert await turned(5) == [5]
