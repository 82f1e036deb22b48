"""``/debug/api_priority_and_fairness/…``: levels, queues and requests of this process at one moment, in kube-apiserver's columns."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from .configuration import ClassifiedFlow, PriorityLevel
from .fairness import NO_SEAT, QUEUE_FULL, TIMED_OUT, Fairness

PREFIX: Final = "/debug/api_priority_and_fairness/"
LONGEST: Final = 512  # characters of what a caller has thought up
MOST_UNUSED: Final = 10_000  # queues that get a row although nothing is in them; a level may say that it has millions
_LEVELS: Final = (
    *("PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests"),
    *("DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests"),
)
_QUEUES: Final = (
    *("PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR"),
    *("InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum"),
)
_REQUESTS: Final = (
    *("PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime"),
    *("InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime"),
)
_DETAILS: Final = ("UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
_NEVER: Final = "0001-01-01T00:00:00Z"  # Go's zero time
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
Row = tuple[str, ...]
Describe = Callable[[Any], Sequence[str]]  # ``_DETAILS`` of what a seat is about


def pages(fairness: Fairness, describe: Describe) -> dict[str, Callable[[bool], str]]:
    """By path; called with whether ``includeRequestDetails`` was asked for."""
    return {
        f"{PREFIX}dump_priority_levels": lambda details: table([_LEVELS, *_levels(fairness)]),
        f"{PREFIX}dump_queues": lambda details: table([_QUEUES, *_queues(fairness)]),
        f"{PREFIX}dump_requests": lambda details: table(
            [(*_REQUESTS, *_DETAILS) if details else _REQUESTS, *_requests(fairness, describe if details else None)]
        ),
    }


def table(rows: Sequence[Row]) -> str:
    """Cells end in a comma and are aligned, as Go's tabwriter does it with a minimal width of 8."""
    cells = [[_UNPRINTABLE.sub("?", cell)[:LONGEST] for cell in row] for row in rows]
    widths = [max(8, *(len(cell) + 2 for cell in column)) for column in zip(*cells, strict=True)]
    return "".join(
        "".join(f"{cell},".ljust(width) for cell, width in zip(row[:-1], widths, strict=False)) + row[-1] + "\n"
        for row in cells
    )


def _sorted(fairness: Fairness) -> Iterator[tuple[str, PriorityLevel]]:
    return iter(sorted(fairness.configuration.levels.items()))


def _levels(fairness: Fairness) -> Iterator[Row]:
    for name, level in _sorted(fairness):
        counts = [schema.counts for schema in fairness.configuration.schemas if schema.level == name]
        rejected = {reason: sum(each.rejected.get(reason, 0) for each in counts) for reason in _REASONS}
        queues = level.queues
        yield (
            name,
            str(sum(bool(queue.waiting) for queue in queues.used.values())),
            _flag(queues.is_idle),
            _flag(not level.is_wanted),
            str(queues.waiting),
            str(queues.executing),
            str(sum(each.started for each in counts)),
            str(rejected[QUEUE_FULL] + rejected[NO_SEAT]),
            str(rejected[TIMED_OUT]),
            "0",  # who has left is among those who were too late
        )


_REASONS: Final = (QUEUE_FULL, NO_SEAT, TIMED_OUT)


def _queues(fairness: Fairness) -> Iterator[Row]:
    """All of a level, while there is room for them; else those that have something to do."""
    room = MOST_UNUSED
    for name, level in _sorted(fairness):
        in_use: dict[int, int] = {}
        for seat in fairness.under_way:
            if seat.ticket is not None and seat.flow.level is level:
                in_use[seat.ticket.queue.number] = in_use.get(seat.ticket.queue.number, 0) + seat.seats
        has_room = level.queues.queues <= room
        if has_room:
            room -= level.queues.queues
        for index in range(level.queues.queues) if has_room else sorted(level.queues.used):
            queue = level.queues.used.get(index)
            if queue is None:
                yield (name, str(index), "0", "0", "0", _work(level.queues.r), "0", "0", _work(0.0))
                continue
            seats = str(sum(ticket.seats for ticket in queue.waiting))
            yield (
                *(name, str(index), str(len(queue.waiting)), str(queue.executing), str(in_use.get(index, 0))),
                *(_work(queue.next_r), seats, seats, _work(queue.work)),
            )


def _requests(fairness: Fairness, describe: Describe | None) -> Iterator[Row]:
    now, wall = fairness.clock(), time.time()

    def row(flow: Any, queue: int, place: int, arrived: float, seats: int, started: float | None, about: Any) -> Row:
        assert isinstance(flow, ClassifiedFlow)
        began = _NEVER if started is None else _time(wall - (now - started))
        found: Row = (
            *(flow.level.name, flow.schema.name, str(queue), str(place), flow.distinguisher),
            *(_time(wall - (now - arrived)), str(seats), "0", "0s", began),
        )
        if describe is None:
            return found
        return (*found, *(describe(about) if about is not None else ("",) * len(_DETAILS)))

    for _, level in _sorted(fairness):
        for index, queue in sorted(level.queues.used.items()):
            for place, ticket in enumerate(queue.waiting):
                yield row(ticket.flow, index, place, ticket.arrived, ticket.seats, None, ticket.about)
    for seat in fairness.under_way:
        number = seat.ticket.queue.number if seat.ticket is not None else -1
        yield row(seat.flow, number, -1, seat.arrived, seat.seats, seat.started, seat.about)


def _flag(value: bool) -> str:
    return str(value).lower()


def _work(value: float) -> str:
    """Seat-seconds."""
    return f"{value:.8f}ss"


def _time(at: float) -> str:
    """As Go writes it, without zeros at the end."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
