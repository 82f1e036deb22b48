"""The part of a member object's status that is brought back; None when there is nothing to bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kafila.core.values import Object, nested
from kafila.placement.constants import TEMPLATE_GENERATION
from kafila.placement.objects import annotations_of, metadata

Reflect = Callable[[Object], Object | None]


class Fields(NamedTuple):
    """The fields of a status in Go's order: those that are there even when zero, and those that are not."""

    always: tuple[str, ...]
    unless_zero: tuple[str, ...]


DEPLOYMENT: Final = Fields(
    (),
    (
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ),
)
REPLICA_SET: Final = Fields(("replicas",), ("readyReplicas", "availableReplicas", "observedGeneration"))
DAEMON_SET: Final = Fields(
    ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"),
    ("observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable"),
)
# observedGeneration is more than Karmada brings back
STATEFUL_SET: Final = Fields(
    ("replicas", "availableReplicas"), ("observedGeneration", "readyReplicas", "currentReplicas", "updatedReplicas")
)
_JOB: Final = Fields((), ("conditions", "startTime", "completionTime", "active", "succeeded", "failed"))
_BUDGET: Final = Fields(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), ("disruptedPods",))


def picked(status: Object, fields: Fields) -> Object:
    found: Object = {field: status.get(field) or 0 for field in fields.always}
    found.update({field: status[field] for field in fields.unless_zero if status.get(field)})
    return found


def with_generations(fields: Fields) -> Reflect:
    """Numbers of a workload, and which generation of the object and of the template they are of."""

    def reflect(obj: Object) -> Object | None:
        status = obj.get("status")
        if status is None:
            return None
        reflected: Object = {}
        for field, value in (
            ("generation", metadata(obj).get("generation") or 0),
            ("resourceTemplateGeneration", template_generation(obj)),
        ):
            if value:
                reflected[field] = value
        reflected.update(picked(status, fields))
        return reflected or None

    return reflect


def template_generation(obj: Object) -> int:
    text = annotations_of(obj).get(TEMPLATE_GENERATION) or ""
    try:
        return int(text)
    except ValueError:
        return 0


def only(fields: Fields) -> Reflect:
    def reflect(obj: Object) -> Object | None:
        status = obj.get("status")
        return None if status is None else picked(status, fields)

    return reflect


job: Final = only(_JOB)
pod_disruption_budget: Final = only(_BUDGET)


def service(obj: Object) -> Object | None:
    """The addresses of a load balancer; a Service of another type has no status worth having."""
    status = obj.get("status")
    if status is None or nested(obj, "spec", "type") != "LoadBalancer":
        return None
    return {"loadBalancer": status.get("loadBalancer") or {}}


def horizontal_pod_autoscaler(obj: Object) -> Object | None:
    status = obj.get("status")
    if status is None:
        return None
    reflected: dict[str, Any] = {}
    if status.get("currentReplicas"):
        reflected["currentReplicas"] = status["currentReplicas"]
    reflected["desiredReplicas"] = status.get("desiredReplicas") or 0
    reflected["currentMetrics"] = None
    return reflected


def whole(obj: Object) -> Object | None:
    status: Object | None = obj.get("status")
    return status
