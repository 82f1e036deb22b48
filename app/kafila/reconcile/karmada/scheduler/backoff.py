"""Bindings that could not be scheduled: when each is tried again. The times are those of Karmada's scheduling queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, final

from prometheus_client import Gauge

from kafila.core.feature_gates import PRIORITY_BASED_SCHEDULING, Gates
from kafila.core.rates import exponential
from kafila.core.resources import Key
from kafila.reconcile.karmada.measures import schedule_again

FIRST: Final = 1.0  # seconds of back-off after the first attempt, doubled with each further one
MOST: Final = 10.0
UNSCHEDULABLE: Final = 300.0  # seconds until one that no cluster could take is tried all the same

PENDING = Gauge(
    "scheduler_pending_bindings", "Bindings that wait for another attempt to schedule them, by queue.", ["queue"]
)


class Waiting(Exception):
    """Something else has to happen first; tried again with a growing delay."""

    expected = True


@final
class SchedulingBackoff:
    """By template. ``again(key, seconds)`` enqueues one for later; of several times the earliest counts.

    What failed is in back-off. What no cluster could take waits for a cluster event that may help, and is in back-off from then on.
    In memory only: at a start everything is enqueued.
    """

    def __init__(self, again: Callable[[Key, float], None], gates: Gates) -> None:
        self._again = again
        self._on = PRIORITY_BASED_SCHEDULING in gates
        self._attempts: dict[Key, int] = {}
        self._unschedulable: dict[Key, float] = {}  # and when its back-off ends
        self._shown = PENDING.labels("backoff"), PENDING.labels("unschedulable")

    def __bool__(self) -> bool:
        """Does anything wait for free resources?"""
        return bool(self._unschedulable)

    def failed(self, key: Key, *, for_room: bool) -> None:
        """Raises Waiting without the gate PriorityBasedScheduling: then the work queue's own delays hold."""
        if not self._on:
            raise Waiting("the binding could not be scheduled")
        schedule_again()
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        backoff = exponential(attempts - 1, FIRST, MOST)
        if for_room:
            self._unschedulable[key] = time.monotonic() + backoff
            self._again(key, UNSCHEDULABLE)
        else:
            self._unschedulable.pop(key, None)
            self._again(key, backoff)
        self._show()

    def settled(self, key: Key) -> None:
        """Scheduled, changed by its user, or gone: the next failure is the first one."""
        if self._attempts.pop(key, None) is not None:
            self._unschedulable.pop(key, None)
            self._show()

    def more_available(self) -> None:
        """Some cluster has more free than before: whatever waits for that is tried when its back-off is over."""
        now = time.monotonic()
        for key, until in self._unschedulable.items():
            self._again(key, max(until - now, 0.0))
        self._unschedulable.clear()
        self._show()

    def clear(self) -> None:
        self._attempts.clear()
        self._unschedulable.clear()
        self._show()

    def _show(self) -> None:
        backoff, unschedulable = self._shown
        unschedulable.set(len(self._unschedulable))
        backoff.set(len(self._attempts) - len(self._unschedulable))
