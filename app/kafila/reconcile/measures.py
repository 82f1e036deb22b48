"""What queues and controllers measure, under the names that client-go, controller-runtime and Karmada's harness know.

A queue has a name of ours and further ones: those of Karmada's controllers whose work its keys are. Where several queues share a
further name (one for each member), that one has them all together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, final, get_args

from prometheus_client import Counter, Gauge, Histogram

Result = Literal["success", "error", "requeue_after"]
_RESULTS: Final[tuple[Result, ...]] = get_args(Result)

DEPTH = Gauge("workqueue_depth", "Keys that wait.", ["name"])
ADDS = Counter("workqueue_adds_total", "Keys added.", ["name"])
RETRIES = Counter("workqueue_retries_total", "Keys added again after a failure.", ["name"])
_BUCKETS: Final = [10.0**power for power in range(-8, 2)]  # client-go's
WAITED = Histogram(
    "workqueue_queue_duration_seconds",
    "For how long keys waited before they were worked on.",
    ["name"],
    buckets=_BUCKETS,
)
WORK = Histogram("workqueue_work_duration_seconds", "For how long keys were worked on.", ["name"], buckets=_BUCKETS)
RECONCILED = Counter("controller_runtime_reconcile_total", "Keys that were worked on.", ["controller", "result"])
ERRORS = Counter("controller_runtime_reconcile_errors_total", "Keys whose work failed.", ["controller"])
_SHORT: Final = [0.005, 0.01, 0.025, *(n / 20 for n in range(1, 11)), 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0]
RECONCILE_TIME = Histogram(
    "controller_runtime_reconcile_time_seconds",
    "For how long keys were worked on.",
    ["controller"],
    buckets=[*_SHORT, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60],  # controller-runtime's
)


@final
class QueueMeasures:
    """``also``: further names; what is worked on counts for controllers of those names, or else of the queue's own."""

    def __init__(self, name: str, also: tuple[str, ...] = ()) -> None:
        self._name = name
        self._also = also
        names = (name, *also)
        self._depths = [DEPTH.labels(each) for each in names]
        self._adds = [ADDS.labels(each) for each in names]
        self._retries = [RETRIES.labels(each) for each in names]
        self._waits = [WAITED.labels(each) for each in names]
        self._works = [WORK.labels(each) for each in names]
        controllers = also or (name,)
        self._times = [RECONCILE_TIME.labels(each) for each in controllers]
        self._errors = [ERRORS.labels(each) for each in controllers]
        self._results: dict[Result, list[Counter]] = {
            result: [RECONCILED.labels(each, result) for each in controllers] for result in _RESULTS
        }
        self._depth = 0

    def forget(self) -> None:
        """Nothing has the queue's own name any more; what came under the further ones stays counted."""
        for metric in (DEPTH, ADDS, RETRIES, WAITED, WORK):
            _remove(metric, self._name)
        if not self._also:
            for metric in (RECONCILE_TIME, ERRORS):
                _remove(metric, self._name)
            for result in _RESULTS:
                _remove(RECONCILED, self._name, result)

    def depth(self, depth: int) -> None:
        if change := depth - self._depth:
            self._depth = depth
            for gauge in self._depths:
                gauge.inc(change)

    def added(self) -> None:
        for counter in self._adds:
            counter.inc()

    def retried(self) -> None:
        for counter in self._retries:
            counter.inc()

    def begun(self, waited: float) -> None:
        """``waited``: seconds in the queue."""
        for histogram in self._waits:
            histogram.observe(waited)

    def ended(self, seconds: float, result: Result | None) -> None:
        """``result`` None: it was broken off, and came to nothing."""
        for histogram in self._works:
            histogram.observe(seconds)
        if result is None:
            return
        for histogram in self._times:
            histogram.observe(seconds)
        for counter in self._results[result]:
            counter.inc()
        if result == "error":
            for counter in self._errors:
                counter.inc()


def _remove(metric: Counter | Gauge | Histogram, *labels: str) -> None:
    with suppress(KeyError):
        metric.remove(*labels)


@final
class Stage:
    """A part of other work that is a controller with a queue of its own in Karmada. Its keys never wait."""

    def __init__(self, name: str) -> None:
        self._measures = QueueMeasures(name)

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Around the work on one key."""
        self._measures.added()
        self._measures.begun(0.0)
        began = time.perf_counter()
        result: Result | None = None
        try:
            yield
            result = "success"
        except Exception:
            result = "error"
            raise
        finally:
            self._measures.ended(time.perf_counter() - began, result)
