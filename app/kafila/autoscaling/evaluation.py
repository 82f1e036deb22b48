"""One look at a FederatedHPA: from its spec, the target's scale and what metrics say to a number, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from kafila.core.conditions import condition, with_condition
from kafila.core.values import AnyObject, Object

from .behavior import Bounds, History, normalized
from .calculator import Workload
from .pods import Tuning
from .sources import Answer, Computed, Failed, computed

ABLE: Final = "AbleToScale"
ACTIVE: Final = "ScalingActive"
LIMITED: Final = "ScalingLimited"


class Warned(NamedTuple):
    """A Warning event on the autoscaler."""

    reason: str
    message: str


class Verdict(NamedTuple):
    """``replicas``: what the template is to have; it is written only if ``rescale``. ``reason``: why it is.

    ``metrics``: for ``status.currentMetrics``, None to leave it. ``error``: what went wrong; with ``failed`` nothing follows at
    all, without it something else does. ``conditions``: to be set, in this order.
    """

    replicas: int
    rescale: bool = False
    reason: str = ""
    metrics: list[Object] | None = None
    conditions: tuple[Object, ...] = ()
    events: tuple[Warned, ...] = ()
    error: str = ""
    failed: bool = False


def bounds_of(spec: AnyObject) -> Bounds:
    lowest = spec.get("minReplicas")
    return Bounds(1 if lowest is None else lowest, spec["maxReplicas"])


def without_metrics(spec: AnyObject, current: int, in_clusters: int) -> Verdict | None:
    """What is decided whatever the metrics say; None: they decide. ``in_clusters``: replicas that the clusters ask for."""
    lowest, highest = bounds_of(spec)
    if in_clusters == 0 and lowest != 0:
        text = "scaling is disabled since the replica count of the target is zero"
        return Verdict(0, metrics=[], conditions=(condition(ACTIVE, "False", "ScalingDisabled", text),))
    if current > highest:
        return Verdict(highest, True, "Current number of replicas above Spec.MaxReplicas", [])
    if current < lowest:
        return Verdict(lowest, True, "Current number of replicas below Spec.MinReplicas", [])
    return None


def ambiguous(selector: str, rivals: Sequence[tuple[str, str]], current: int) -> Verdict:
    """More than one autoscaler has these pods. ``rivals``: name and namespace of each."""
    listed = " ".join(f"{{{name} {namespace}}}" for name, namespace in sorted(rivals))
    text = f"pods by selector {selector} are controlled by multiple HPAs: [{listed}]"
    said = condition(ACTIVE, "False", "AmbiguousSelector", text)
    events = (Warned("AmbiguousSelector", text), Warned("FailedComputeMetricsReplicas", text))
    return Verdict(current, conditions=(said,), events=events, error=text, failed=True)


class Clocks(NamedTuple):
    """Seconds. ``wall``: Unix time, as pods and metrics tell theirs; ``steady``: of a clock that nobody sets, for histories."""

    wall: float
    steady: float


def by_metrics(
    spec: AnyObject,
    answers: Sequence[Answer | None],
    workload: Workload,
    history: History,
    tuning: Tuning,
    namespace: str,
    now: Clocks,
) -> Verdict:
    """``answers``: to the questions of the spec's metrics, in their order. What is proposed is remembered in ``history``."""
    metrics = spec.get("metrics") or []
    found = [
        computed(metric, answer, workload, tuning, namespace, now.wall)
        for metric, answer in zip(metrics, answers, strict=True)
    ]
    failures = [each for each in found if isinstance(each, Failed)]
    events = tuple(Warned(each.reason, each.message) for each in failures)
    current = workload.replicas
    usable = [each for each in found if isinstance(each, Computed)]
    best = max(usable, key=lambda each: each.replicas, default=None)
    if best is None or (failures and best.replicas < current):
        return _failed(current, failures, events, len(metrics))
    text = f"the HPA was able to successfully calculate a replica count from {best.name}"
    active = condition(ACTIVE, "True", "ValidMetricFound", text)
    outcome = normalized(
        spec.get("behavior"),
        history,
        current,
        best.replicas,
        bounds_of(spec),
        tuning.downscale_stabilization,
        now.steady,
    )
    return Verdict(
        outcome.replicas,
        outcome.replicas != current,
        _reason(best, current),
        [each.status if isinstance(each, Computed) else {"type": ""} for each in found],
        (
            active,
            condition(ABLE, "True", *outcome.able),
            condition(LIMITED, "True" if outcome.limited else "False", *outcome.why_limited),
        ),
        events,
        _error(failures, len(metrics)),
    )


def _failed(current: int, failures: Sequence[Failed], events: tuple[Warned, ...], metrics: int) -> Verdict:
    error = _error(failures, metrics)
    return Verdict(
        current,
        conditions=(_unable(failures[0]),) if failures else (),
        events=(*events, Warned("FailedComputeMetricsReplicas", error)),
        error=error,
        failed=True,
    )


def _error(failures: Sequence[Failed], metrics: int) -> str:
    """Empty when there are none."""
    if not failures:
        return ""
    return f"invalid metrics ({len(failures)} invalid out of {metrics}), first error is: {failures[0].error}"


def _reason(best: Computed, current: int) -> str:
    if best.replicas > current:
        return f"{best.name} above target"
    return "All metrics below target" if best.replicas < current else ""


def _unable(failure: Failed) -> Object:
    text = f"the HPA was unable to compute the replica count: {failure.message}"
    return condition(ACTIVE, "False", failure.reason, text)


def status_after(
    status: AnyObject, verdict: Verdict, current: int, conditions: Sequence[Object], scaled_at: str, now: float
) -> Object:
    """The whole status. ``conditions``: set before those of the verdict; ``scaled_at``: RFC 3339, "" if nothing was scaled."""
    found = list(status.get("conditions") or ())
    for each in (*conditions, *verdict.conditions):
        found = with_condition(found, each, now)
    desired = status.get("desiredReplicas", 0) if verdict.failed else verdict.replicas
    if not verdict.failed and not verdict.rescale:
        desired = current
    made: Object = {"desiredReplicas": desired}
    if current:
        made["currentReplicas"] = current
    metrics = status.get("currentMetrics") if verdict.failed or verdict.metrics is None else verdict.metrics
    if metrics:
        made["currentMetrics"] = metrics
    if scaled_at or status.get("lastScaleTime"):
        made["lastScaleTime"] = scaled_at or status["lastScaleTime"]
    if found:
        made["conditions"] = found
    return made
