"""Waiting for what nobody announces: looked at again and again, within a bound. What announces itself is awaited instead."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

PATIENCE: Final = 90.0  # seconds for anything that has to come about; machines are slow at times
_PAUSES: Final = (0.002, 0.05)  # seconds, the first and the longest


def _pauses() -> Iterator[float]:
    pause, longest = _PAUSES
    while True:
        yield pause
        pause = min(pause * 1.5, longest)


async def eventually(holds: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> None:
    """``holds``: also what has to be awaited. Raises AssertionError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    for pause in _pauses():
        found = holds()
        if (await found) if inspect.isawaitable(found) else found:
            return
        assert loop.time() < deadline, f"{what or holds} did not come about"
        await asyncio.sleep(pause)


def wait_until(holds: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> None:
    """The same where no event loop runs. Raises AssertionError."""
    deadline = time.monotonic() + patience
    for pause in _pauses():
        if holds():
            return
        assert time.monotonic() < deadline, f"{what or holds} did not come about"
        time.sleep(pause)
