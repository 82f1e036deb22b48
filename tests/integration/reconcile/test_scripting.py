"""The processes that run scripts: what a script does to its process harms nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.placement.interpreter import InterpretError, Operation
from kafila.placement.interpreter.sources import Script
from kafila.reconcile.interpreter.scripting import Scripting

OBJ: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
GOOD = Script("good", Operation.HEALTH, "function InterpretHealth(obj) return true end")
LOOP = Script("loop", Operation.HEALTH, "function InterpretHealth(obj) while true do end end")
# no hook stops these: a pattern that does not come back, and C calls nested so deeply that no hook can be called
PATTERN = "function InterpretHealth(obj) local s = ('ab'):lower() for i = 1, 6 do s = s .. s end return s:match(('.-'):lower() .. '.-.-.-.-.-.-.-.-.-.-.-.-.-.-.-.-.-.-.-c') end"
NESTED = "function InterpretHealth(obj) local function f() return pcall(f) or f() end return f() end"


@pytest.fixture
async def scripting() -> AsyncIterator[Scripting]:
    found = Scripting()
    try:
        yield found
    finally:
        await found.stop()


@pytest.mark.parametrize("text", [PATTERN, NESTED], ids=["pattern", "nested"])
async def test_a_script_that_no_hook_stops(scripting: Scripting, text: str) -> None:
    endless = Script("endless", Operation.HEALTH, text)
    with pytest.raises(InterpretError, match=r"InterpretHealth ran longer than 1\.0 s"):
        await scripting.ask(endless, (OBJ,))
    assert scripting.is_slow(endless)
    assert await scripting.ask(GOOD, (OBJ,)) is True


async def test_slow_scripts_wait_for_each_other_alone(scripting: Scripting) -> None:
    with pytest.raises(InterpretError):
        await scripting.ask(LOOP, (OBJ,))
    waiting = [asyncio.create_task(scripting.ask(LOOP, (OBJ,))) for _ in range(30)]  # a second each
    answers = await asyncio.gather(*(scripting.ask(GOOD, (OBJ,)) for _ in range(50)))
    assert answers == [True] * 50
    assert not all(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await scripting.ask(GOOD, (OBJ,)) is True


async def test_a_process_that_is_killed_is_replaced(scripting: Scripting) -> None:
    assert await scripting.ask(GOOD, (OBJ,)) is True
    for process in scripting._lane._all:
        if process._process is not None:
            process._process.kill()
            await process._process.wait()
    assert await scripting.ask(GOOD, (OBJ,)) is True
