"""The queues of one priority level, and in which order those who wait in them are served (KEP-1040, "Fair Queuing for Server Requests").

Plain data: time is handed in, nobody is called. A request occupies *seats* while it is served, and costs *work*, in seat-seconds:
at first a guess, in the end what it really took. R is how much work each queue that has something to do was entitled to since
the start (*virtual time*); a queue's ``next_r`` is the R at which its next request would begin if all queues were served at once
and alike. The queue whose next request would end first is served next: so all get the same work done, whoever sends more.

Whoever finds a seat and nobody waiting goes through no queue (``start``): that costs an addition. What a flow has under way like
this is charged to its queue when it first has to wait.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Any, Final, final

from .demand import Demand

SERVICE_TIME: Final = 0.003  # seconds that a request is taken to be served until it has been


class Flow:
    """What is treated alike with itself and fairly with others: those of one user, or namespace, that one FlowSchema matches."""

    __slots__ = ("arrived", "cards", "executing")

    def __init__(self, cards: tuple[int, ...]) -> None:
        self.arrived = 0.0  # time of the event loop at which its last request came
        self.cards = cards  # numbers of the queues that it may use
        self.executing = 0  # requests


@final
class Ticket:
    """A request that waits, or was let in after it has waited."""

    __slots__ = ("about", "arrival_r", "arrived", "flow", "label", "queue", "seats", "started", "waiting", "work")

    def __init__(self, flow: Flow, seats: int, arrived: float, label: object) -> None:
        self.flow = flow
        self.seats = seats
        self.work = seats * SERVICE_TIME  # seat-seconds, as long as nothing else is known
        self.arrived = arrived
        self.arrival_r = 0.0
        self.started = 0.0
        self.waiting = True
        self.queue: Queue
        self.label = label  # the caller's
        self.about: Any = None  # what waits, for who wants to know


@final
class Queue:
    __slots__ = ("executing", "key", "next_r", "number", "waiting", "work")

    def __init__(self, number: int, next_r: float) -> None:
        self.number = number
        self.next_r = next_r
        self.waiting: OrderedDict[Ticket, None] = OrderedDict()  # oldest first
        self.work = 0.0  # of those who wait
        self.executing = 0
        self.key: tuple[float, int] | None = None  # its place in the order of service


@final
class QueueSet:
    """``queues`` 0: nobody waits, and who finds no seat is refused. ``exempt``: everybody has a seat."""

    __slots__ = (
        "_enqueued",
        "_next_key",
        "_order",
        "_queue_seats",
        "_r",
        "_synced",
        "demand",
        "executing",
        "exempt",
        "full",
        "hand",
        "length_limit",
        "limit",
        "queues",
        "seats_in_use",
        "seats_waiting",
        "used",
        "waiting",
    )

    def __init__(self, now: float, limit: int, queues: int = 0, hand: int = 1, length_limit: int = 1) -> None:
        """``hand``: queues that one flow may use; ``length_limit``: requests in a queue."""
        self.limit = limit  # seats
        self.exempt = False
        self.queues = queues
        self.hand = hand
        self.length_limit = length_limit
        self.executing = 0  # requests
        self.seats_in_use = 0
        self.waiting = 0  # requests
        self.seats_waiting = 0
        self.full = False  # whoever is next in order does not find the seats that he needs
        self.demand = Demand(now)
        self.used: dict[int, Queue] = {}  # those that have something to do, by number
        self._order: list[
            tuple[float, int, Queue]
        ] = []  # a heap; entries that are not their queue's key are out of date
        self._next_key = 0
        self._enqueued = 0
        self._r = 0.0
        self._synced = now
        self._queue_seats = 0  # in use by requests that went through a queue

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.executing

    @property
    def r(self) -> float:
        """Virtual time, as of the last change."""
        return self._r

    # -- without queueing ------------------------------------------------------------------------------------------------

    def has_room(self, seats: int) -> bool:
        """Whether a request with so many seats may begin. One that needs more than there are has them all alone."""
        if self.exempt:
            return True
        if seats > self.limit:
            return not self.executing
        return self.seats_in_use + seats <= self.limit

    def start(self, flow: Flow, seats: int, now: float) -> None:
        """Begins a request that goes through no queue."""
        flow.executing += 1
        self.executing += 1
        self.seats_in_use += seats
        self.demand.add(seats, now)

    def finish(self, flow: Flow, seats: int, now: float) -> None:
        """Ends a request begun by ``start``."""
        flow.executing -= 1
        self.executing -= 1
        self.seats_in_use -= seats
        self.demand.add(-seats, now)

    def give_back(self, ticket: Ticket | None, seats: int, now: float) -> None:
        """The seats of a request that goes on without any."""
        if ticket is not None:
            self._sync(now)
            self._queue_seats -= seats
            ticket.seats = 0
        self.seats_in_use -= seats
        self.demand.add(-seats, now)

    # -- queueing --------------------------------------------------------------------------------------------------------

    def enqueue(self, flow: Flow, seats: int, now: float, label: object = None) -> Ticket | None:
        """None: there is no queue, or its queue is full."""
        if not self.queues:
            return None
        self._sync(now)
        queue = self._choose(flow)
        if len(queue.waiting) >= self.length_limit:
            return None
        ticket = Ticket(flow, seats, now, label)
        ticket.arrival_r = self._r
        ticket.queue = queue
        if not queue.waiting and not queue.executing:
            queue.next_r = self._r + flow.executing * SERVICE_TIME
            self.used[queue.number] = queue
        queue.waiting[ticket] = None
        queue.work += ticket.work
        self.waiting += 1
        self.seats_waiting += seats
        self.demand.add(seats, now)
        if len(queue.waiting) == 1:
            self._place(queue)
        return ticket

    def _choose(self, flow: Flow) -> Queue:
        """Of the flow's queues that with the least work waiting; those alike take turns."""
        cards = flow.cards
        offset = self._enqueued % len(cards)
        self._enqueued += 1
        best: Queue | None = None
        for card in (*cards[offset:], *cards[:offset]):
            queue = self.used.get(card)
            if queue is None:
                return Queue(card, self._r)
            if best is None or queue.work < best.work:
                best = queue
        assert best is not None
        return best

    def dispatch(self, now: float, most: int) -> list[Ticket]:
        """Lets in whoever is next, as long as there are seats. ``most``: of flows that have others under way."""
        if not self.waiting:
            self.full = False
            return []
        self._sync(now)
        found: list[Ticket] = []
        while self.waiting:
            queue = self._first()
            ticket = next(iter(queue.waiting))
            if ticket.flow.executing:
                if most <= 0:
                    break
                most -= 1
            self.full = not self.has_room(ticket.seats)
            if self.full:
                break
            self._take_out(ticket)
            ticket.started = now
            flow = ticket.flow
            flow.executing += 1
            queue.executing += 1
            queue.next_r += ticket.work
            self.executing += 1
            self.seats_in_use += ticket.seats
            self._queue_seats += ticket.seats
            self._place(queue)
            found.append(ticket)
        if not self.waiting:
            self.full = False
        return found

    def leave(self, ticket: Ticket, now: float) -> bool:
        """Takes out one that does not want to wait any longer; False: it was let in already."""
        if not ticket.waiting:
            return False
        self._sync(now)
        self._take_out(ticket)
        self.demand.add(-ticket.seats, now)
        self._place(ticket.queue)
        self._put_away(ticket.queue)
        if not self.waiting:
            self.full = False
        return True

    def served(self, ticket: Ticket, now: float) -> None:
        """One that was let in is served. What it really took is what its queue pays."""
        queue = ticket.queue
        self._sync(now)
        ticket.flow.executing -= 1
        self.executing -= 1
        self.seats_in_use -= ticket.seats
        self.demand.add(-ticket.seats, now)
        queue.executing -= 1
        self._queue_seats -= ticket.seats
        queue.next_r -= ticket.seats * (SERVICE_TIME - (now - ticket.started))
        self._place(queue)
        self._put_away(queue)

    def overdue(self, before: float) -> list[Ticket]:
        """Those who have waited since ``before``."""
        return [
            ticket
            for queue in self.used.values()
            if queue.waiting and next(iter(queue.waiting)).arrived < before
            for ticket in queue.waiting
            if ticket.arrived < before
        ]

    # -- virtual time ----------------------------------------------------------------------------------------------------

    def _sync(self, now: float) -> None:
        """Carries R on to ``now``: what was served is shared by the queues that had something to do.

        KEP-1040 reckons with all seats that are asked for, which are in use at once there. Here they are given in turns."""
        if self._queue_seats:
            self._r += (now - self._synced) * self._queue_seats / len(self.used)
        self._synced = now

    def _place(self, queue: Queue) -> None:
        """Where a queue stands in the order of service, after anything about it has changed."""
        if not queue.waiting:
            queue.key = None
            return
        head = next(iter(queue.waiting))
        if queue.next_r < head.arrival_r:  # nobody begins before he has come: what a queue did not use is not saved up
            queue.next_r = head.arrival_r
        self._next_key += 1
        key = (queue.next_r + head.work, self._next_key)
        queue.key = key
        if len(self._order) > 64 + 4 * len(self.used):
            self._order = [
                (*other.key, other) for other in self.used.values() if other.key is not None and other is not queue
            ]
            self._order.append((*key, queue))
            heapq.heapify(self._order)
        else:
            heapq.heappush(self._order, (*key, queue))

    def _first(self) -> Queue:
        """The queue that is served next. There is one: somebody waits."""
        while True:
            finish, number, queue = self._order[0]
            if queue.key == (finish, number):
                return queue
            heapq.heappop(self._order)

    def _take_out(self, ticket: Ticket) -> None:
        queue = ticket.queue
        del queue.waiting[ticket]
        ticket.waiting = False
        queue.work -= ticket.work
        self.waiting -= 1
        self.seats_waiting -= ticket.seats

    def _put_away(self, queue: Queue) -> None:
        if not queue.waiting and not queue.executing:
            del self.used[queue.number]
