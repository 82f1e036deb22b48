"""What Karmada's controllers and its scheduler measure, under its names, labels and buckets (docs/operations.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter, Histogram

from kafila.placement.scheduler.reschedule import RescheduleReason
from kafila.reconcile.measures import Stage
from kafila.telemetry.members import of_member

_TWELVE: Final = [0.001 * 2**power for power in range(12)]
_FIFTEEN: Final = [0.001 * 2**power for power in range(15)]

MATCH = Histogram(
    "resource_match_policy_duration_seconds", "How long it took to find the policy of a template.", buckets=_TWELVE
)
APPLY = Histogram(
    "resource_apply_policy_duration_seconds",
    "How long it took to apply a policy to a template: claim, binding, schedule and Works.",
    ["result"],
    buckets=_TWELVE,
)
APPLIED = Counter("policy_apply_attempts_total", "Policies that were applied to a template.", ["result"])
BINDING_SYNC = Histogram(
    "binding_sync_work_duration_seconds",
    "How long it took to bring the Works of a binding up to date.",
    ["result"],
    buckets=_TWELVE,
)
WORK_SYNC = Histogram(
    "work_sync_workload_duration_seconds",
    "How long it took to apply a Work to its member.",
    ["result"],
    buckets=_TWELVE,
)
CLUSTER_SYNC = of_member(
    Histogram("cluster_sync_status_duration_seconds", "How long it took to look at a member.", ["member_cluster"])
)
SLICES_DISPATCHED = of_member(
    Counter(
        "kafila_service_slices_dispatched_total",
        "Works that bring a slice to a member, as written.",
        ["member_cluster"],
    )
)
SLICES_IMPORTED = of_member(
    Counter("kafila_service_slices_imported_total", "Writes of EndpointSlices that members export.", ["member_cluster"])
)
COPIES_UNDONE = of_member(
    Counter(
        "kafila_copies_undone_total",
        "Copies that a member has changed once more after they were put right again and again.",
        ["member_cluster"],
    )
)
ATTEMPTS = Counter("karmada_scheduler_schedule_attempts_total", "Schedules of bindings.", ["result", "schedule_type"])
SCHEDULING = Histogram(
    "karmada_scheduler_e2e_scheduling_duration_seconds",
    "How long it took from looking at a binding to its schedule in the store.",
    ["result", "schedule_type"],
    buckets=_FIFTEEN,
)
INCOMING = Counter("karmada_scheduler_queue_incoming_bindings_total", "Bindings that came to be scheduled.", ["event"])

# parts of the pass over a template
BINDING: Final = Stage("binding-controller")
BINDING_STATUS: Final = Stage("resource-binding-status-controller")
POLICY: Final = Stage("propagationPolicy reconciler")

_EVENTS: Final = {
    RescheduleReason.PLACEMENT_CHANGED: "PolicyChanged",
    RescheduleReason.CLUSTER_TERMINATING: "ClusterChanged",
    RescheduleReason.NOT_ALLOWED: "ClusterChanged",
}


@contextmanager
def timed(histogram: Histogram, attempts: Counter | None = None) -> Iterator[None]:
    """Around what ends in success, or with an exception; what is broken off does not count."""
    began = time.perf_counter()
    try:
        yield
    except Exception:
        _observe("error", began, histogram, attempts)
        raise
    _observe("success", began, histogram, attempts)


def _observe(result: str, began: float, histogram: Histogram, attempts: Counter | None) -> None:
    histogram.labels(result).observe(time.perf_counter() - began)
    if attempts is not None:
        attempts.labels(result).inc()


def scheduled(reason: RescheduleReason, new: bool, failed: bool, seconds: float) -> None:
    """A binding was scheduled. ``new``: it was made for that; ``seconds``: since it was looked at."""
    INCOMING.labels("BindingAdd" if new else _EVENTS.get(reason, "BindingUpdate")).inc()
    kind = "ScaleSchedule" if reason is RescheduleReason.REPLICAS_CHANGED else "ReconcileSchedule"
    result = "error" if failed else "scheduled"
    ATTEMPTS.labels(result, kind).inc()
    SCHEDULING.labels(result, kind).observe(seconds)


def schedule_again() -> None:
    """A binding waits for another attempt."""
    INCOMING.labels("ScheduleAttemptFailure").inc()
