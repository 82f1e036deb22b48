"""The event loop's time in turns: of those who have much under way, few go on before it looks at the network again.

Where many requests of one user wait for the same thing (a commit, an answer of the database), all go on at once when it comes,
and who asks for a little meanwhile waits for them all. So what such a user has under way is *paced*: each of its steps, from one
wait to the next, takes a turn. Users take turns one after the other, whatever each has under way.

While nobody asks for a little, a turn has many steps: those who wait for the same answer of the database then go on together, and
ask it together.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final, Generic, TypeVar, final

from .queueset import Flow

STEPS: Final = 1  # of a turn
ALONE: Final = 32  # of a turn, while no one else has come: some 3 ms
REMEMBERED: Final = 1.0  # seconds for which it counts that somebody else has come
T = TypeVar("T")


@final
class Turns:
    """``look``: starts those who wait for more than a turn, up to so many of whom have others under way, and says how many of
    these it did and whether there is more to do."""

    def __init__(self, look: Callable[[int], tuple[int, bool]], clock: Callable[[], float] = time.perf_counter) -> None:
        self.left = STEPS
        self._look = look
        self._clock = clock
        self._last: Flow | None = None  # which made a step in a turn
        self._shared = 0.0  # until when a turn has few steps
        self._next: asyncio.Handle | None = None
        self._waiting: OrderedDict[Flow, deque[Callable[[], bool]]] = OrderedDict()

    def take(self, flow: Flow) -> bool:
        """Whether a step of ``flow``, which has much under way, can be made in this turn; then it is."""
        if self.left <= 0:
            return False
        self.left -= 1
        self._last = flow
        self.come()
        return True

    def meets(self, flow: Flow, now: float) -> None:
        """A request of ``flow`` came at ``now``, which has nothing else under way."""
        if flow is not self._last:
            self._shared = now + REMEMBERED
            self.left = min(self.left, STEPS)

    def come(self) -> None:
        """There will be another turn."""
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._turn)

    def arrives(self, flow: Flow, now: float) -> bool:
        """Whether a request of ``flow`` may be read now. ``now``: the event loop's time, which does not pass meanwhile."""
        if flow.executing or flow.arrived == now:
            return self.take(flow)
        flow.arrived = now
        return True

    def wait(self, flow: Flow) -> asyncio.Future[None]:
        """Done when it is the turn of one of ``flow``."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.call(flow, partial(_grant, turn))
        return turn

    def call(self, flow: Flow, step: Callable[[], bool]) -> None:
        """Calls ``step`` when it is the turn of one of ``flow``; it says whether there was anything to do."""
        waiting = self._waiting.get(flow)
        if waiting is None:
            waiting = self._waiting[flow] = deque()
        waiting.append(step)
        self.come()

    def _turn(self) -> None:
        self._next = None
        steps = self.left = STEPS if self._clock() < self._shared else ALONE
        while self.left > 0 and self._waiting:  # what has begun goes before what has not: it holds seats and memory
            flow, waiting = self._waiting.popitem(last=False)
            step = waiting.popleft()
            if waiting:
                self._waiting[flow] = waiting
            if step():
                self.left -= 1
                self._last = flow
        started, more = self._look(self.left)
        self.left -= started
        if self.left < steps or self._waiting or more:
            self.come()


def _grant(turn: asyncio.Future[None]) -> bool:
    if turn.done():
        return False
    turn.set_result(None)
    return True


@final
class Paced(Generic[T]):
    """Awaits a coroutine whose steps each take a turn, as long as ``flow`` has more than one request under way.

    A coroutine is run by its task with ``send(None)``, once for each future that it waits for. Here one more may be waited for in
    between, of which the coroutine does not know.
    """

    __slots__ = ("_coroutine", "_flow", "_granted", "_turns")

    def __init__(self, coroutine: Coroutine[Any, None, T], flow: Flow, turns: Turns) -> None:
        self._coroutine = coroutine
        self._flow = flow
        self._turns = turns
        self._granted = True  # the first step is part of what has got its turn

    def __await__(self) -> Generator[Any, None, T]:
        return self

    def __iter__(self) -> Paced[T]:
        return self

    def __next__(self) -> Any:
        """Raises StopIteration with the coroutine's result."""
        if self._granted:
            self._granted = False
        elif self._flow.executing > 1 and not self._turns.take(self._flow):
            self._granted = True
            turn = self._turns.wait(self._flow)
            turn._asyncio_future_blocking = True  # as ``Future.__await__`` says to the task that it waits
            return turn
        return self._coroutine.send(None)

    def send(self, value: None) -> Any:
        return self.__next__()

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()
