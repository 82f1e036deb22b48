"""Rows of namespaces, nodes, configuration, events, quotas and leases."""

from __future__ import annotations

from typing import Any

from kafila.core.conditions import find
from kafila.core.values import Object

from .common import NONE, UNKNOWN, Row, age, name_of, since

_ROLE = "node-role.kubernetes.io/"


def namespace(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), (obj.get("status") or {}).get("phase") or "", age(obj, now)]


def only_age(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), age(obj, now)]


def config_map(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def secret(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), obj.get("type") or "", len(obj.get("data") or ()), age(obj, now)]


def component_status(obj: Object, now: float) -> list[Any]:
    found = find(obj.get("conditions"), "Healthy")
    if found is None:
        return [name_of(obj), "Unknown", "", ""]
    state = "Healthy" if found.get("status") == "True" else "Unhealthy"
    return [name_of(obj), state, found.get("message") or "", found.get("error") or ""]


def node(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    ready = next((c for c in reversed(status.get("conditions") or []) if c.get("type") == "Ready"), None)
    state = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    if spec.get("unschedulable"):
        state += ",SchedulingDisabled"
    kernel = info.get("kernelVersion") or UNKNOWN
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        name_of(obj),
        state,
        _roles(obj),
        age(obj, now),
        info.get("kubeletVersion") or "",
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _address(status: Object, kind: str) -> str:
    return next((a.get("address") or "" for a in status.get("addresses") or () if a.get("type") == kind), NONE)


def _roles(obj: Object) -> str:
    roles = set()
    for key, value in ((obj.get("metadata") or {}).get("labels") or {}).items():
        if key.startswith(_ROLE):
            roles.add(key[len(_ROLE) :])
        elif key == "kubernetes.io/role":
            roles.add(value)
    return ",".join(sorted(roles - {""})) or NONE


def event(obj: Object, now: float) -> list[Any]:
    """Of either API group: events.k8s.io has the same fields under other names."""
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    first_stamp = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    first = since(first_stamp, now)
    last_stamp = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp")
    last = since(last_stamp, now) if last_stamp else first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    series = obj.get("series")
    if series is not None:
        last, count = since(series.get("lastObservedTime"), now), series.get("count") or 0
    target = (involved.get("kind") or "").lower()
    if involved.get("name"):
        target += f"/{involved['name']}"
    reporter = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    instance = source.get("host") or obj.get("reportingInstance") or ""
    return [
        last,
        obj.get("type") or "",
        obj.get("reason") or "",
        target,
        involved.get("fieldPath") or "",
        f"{reporter}, {instance}" if instance else reporter,
        (obj.get("message") or obj.get("note") or "").strip(),
        first,
        count,
        name_of(obj),
    ]


def resource_quota(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        target = limits if name.startswith("limits.") else requests
        target.append(f"{name}: {used.get(name, '0')}/{hard[name]}")
    return [name_of(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


def lease(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), (obj.get("spec") or {}).get("holderIdentity") or "", age(obj, now)]


def lease_candidate(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    fields = ("leaseName", "binaryVersion", "emulationVersion")
    return [name_of(obj), *(spec.get(field) or "" for field in fields), age(obj, now)]


ROWS = {
    "Namespace": Row("Name | Status | Age", namespace),
    "ServiceAccount": Row("Name | Age", only_age),
    "ConfigMap": Row("Name | Data | Age", config_map),
    "Secret": Row("Name | Type | Data | Age", secret),
    "ComponentStatus": Row("Name | Status | Message | Error", component_status),
    "Node": Row(
        "Name | Status | Roles | Age | Version | Internal-IP^1 | External-IP^1 | OS-Image^1"
        " | Kernel-Version^1 | Container-Runtime^1",
        node,
    ),
    "Event": Row(
        "Last Seen | Type | Reason | Object | Subobject^1 | Source^1 | Message | First Seen^1 | Count^1 | Name^1",
        event,
    ),
    "ResourceQuota": Row("Name | Request | Limit | Age", resource_quota),
    "Lease": Row("Name | Holder | Age", lease),
    "LeaseCandidate": Row("Name | LeaseName | BinaryVersion | EmulationVersion | Age", lease_candidate),
}
