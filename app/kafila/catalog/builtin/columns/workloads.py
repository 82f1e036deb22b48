"""Rows of pods and of what runs them."""

from __future__ import annotations

from typing import Any

from kafila.core.clock import human_duration, parse_rfc3339
from kafila.core.conditions import is_true
from kafila.core.values import Object

from .common import (
    NONE,
    UNKNOWN,
    UNSET,
    age,
    container_cells,
    format_labels,
    format_selector,
    name_of,
    selector_text,
    since,
    yes_or_no,
)


def _spec_status(obj: Object) -> tuple[Object, Object]:
    return obj.get("spec") or {}, obj.get("status") or {}


def _template_containers(spec: Object) -> list[Object]:
    return ((spec.get("template") or {}).get("spec") or {}).get("containers") or []


# -- Pod -------------------------------------------------------------------------------------------------------------------


class _Restarts:
    """How often containers started again, and when the last one ended before."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def add(self, status: Object) -> None:
        self.count += status.get("restartCount") or 0
        ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        self.last = max(self.last, ended)  # RFC 3339 in UTC sorts by time

    def text(self, now: float) -> str:
        return f"{self.count} ({since(self.last, now)} ago)" if self.count and self.last else str(self.count)


def _terminated_reason(ended: Object) -> str:
    if ended.get("reason"):
        return ended["reason"]
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode') or 0}"


def _init_state(spec: Object, status: Object, restarts: _Restarts, sidecars: _Restarts) -> tuple[str, int]:
    """Why the pod still initializes ("" when it does not), and how many sidecars are ready."""
    init = {container.get("name"): container for container in spec.get("initContainers") or ()}
    ready = 0
    for i, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts.add(container)
        is_sidecar = (init.get(container.get("name")) or {}).get("restartPolicy") == "Always"
        if is_sidecar:
            sidecars.add(container)
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended is not None and not ended.get("exitCode"):
            continue
        if is_sidecar and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        if ended is not None:
            return f"Init:{_terminated_reason(ended)}", ready
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}", ready
        return f"Init:{i}/{len(init)}", ready
    return "", ready


def _running_state(status: Object, reason: str, restarts: _Restarts) -> tuple[str, int]:
    """What the containers make of ``reason``, and how many of them are ready."""
    ready, running, failed = 0, False, ""
    for container in reversed(status.get("containerStatuses") or []):
        restarts.add(container)
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            reason = _terminated_reason(ended)
            if ended.get("exitCode"):
                failed = reason
        elif container.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed":
        if running and is_true(status.get("conditions"), "Ready"):
            reason = "Running"
        elif failed:
            reason = failed
        elif running:
            reason = "NotReady"
    return reason, ready


def pod(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    phase = status.get("phase") or ""
    reason = status.get("reason") or phase
    if any(
        c.get("type") == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in status.get("conditions") or ()
    ):
        reason = "SchedulingGated"
    total = len(spec.get("containers") or ())
    total += sum(c.get("restartPolicy") == "Always" for c in spec.get("initContainers") or ())
    restarts, sidecars = _Restarts(), _Restarts()
    initializing, ready = _init_state(spec, status, restarts, sidecars)
    if initializing:
        reason = initializing
    if not initializing or is_true(status.get("conditions"), "Initialized"):
        restarts = sidecars
        reason, more = _running_state(status, reason, restarts)
        ready += more
    if (obj.get("metadata") or {}).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    addresses = status.get("podIPs") or ()
    return [
        name_of(obj),
        f"{ready}/{total}",
        reason,
        restarts.text(now),
        age(obj, now),
        (addresses[0].get("ip") if addresses else "") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def _gates(spec: Object, status: Object) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    met = sum(is_true(status.get("conditions"), gate.get("conditionType") or "") for gate in gates)
    return f"{met}/{len(gates)}"


def pod_template(obj: Object, now: float) -> list[Any]:
    template = obj.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    return [name_of(obj), *container_cells((template.get("spec") or {}).get("containers")), format_labels(labels)]


# -- apps ------------------------------------------------------------------------------------------------------------------


def deployment(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    return [
        name_of(obj),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        status.get("updatedReplicas") or 0,
        status.get("availableReplicas") or 0,
        age(obj, now),
        *container_cells(_template_containers(spec)),
        selector_text(spec.get("selector")),
    ]


def _replicas(obj: Object, now: float, selector: str) -> list[Any]:
    spec, status = _spec_status(obj)
    return [
        name_of(obj),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        age(obj, now),
        *container_cells(_template_containers(spec)),
        selector,
    ]


def replica_set(obj: Object, now: float) -> list[Any]:
    return _replicas(obj, now, format_selector((obj.get("spec") or {}).get("selector")))


def replication_controller(obj: Object, now: float) -> list[Any]:
    return _replicas(obj, now, format_labels((obj.get("spec") or {}).get("selector")))


def stateful_set(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}"
    return [name_of(obj), ready, age(obj, now), *container_cells(_template_containers(spec))]


def daemon_set(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        name_of(obj),
        *(status.get(field) or 0 for field in counts),
        format_labels(((spec.get("template") or {}).get("spec") or {}).get("nodeSelector")),
        age(obj, now),
        *container_cells(_template_containers(spec)),
        format_selector(spec.get("selector")),
    ]


def controller_revision(obj: Object, now: float) -> list[Any]:
    owner = next((o for o in (obj.get("metadata") or {}).get("ownerReferences") or () if o.get("controller")), None)
    controller = NONE
    if owner:
        group, slash, _ = (owner.get("apiVersion") or "").partition("/")
        kind = f"{owner.get('kind')}.{group}" if slash else owner.get("kind") or ""
        controller = f"{kind.lower()}/{owner.get('name')}"
    return [name_of(obj), controller, obj.get("revision") or 0, age(obj, now)]


# -- batch -----------------------------------------------------------------------------------------------------------------

_JOB_STATES = (
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def job(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    done = status.get("succeeded") or 0
    if spec.get("completions") is not None:
        completions = f"{done}/{spec['completions']}"
    elif (spec.get("parallelism") or 0) > 1:
        completions = f"{done}/1 of {spec['parallelism']}"
    else:
        completions = f"{done}/1"
    return [
        name_of(obj),
        _job_state(obj, status),
        completions,
        _duration(status, now),
        age(obj, now),
        *container_cells(_template_containers(spec)),
        format_selector(spec.get("selector")),
    ]


def _job_state(obj: Object, status: Object) -> str:
    true = {c.get("type") for c in status.get("conditions") or () if c.get("status") == "True"}
    for condition, shown in _JOB_STATES:
        if condition in true or (not condition and (obj.get("metadata") or {}).get("deletionTimestamp")):
            return shown
    return "Running"


def _duration(status: Object, now: float) -> str:
    start, end = status.get("startTime"), status.get("completionTime")
    if not start:
        return ""
    return human_duration((parse_rfc3339(end) if end else now) - parse_rfc3339(start))


def cron_job(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    inner = (spec.get("jobTemplate") or {}).get("spec") or {}
    last = status.get("lastScheduleTime")
    return [
        name_of(obj),
        spec.get("schedule") or "",
        NONE if spec.get("timeZone") is None else spec["timeZone"],
        yes_or_no(spec.get("suspend")),
        len(status.get("active") or ()),
        since(last, now) if last else NONE,
        age(obj, now),
        *container_cells(_template_containers(inner)),
        format_selector(inner.get("selector")),
    ]


# -- scaling and disruption ------------------------------------------------------------------------------------------------


def scale(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    return [name_of(obj), spec.get("replicas") or 0, status.get("replicas") or 0, age(obj, now)]


def disruption_budget(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    limits = ("N/A" if spec.get(f) is None else str(spec[f]) for f in ("minAvailable", "maxUnavailable"))
    return [name_of(obj), *limits, status.get("disruptionsAllowed") or 0, age(obj, now)]


def autoscaler(obj: Object, now: float) -> list[Any]:
    spec, status = _spec_status(obj)
    target = spec.get("scaleTargetRef") or {}
    low = spec.get("minReplicas")
    return [
        name_of(obj),
        f"{target.get('kind') or ''}/{target.get('name') or ''}",
        _metrics(spec, status),
        UNSET if low is None else str(low),
        spec.get("maxReplicas") or 0,
        status.get("currentReplicas") or 0,
        age(obj, now),
    ]


def _metrics(spec: Object, status: Object) -> str:
    if "targetCPUUtilizationPercentage" in spec:  # autoscaling/v1 knows only this one
        now = status.get("currentCPUUtilizationPercentage")
        return f"cpu: {UNKNOWN if now is None else f'{now}%'}/{spec['targetCPUUtilizationPercentage']}%"
    metrics, current = spec.get("metrics") or [], status.get("currentMetrics") or []
    if not metrics:
        return NONE
    shown = [_metric(metric, current[i] if i < len(current) else {}) for i, metric in enumerate(metrics)]
    text = ", ".join(shown[:2])
    return f"{text} + {len(shown) - 2} more..." if len(shown) > 2 else text


_METRIC_FIELDS = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def _metric(metric: Object, status: Object) -> str:
    field = _METRIC_FIELDS.get(metric.get("type") or "")
    if field is None:
        return "<unknown type>"
    source = metric.get(field) or {}
    target, current = source.get("target") or {}, (status.get(field) or {}).get("current") or {}
    average = target.get("averageValue")
    if field in ("resource", "containerResource"):
        name = source.get("name") or ""
        if average is not None:
            return f"{name}: {_or_unknown(current.get('averageValue'))}/{average}"
        now, wanted = current.get("averageUtilization"), target.get("averageUtilization")
        shown = UNKNOWN if now is None else f"{now}%"
        return f"{name}: {shown}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if field == "pods":
        return f"{_or_unknown(current.get('averageValue'))}/{average}"
    if average is not None:
        return f"{_or_unknown(current.get('averageValue'))}/{average} (avg)"
    return f"{_or_unknown(current.get('value'))}/{target.get('value')}"


def _or_unknown(value: Any) -> str:
    return UNKNOWN if value is None else str(value)


CELLS = {
    "Pod": pod,
    "PodTemplate": pod_template,
    "Deployment": deployment,
    "ReplicaSet": replica_set,
    "ReplicationController": replication_controller,
    "StatefulSet": stateful_set,
    "DaemonSet": daemon_set,
    "ControllerRevision": controller_revision,
    "Job": job,
    "CronJob": cron_job,
    "Scale": scale,
    "PodDisruptionBudget": disruption_budget,
    "HorizontalPodAutoscaler": autoscaler,
}
