"""Rows of what runs pods."""

from __future__ import annotations

from typing import Any

from kafila.core.clock import human_duration, parse_rfc3339
from kafila.core.values import Object

from .common import (
    NONE,
    UNKNOWN,
    UNSET,
    Row,
    age,
    container_cells,
    format_labels,
    format_selector,
    name_of,
    selector_text,
    since,
    spec_and_status,
    yes_or_no,
)


def _template_containers(spec: Object) -> list[Object]:
    return ((spec.get("template") or {}).get("spec") or {}).get("containers") or []


# -- apps ------------------------------------------------------------------------------------------------------------------


def deployment(obj: Object, now: float) -> list[Any]:
    spec, status = spec_and_status(obj)
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
    spec, status = spec_and_status(obj)
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
    spec, status = spec_and_status(obj)
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}"
    return [name_of(obj), ready, age(obj, now), *container_cells(_template_containers(spec))]


def daemon_set(obj: Object, now: float) -> list[Any]:
    spec, status = spec_and_status(obj)
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
    spec, status = spec_and_status(obj)
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
    spec, status = spec_and_status(obj)
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
    spec, status = spec_and_status(obj)
    return [name_of(obj), spec.get("replicas") or 0, status.get("replicas") or 0, age(obj, now)]


def disruption_budget(obj: Object, now: float) -> list[Any]:
    spec, status = spec_and_status(obj)
    limits = ("N/A" if spec.get(f) is None else str(spec[f]) for f in ("minAvailable", "maxUnavailable"))
    return [name_of(obj), *limits, status.get("disruptionsAllowed") or 0, age(obj, now)]


def autoscaler(obj: Object, now: float) -> list[Any]:
    spec, status = spec_and_status(obj)
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


ROWS = {
    "Deployment": Row(
        "Name | Ready | Up-to-date | Available | Age | Containers^1 | Images^1 | Selector^1",
        deployment,
    ),
    "ReplicaSet": Row(
        "Name | Desired:integer | Current:integer | Ready:integer | Age | Containers^1 | Images^1 | Selector^1",
        replica_set,
    ),
    "ReplicationController": Row(
        "Name | Desired:integer | Current:integer | Ready:integer | Age | Containers^1 | Images^1 | Selector^1",
        replication_controller,
    ),
    "StatefulSet": Row("Name | Ready | Age | Containers^1 | Images^1", stateful_set),
    "DaemonSet": Row(
        "Name | Desired:integer | Current:integer | Ready:integer | Up-to-date:integer"
        " | Available:integer | Node Selector | Age | Containers^1 | Images^1 | Selector^1",
        daemon_set,
    ),
    "ControllerRevision": Row("Name | Controller | Revision | Age", controller_revision),
    "Job": Row(
        "Name | Status | Completions | Duration | Age | Containers^1 | Images^1 | Selector^1",
        job,
    ),
    "CronJob": Row(
        "Name | Schedule | Timezone | Suspend:boolean | Active:integer | Last Schedule | Age"
        " | Containers^1 | Images^1 | Selector^1",
        cron_job,
    ),
    "Scale": Row("Name | Desired:integer | Available:integer | Age", scale),
    "PodDisruptionBudget": Row(
        "Name | Min Available | Max Unavailable | Allowed Disruptions:integer | Age",
        disruption_budget,
    ),
    "HorizontalPodAutoscaler": Row("Name | Reference | Targets | MinPods | MaxPods | Replicas | Age", autoscaler),
}
