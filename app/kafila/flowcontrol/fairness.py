"""What a request meets: it begins now, waits for its turn, or is told to come again.

One event loop serves everybody, so there are two things to share. *Seats* are requests under way at once, as in kube-apiserver.
*Turns* are what the loop does between two looks at the network (``turns``): a flow that has other requests under way begins and goes
on in turn. A request whose sender has nothing else under way is served at once, however many others have come with it (docs/adr/0017).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar, final

from .configuration import ClassifiedFlow, Configuration, Schema
from .objects import Level
from .peaks import Peak
from .queueset import Ticket
from .turns import Paced, Turns

QUEUE_WAIT: Final = 15.0  # seconds that a request waits at most: a quarter of what kube-apiserver gives it in all
SWEEP: Final = 1.0  # seconds between two looks at who has waited too long
QUEUE_FULL: Final = "queue-full"
NO_SEAT: Final = "concurrency-limit"
TIMED_OUT: Final = "time-out"
T = TypeVar("T")
Lost = Callable[[Callable[[], None] | None], None]  # says whom to call when the client has left


class Rejected(Exception):
    """Too many requests; ``retry_after`` in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class Left(Exception):
    """The client has left while it waited."""


@final
class Seat:
    """What a request occupies, from when it may begin until ``leave``."""

    __slots__ = ("__weakref__", "_fairness", "_reads", "about", "flow", "is_taken", "seats", "started", "ticket")

    def __init__(
        self,
        fairness: Fairness,
        flow: ClassifiedFlow,
        seats: int,
        reads: bool,
        ticket: Ticket | None,
        started: float,
        about: Any = None,
    ) -> None:
        peak = fairness.executing[
            reads
        ]  # its ``rise`` and ``fall`` are written out here: a call costs more than they do
        peak.now += 1
        if peak.now > peak.highest:
            peak.highest = peak.now
        fairness.under_way[self] = None
        self.started = started
        self.about = about  # the request, for who wants to know
        self._reads = reads
        self._fairness = fairness
        self.ticket = ticket  # of one that has waited
        self.flow = flow
        self.seats = seats
        self.is_taken = True

    @property
    def arrived(self) -> float:
        return self.ticket.arrived if self.ticket is not None else self.started

    def leave(self, now: float) -> None:
        """Said as often as one likes."""
        if not self.is_taken:
            return
        self.is_taken = False
        fairness, flow = self._fairness, self.flow
        del fairness.under_way[self]
        fairness.executing[self._reads].now -= 1
        flow.schema.counts.ended += 1
        level = flow.level
        if self.ticket is not None:
            level.queues.served(self.ticket, now)
        else:
            level.queues.finish(flow, self.seats, now)
        if level.queues.waiting or not level.is_wanted:
            fairness.turns.come()

    def give_back(self) -> None:
        """Goes on without seats: it waits for somebody else."""
        if self.is_taken and self.seats:
            queues = self.flow.level.queues
            queues.give_back(self.ticket, self.seats, self._fairness.clock())
            self.seats = 0
            if queues.waiting:
                self._fairness.turns.come()

    def pause(self) -> None:
        """Leaves it for as long as there is nothing to do but to wait for the client; then it asks for one again."""
        if self.is_taken:
            self.leave(self._fairness.clock())
            counts = self.flow.schema.counts
            counts.started -= 1
            counts.ended -= 1

    async def again(self, lost: Lost | None) -> Seat:
        """The one after ``pause``. Raises Rejected, Left."""
        fairness = self._fairness
        found = fairness.begin(self.flow, fairness.clock(), self.seats, self._reads, self.about)
        return found or await fairness.wait(self.flow, self.seats, self._reads, lost, self.about)


@final
class Fairness:
    def __init__(self, total: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """``total``: seats of the server."""
        self.turns = Turns(self._start, clock)
        self.configuration = Configuration(total, clock(), self.turns)
        self.clock = clock
        self._first = 0  # of the levels that wait, which is looked at first
        self.executing = (Peak(), Peak())  # requests that write, and that read
        self.waiting = (Peak(), Peak())
        self.under_way: dict[Seat, None] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._stored: tuple[list[Schema], list[Level]] = ([], [])
        self.waits: Callable[[str, str, bool, float], None] = lambda level, schema, executed, seconds: None

    def digest(self, schemas: Iterable[Schema], levels: Iterable[Level]) -> None:
        """What is stored now."""
        self._stored = (list(schemas), list(levels))
        self.configuration.digest(*self._stored, self.clock())
        self._resume()

    def adjust(self) -> None:
        """Lends and borrows anew (every ``concurrency.ADJUSTMENT_PERIOD``)."""
        self.configuration.adjust(self.clock())
        self._resume()

    def _resume(self) -> None:
        if any(level.queues.waiting for level in self.configuration.levels.values()):
            self.turns.come()

    # -- a request -------------------------------------------------------------------------------------------------------

    def begin(
        self, flow: ClassifiedFlow, now: float, seats: int = 1, reads: bool = True, about: Any = None
    ) -> Seat | None:
        """None: it has to wait. ``now``: when it came; ``reads``: whether it changes nothing."""
        level = flow.level
        queues = level.queues
        if not flow.executing:
            self.turns.meets(flow, now)
        if not queues.exempt:
            if queues.full or not queues.has_room(seats):
                return None
            if flow.executing and queues.queues and (queues.waiting or not self.turns.take(flow)):
                return None
        flow.schema.counts.started += 1
        queues.start(flow, seats, now)
        return Seat(self, flow, seats, reads, None, now, about)

    async def wait(
        self, flow: ClassifiedFlow, seats: int = 1, reads: bool = True, lost: Lost | None = None, about: Any = None
    ) -> Seat:
        """Waits for the seat that ``begin`` did not have. Raises Rejected, Left."""
        level, now = flow.level, self.clock()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = level.queues.enqueue(flow, seats, now, turn)
        if ticket is None:
            raise self._rejected(flow, QUEUE_FULL if level.queues.queues else NO_SEAT)
        ticket.about = about
        self.turns.come()
        self._sweep_soon()
        if lost is not None:
            lost(lambda: _give_up(turn, Left()))
        waiting = self.waiting[reads]
        waiting.rise()
        try:
            await turn
        except BaseException as error:
            self._gone(flow, ticket, error)
            raise
        finally:
            waiting.fall()
            if lost is not None:
                lost(None)
        counts = flow.schema.counts
        counts.started += 1
        counts.waited += 1
        self.waits(level.name, flow.schema.name, True, ticket.started - ticket.arrived)
        return Seat(self, flow, seats, reads, ticket, ticket.started, about)

    def _gone(self, flow: ClassifiedFlow, ticket: Ticket, error: BaseException) -> None:
        now, queues = self.clock(), flow.level.queues
        if not queues.leave(ticket, now):  # it had just been let in
            queues.served(ticket, now)
        self.waits(flow.level.name, flow.schema.name, False, now - ticket.arrived)
        if not isinstance(error, Rejected):
            rejected = flow.schema.counts.rejected
            rejected[TIMED_OUT] = rejected.get(TIMED_OUT, 0) + 1  # as kube-apiserver counts who has left
        self.turns.come()

    def _rejected(self, flow: ClassifiedFlow, reason: str) -> Rejected:
        rejected = flow.schema.counts.rejected
        rejected[reason] = rejected.get(reason, 0) + 1
        drops = flow.level.drops
        drops.record(self.clock())
        return Rejected(drops.retry_after)

    def paced(self, flow: ClassifiedFlow, coroutine: Coroutine[Any, None, T]) -> Awaitable[T]:
        """Awaits a coroutine that serves a request of ``flow``."""
        return coroutine if flow.level.queues.exempt else Paced(coroutine, flow, self.turns)

    # -- who waits -------------------------------------------------------------------------------------------------------

    def _start(self, most: int) -> tuple[int, bool]:
        """Lets in those who wait, level by level, up to ``most`` who have others under way. How many of these, and whether there
        are seats for more."""
        now, started = self.clock(), 0
        waiting = [level for level in self.configuration.levels.values() if level.queues.waiting or not level.is_wanted]
        self._first += 1
        for offset in range(len(waiting)):
            level = waiting[(self._first + offset) % len(waiting)]
            for ticket in level.queues.dispatch(now, most - started):
                turn = ticket.label
                assert isinstance(turn, asyncio.Future)
                if not turn.done():
                    turn.set_result(None)
                started += ticket.flow.executing > 1
            if not level.is_wanted and level.queues.is_idle:
                self.configuration.digest(*self._stored, now)
        return started, any(level.queues.waiting and not level.queues.full for level in waiting)

    def _sweep_soon(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        before = self.clock() - QUEUE_WAIT
        for level in self.configuration.levels.values():
            for ticket in level.queues.overdue(before):
                flow, turn = ticket.flow, ticket.label
                assert isinstance(flow, ClassifiedFlow)
                assert isinstance(turn, asyncio.Future)
                if not turn.done():
                    _give_up(turn, self._rejected(flow, TIMED_OUT))
            if level.queues.waiting:
                self._sweep_soon()


def _give_up(turn: asyncio.Future[None], error: Exception) -> None:
    if not turn.done():
        turn.set_exception(error)
