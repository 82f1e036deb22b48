"""Turns for low priority: what is enqueued once more (start, relist, a changed policy) must not hold up what is new.

All queues of an event loop share it, and whoever goes through very much in steps. Every turn of the loop begins one key of low priority
at most, so that whoever else wants the loop waits for one of them and not for a hundred. While new changes are worked on, turns come with
pauses in between; and for a moment after the last one, when the next step of a change may come, low priority takes a third of the loop's time.
The queues take turns too: no member's keys wait for those of another. Among them, what is in a hurry goes first.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final, final
from weakref import WeakKeyDictionary

from .chunks import Chunks

PAUSE: Final = 0.02  # seconds between two turns while something new is worked on: low priority goes on, slowly
# seconds after something new was worked on; what is new itself waits for low priority at a start, and would be held up by longer ones
RECENT: Final = 0.05
SHARE: Final = (
    2  # so many times as long as low priority had the loop others have it afterwards, when new changes are recent
)


@final
class LowPriorityTurns:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asking: deque[Callable[[], None]] = deque()
        self._first: deque[Callable[[], None]] = deque()  # in a hurry
        self._next: asyncio.Handle | None = None
        self._new = 0  # new changes that are worked on at the moment
        self._ended = -math.inf  # when the last one of these had its end, by the loop's clock
        self._since = -math.inf  # when the last turn was, or somebody asked while nobody else did
        self._others = -math.inf  # until then others have the loop

    def ask(self, turn: Callable[[], None], first: bool = False) -> None:
        """``turn`` is called once, when it is its turn."""
        if not self._first and not self._asking:
            self._since = self._loop.time()
        (self._first if first else self._asking).append(turn)
        if self._next is None:
            self._schedule()

    def hurry(self, turn: Callable[[], None]) -> None:
        """Who has asked is to be first."""
        if turn in self._asking:
            self._asking.remove(turn)
            self._first.append(turn)

    def withdraw(self, turn: Callable[[], None]) -> None:
        for asking in (self._first, self._asking):
            if turn in asking:
                asking.remove(turn)

    async def carry_out(self, steps: Chunks, first: bool = False) -> None:
        """The first of the steps at once, since whoever calls has its turn, and each other one in a turn of its own."""
        while True:
            began = time.thread_time()
            try:
                next(steps)
            except StopIteration:
                return
            finally:
                self.spent(time.thread_time() - began)
            await self._turn(first)

    async def _turn(self, first: bool) -> None:
        turn: asyncio.Future[None] = self._loop.create_future()
        begin = _begins(turn)
        self.ask(begin, first)
        try:
            await turn
        finally:
            self.withdraw(begin)

    def spent(self, seconds: float) -> None:
        """For so long low priority had the loop."""
        now = self._loop.time()
        self._others = min(max(self._others, now) + SHARE * seconds, now + PAUSE)

    def new_begins(self) -> None:
        self._new += 1

    def new_ends(self) -> None:
        self._new -= 1
        if self._new:
            return
        self._ended = self._loop.time()
        if self._next is not None:
            self._next.cancel()  # perhaps a pause
            self._schedule()

    def _due(self, now: float) -> float:
        """When the next turn may be given."""
        if self._new:
            return self._since + PAUSE
        return self._others if now - self._ended < RECENT else now

    def _schedule(self) -> None:
        now = self._loop.time()
        due = self._due(now)
        self._next = self._loop.call_soon(self._give) if due <= now else self._loop.call_later(due - now, self._give)

    def _give(self) -> None:
        self._next = None
        asking = self._first or self._asking
        if not asking:
            return
        now = self._loop.time()
        if self._due(now) <= now:  # something new may have come since
            self._since = now
            asking.popleft()()
        if (self._first or self._asking) and self._next is None:  # asking for the next turn has set it already
            self._schedule()


def _begins(turn: asyncio.Future[None]) -> Callable[[], None]:
    return lambda: None if turn.done() else turn.set_result(None)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, LowPriorityTurns] = WeakKeyDictionary()


def low_priority_turns(loop: asyncio.AbstractEventLoop) -> LowPriorityTurns:
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = LowPriorityTurns(loop)
    return found


async def carry_out(steps: Chunks) -> None:
    """Each of the steps but the first in a turn of low priority, before those that have no hurry: somebody waits for the end."""
    await low_priority_turns(asyncio.get_running_loop()).carry_out(steps, first=True)
