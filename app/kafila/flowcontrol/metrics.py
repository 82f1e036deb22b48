"""``apiserver_flowcontrol_*``, made from the configuration when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, final

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .configuration import ClassifiedFlow, PriorityLevel
from .fairness import Fairness

PREFIX: Final = "apiserver_flowcontrol_"
WAITS = Histogram(
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "Length of time a request spent waiting in its queue.",
    ["priority_level", "flow_schema", "execute"],
    buckets=(0.002, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
)
_LEVEL: Final = ["priority_level"]
_SCHEMA: Final = ["priority_level", "flow_schema"]


def observe_wait(level: str, schema: str, executed: bool, seconds: float) -> None:
    WAITS.labels(level, schema, str(executed).lower()).observe(seconds)


@final
class FlowControl(Collector):
    def __init__(self, fairness: Fairness) -> None:
        self._fairness = fairness

    def collect(self) -> Iterator[Metric]:
        yield from self._by_kind()
        yield from self._of_schemas()
        yield from self._of_levels()
        text = "Fair fraction of server's concurrency to allocate to each priority level that can use it"
        yield GaugeMetricFamily(f"{PREFIX}seat_fair_frac", text, value=self._fairness.configuration.fair)

    def _by_kind(self) -> Iterator[Metric]:
        text = "Most requests {} at once since this was last read, by kind."
        for name, what, found in (
            ("apiserver_current_inflight_requests", "under way", self._fairness.executing),
            ("apiserver_current_inqueue_requests", "in queues", self._fairness.waiting),
        ):
            family = GaugeMetricFamily(name, text.format(what), labels=["request_kind"])
            for kind, peak in zip(("mutating", "readOnly"), found, strict=True):
                family.add_metric([kind], peak.take())
            yield family

    def _of_schemas(self) -> Iterator[Metric]:
        dispatched = CounterMetricFamily(
            f"{PREFIX}dispatched_requests_total", "Requests that were let in.", labels=_SCHEMA
        )
        rejected = CounterMetricFamily(
            f"{PREFIX}rejected_requests_total", "Requests that were refused.", labels=[*_SCHEMA, "reason"]
        )
        executing = GaugeMetricFamily(
            f"{PREFIX}current_executing_requests",
            "Requests under way (watches: until they have begun).",
            labels=_SCHEMA,
        )
        waiting = GaugeMetricFamily(f"{PREFIX}current_inqueue_requests", "Requests in queues.", labels=_SCHEMA)
        queued = self._queued()
        for schema in self._fairness.configuration.schemas:
            labels = [schema.level, schema.name]
            counts = schema.counts
            dispatched.add_metric(labels, counts.started)
            executing.add_metric(labels, counts.started - counts.ended)
            waiting.add_metric(labels, queued.get(schema.name, 0))
            for reason, count in counts.rejected.items():
                rejected.add_metric([*labels, reason], count)
        yield from (dispatched, rejected, executing, waiting)

    def _queued(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for level in self._fairness.configuration.levels.values():
            for queue in level.queues.used.values():
                for ticket in queue.waiting:
                    assert isinstance(ticket.flow, ClassifiedFlow)
                    name = ticket.flow.schema.name
                    found[name] = found.get(name, 0) + 1
        return found

    def _of_levels(self) -> Iterator[Metric]:
        levels = self._fairness.configuration.levels
        for name, text, value in _OF_LEVELS:
            family = GaugeMetricFamily(f"{PREFIX}{name}", text, labels=_LEVEL)
            for level in levels.values():
                family.add_metric([level.name], value(level))
            yield family


_OF_LEVELS: Final[tuple[tuple[str, str, Callable[[PriorityLevel], float]], ...]] = (
    ("nominal_limit_seats", "Seats that a level has by its shares.", lambda level: level.limits.nominal),
    ("lower_limit_seats", "Seats that it does not lend.", lambda level: level.limits.lower),
    ("upper_limit_seats", "Seats that it may have with what it borrows.", lambda level: level.limits.upper),
    ("current_limit_seats", "Seats that it has now.", lambda level: level.queues.limit),
    ("current_executing_seats", "Seats in use.", lambda level: level.queues.seats_in_use),
    ("current_inqueue_seats", "Seats that those who wait will take.", lambda level: level.queues.seats_waiting),
    ("target_seats", "Seats that it was to get at the last adjustment.", lambda level: level.target),
    (
        "demand_seats_high_watermark",
        "Most seats it could have used, last period.",
        lambda level: level.observed.highest,
    ),
    ("demand_seats_average", "Seats it could have used, last period.", lambda level: level.observed.average),
    ("demand_seats_stdev", "Deviation of these.", lambda level: level.observed.deviation),
    ("demand_seats_smoothed", "Seats it could have used, over many periods.", lambda level: level.smoothed),
)
