"""Turns for low priority: what is enqueued once more (start, relist, a changed policy) must not hold up what is new.

All queues of an event loop share it. Every turn of the loop begins one key of low priority at most, so that whoever else wants
the loop waits for one of them and not for a hundred; and while new changes are worked on, turns come with pauses in between.
The queues take turns too: no member's keys wait for those of another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, final
from weakref import WeakKeyDictionary

PAUSE: Final = 0.02  # seconds between two turns while something new is worked on: low priority goes on, slowly


@final
class LowPriorityTurns:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asking: deque[Callable[[], None]] = deque()
        self._next: asyncio.Handle | None = None
        self._new = 0  # new changes that are worked on at the moment

    def ask(self, turn: Callable[[], None]) -> None:
        """``turn`` is called once, when it is its turn."""
        self._asking.append(turn)
        if self._next is None:
            self._schedule()

    def withdraw(self, turn: Callable[[], None]) -> None:
        if turn in self._asking:
            self._asking.remove(turn)

    def new_begins(self) -> None:
        self._new += 1

    def new_ends(self) -> None:
        self._new -= 1
        if not self._new and self._asking and self._next is not None:
            self._next.cancel()  # perhaps a pause
            self._schedule()

    def _schedule(self) -> None:
        if self._new:
            self._next = self._loop.call_later(PAUSE, self._give)
        else:
            self._next = self._loop.call_soon(self._give)

    def _give(self) -> None:
        self._next = None
        if self._asking:
            self._asking.popleft()()
        if self._asking and self._next is None:  # asking for the next turn has set it already
            self._schedule()


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, LowPriorityTurns] = WeakKeyDictionary()


def low_priority_turns(loop: asyncio.AbstractEventLoop) -> LowPriorityTurns:
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = LowPriorityTurns(loop)
    return found
