"""The work queue of a controller, with client-go's semantics.

A key is in the queue at most once, is never worked on twice at the same time, and comes again when it was added while it was
worked on. Failures come back later and later (``base_delay`` doubling to ``max_delay``, and not before as much time has gone by as their own
steps had kept the event loop busy), and never keep other keys waiting.

What is new goes before low priority, which is worked on when nothing new waits, takes half of the places at most, and
shares the event loop with the low priority of all other queues (:mod:`kafila.reconcile.low_priority`). What need not be
as quick as new changes, and is not to stand behind a relist either, goes first among it.

Keys may have priorities. A higher one goes first: what is above 0 counts as new, what is below as low priority.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Hashable
from enum import IntEnum
from typing import Generic, TypeVar, final

import structlog

from kafila.core.rates import exponential
from kafila.registry.collecting import working
from kafila.telemetry.tasks import cancelled

from .effort import Effort
from .low_priority import LowPriorityTurns, low_priority_turns
from .measures import QueueMeasures, Result
from .priority_queue import PriorityQueue

log = structlog.get_logger(__name__)
K = TypeVar("K", bound=Hashable)
BASE_DELAY = 0.005  # seconds
MAX_DELAY = 60.0


class Requeue(Exception):
    """Raised by a reconciler: reconcile the key once more after ``seconds``; this is not a failure.

    ``timed``: then it is due by the clock (a period, a deadline), which is something new: it is of low priority no more, however
    it came. Without that it is another try of the same, with the same priority.
    """

    def __init__(self, seconds: float, timed: bool = False) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds
        self.timed = timed


class Standing(IntEnum):
    """Who goes before whom; of two that a key was added with the higher one holds."""

    LOW = 0
    FIRST = 1  # of low priority
    NEW = 2


@final
class WorkQueue(Generic[K]):
    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[None]],
        concurrency: int = 1,
        base_delay: float = BASE_DELAY,
        max_delay: float = MAX_DELAY,
        priority: Callable[[K], int] = lambda key: 0,
        also: tuple[str, ...] = (),
        waits: bool = False,
        unhurried: bool = False,
    ) -> None:
        """``also``: what Karmada calls the work on its keys (:mod:`kafila.reconcile.measures`). ``waits``: work on them is mostly
        waiting for others, so that nobody's low priority makes room for it. ``unhurried``: nothing in it counts as new; what is
        goes first among its low priority.
        """
        self.name = name
        self.on_failure: Callable[[K, Exception], None] | None = (
            None  # is called with everything that ``reconcile`` raises
        )
        self._reconcile = reconcile
        self._concurrency = concurrency
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._priority = priority
        self._waits = waits
        self._unhurried = unhurried
        self._ready: PriorityQueue[K] = PriorityQueue()
        self._background: PriorityQueue[K] = PriorityQueue()  # low priority: worked on when nothing else waits
        self._turns: LowPriorityTurns | None = None  # that of the event loop, while there is work
        self._asked = False  # for a turn in it
        self._pumping = False  # in a moment
        self._running: set[K] = set()
        self._old: dict[K, Standing] = {}  # running ones of low priority
        self._again: dict[K, Standing] = {}  # added while they run
        self._failures: dict[K, int] = {}
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, tuple[float, Standing]] = {}  # the earliest time a key is to come back
        self._counter = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False
        self._idle = asyncio.Event()
        self._measures = QueueMeasures(name, also)
        self._added: dict[K, float] = {}  # when what waits was added

    def add(self, key: K, background: bool = False, first: bool = False) -> None:
        """``background``: with low priority (start, relist); a user's new change goes first. ``first``: before all else that has
        low priority.
        """
        self._add(key, self._standing(background, first))

    def add_after(self, key: K, seconds: float, background: bool = False, first: bool = False) -> None:
        """The earliest of several times wins."""
        due, standing = time.monotonic() + seconds, self._standing(background, first)
        known = self._due.get(key)
        if known is not None:
            standing = max(standing, known[1])
            if known[0] <= due:
                self._due[key] = known[0], standing
                return
        self._due[key] = due, standing
        self._counter += 1
        heapq.heappush(self._later, (due, self._counter, key))
        self._arm()

    def _standing(self, background: bool, first: bool) -> Standing:
        if first or (self._unhurried and not background):
            return Standing.FIRST
        return Standing.LOW if background else Standing.NEW

    def _add(self, key: K, standing: Standing) -> None:
        if key in self._running:
            self._again[key] = max(standing, self._again.get(key, Standing.LOW))
            return
        priority = self._priority(key)
        behind = priority < 0 or (standing < Standing.NEW and not priority)
        if behind and not priority:
            if key in self._ready or (standing is Standing.LOW and key in self._background):
                return
            priority = int(standing)
        line, other = (self._background, self._ready) if behind else (self._ready, self._background)
        if not line.put(key, priority):
            return
        other.discard(key)
        self._measures.added()
        self._added.setdefault(key, time.perf_counter())
        self._idle.clear()
        if self._asked and behind and standing is Standing.FIRST:
            assert self._turns is not None
            self._turns.hurry(self._take_turn)
        self._pump_soon()

    def is_low_priority(self, key: K) -> bool:
        """For the reconciler: whether the key came without anything new being known of it."""
        return key in self._old and self._again.get(key, Standing.LOW) < Standing.NEW

    def start(self) -> None:
        self._started = True
        self._turns = low_priority_turns(asyncio.get_running_loop())
        self._pump()
        self._arm()

    async def stop(self) -> None:
        """Work in progress is cancelled and what waits is forgotten: whoever starts again enqueues everything anyway."""
        self._started = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asked:
            assert self._turns is not None
            self._turns.withdraw(self._take_turn)
            self._asked = False
        await cancelled(*self._tasks)
        self._later.clear()
        for line in (self._ready, self._background):
            line.clear()
        for keys in (self._running, self._old, self._again, self._failures, self._due, self._added):
            keys.clear()
        self._measures.depth(0)
        self._idle.set()

    async def close(self) -> None:
        """Stops for good: nothing is measured under its own name any more, which nobody may have again (a member that left)."""
        await self.stop()
        self._measures.forget()

    async def idle(self) -> None:
        """Returns when nothing waits or runs (keys that come back later do not count)."""
        if self._ready or self._background or self._running:
            await self._idle.wait()

    def busy(self, within: float) -> bool:
        """Is anything worked on, or to be worked on in the next ``within`` seconds?"""
        if not self._started:
            return False
        if self._ready or self._background or self._running:
            return True
        return bool(self._due) and min(due for due, _ in self._due.values()) <= time.monotonic() + within

    def __len__(self) -> int:
        return len(self._ready) + len(self._background)

    def _pump_soon(self) -> None:
        """Not at once: what is added in the same moment may have to go first."""
        if self._started and not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if not self._started:
            return
        while self._ready and len(self._running) < self._concurrency:
            self._begin(self._ready.pop())
        if not self._asked and self._may_begin_low_priority():
            assert self._turns is not None
            self._asked = True
            self._turns.ask(self._take_turn, first=self._background.highest() >= Standing.FIRST)
        self._measures.depth(len(self._ready) + len(self._background))

    def _may_begin_low_priority(self) -> bool:
        """Whether a key of low priority may begin: half of the places are kept for what is new."""
        if not self._background or self._ready or len(self._running) >= self._concurrency:
            return False
        return len(self._old) < max(1, self._concurrency // 2)

    def _take_turn(self) -> None:
        self._asked = False
        if self._may_begin_low_priority():
            first = self._background.highest() >= Standing.FIRST
            key = self._background.pop()
            self._old[key] = Standing.FIRST if first else Standing.LOW
            self._begin(key)
        self._pump()

    def _begin(self, key: K) -> None:
        self._running.add(key)
        task = asyncio.get_running_loop().create_task(self._run(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: K) -> None:
        assert self._turns is not None
        working.set(self.name)
        started, standing = time.perf_counter(), self._old.get(key, Standing.NEW)
        holds_up = standing is Standing.NEW and not self._waits
        self._measures.begun(started - self._added.pop(key, started))
        if holds_up:
            self._turns.new_begins()
        old = standing < Standing.NEW
        effort = (
            Effort(lambda: self._reconcile(key), self._turns.spent) if old else Effort(lambda: self._reconcile(key))
        )
        result: Result | None = "error"
        try:
            await effort
            result = "success"
            self._failures.pop(key, None)
        except Requeue as again:
            result = "requeue_after"
            self._failures.pop(key, None)
            self._add_again(key, again.seconds, Standing.NEW if again.timed else standing)
        except asyncio.CancelledError as cancelled:
            if _to_end():
                result = None
                raise
            error = RuntimeError("what it waited for was cancelled")
            error.__cause__ = cancelled
            self._failed(key, error, effort.seconds, standing)
        except Exception as error:
            self._failed(key, error, effort.seconds, standing)
        finally:
            self._measures.ended(time.perf_counter() - started, result)
            if holds_up:
                self._turns.new_ends()
            self._running.discard(key)
            self._old.pop(key, None)
            if key in self._again:
                self._add(key, self._again.pop(key))
            self._pump()
            if not (self._ready or self._background or self._running):
                self._idle.set()

    def _add_again(self, key: K, seconds: float, standing: Standing) -> None:
        if standing is Standing.FIRST:
            self.add_after(key, seconds, first=True)
        else:
            self.add_after(key, seconds, standing is Standing.LOW)

    def _failed(self, key: K, error: Exception, seconds: float, standing: Standing) -> None:
        """``seconds``: for so long it had kept the event loop busy. It comes back, whatever becomes of telling why."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(max(exponential(failures, self._base_delay, self._max_delay), seconds), self._max_delay)
        self._measures.retried()
        self._add_again(key, delay, standing)
        if failures < 3 or failures % 10 == 0:
            log.warning("reconcile failed", controller=self.name, key=str(key), error=str(error), retry_in=delay)
        if not is_expected(error):
            log.error("reconcile failed unexpectedly", controller=self.name, key=str(key), exc_info=error)
        if self.on_failure is not None:
            try:
                self.on_failure(key, error)
            except Exception:
                log.exception("failure not recorded", controller=self.name, key=str(key))

    def _arm(self) -> None:
        if not self._started or not self._later:
            return
        if self._timer is not None:
            self._timer.cancel()
        delay = max(self._later[0][0] - time.monotonic(), 0)
        self._timer = asyncio.get_running_loop().call_later(delay, self._release)

    def _release(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            known = self._due.get(key)
            if known is not None and known[0] == due:
                del self._due[key]
                self._add(key, known[1])
        self._timer = None
        self._arm()


def _to_end() -> bool:
    """Whether it is this task that is cancelled, and not what it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def is_expected(error: Exception) -> bool:
    """Errors that are part of life: somebody was faster, a member is away. They need no traceback."""
    from kafila.core.errors import StatusError

    return isinstance(error, (StatusError, OSError, TimeoutError)) or getattr(error, "expected", False)
