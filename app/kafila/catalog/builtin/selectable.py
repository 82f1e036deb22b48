"""Fields that ``fieldSelector`` knows, besides metadata.name and metadata.namespace which every kind has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.catalog.kind import Kind
from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object

Getter = Callable[[Object], str]


def text(value: Any) -> str:
    """A value as Go's selectors see it: strings as they are, booleans and numbers printed, nothing as ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _path(*names: str, default: str = "") -> Getter:
    first, *rest = names

    def get(obj: Object) -> str:
        value: Any = obj.get(first)
        for name in rest:
            if not value:
                return default
            value = value.get(name)
        return text(value) or default

    return get


def _fields(*paths: str) -> dict[str, Getter]:
    return {path: _path(*path.split(".")) for path in paths}


def _pod_ips(obj: Object) -> str:
    return ",".join(text(ip.get("ip")) for ip in (obj.get("status") or {}).get("podIPs") or ())


def _involved(prefix: str, holder: str) -> dict[str, Getter]:
    names = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    return {f"{prefix}.{name}": _path(holder, name) for name in names}


def _source(obj: Object) -> str:
    """Who reported an event, in the old or in the new way of saying it."""
    for name in ("source", "deprecatedSource"):
        component = (obj.get(name) or {}).get("component")
        if component:
            return component
    return obj.get("reportingComponent") or obj.get("reportingController") or ""


_EVENT: dict[str, Getter] = {
    **_involved("involvedObject", "involvedObject"),
    "reason": _path("reason"),
    "reportingComponent": _path("reportingComponent"),
    "source": _source,
    "type": _path("type"),
}
_EVENT_NEW: dict[str, Getter] = {
    **_involved("regarding", "regarding"),
    "reason": _path("reason"),
    "reportingController": _path("reportingController"),
    "source": _source,
    "type": _path("type"),
}
_BY_KIND: dict[tuple[str, str], dict[str, Getter]] = {
    ("", "Pod"): {
        **_fields(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ),
        "spec.host": _path("spec", "nodeName"),
        "spec.hostNetwork": _path("spec", "hostNetwork", default="false"),
        "status.podIPs": _pod_ips,
    },
    ("", "Node"): {"spec.unschedulable": _path("spec", "unschedulable", default="false")},
    ("", "ReplicationController"): {"status.replicas": _path("status", "replicas", default="0")},
    ("", "Event"): _EVENT,
    ("events.k8s.io", "Event"): _EVENT_NEW,
    ("", "Namespace"): _fields("status.phase"),
    ("", "Secret"): _fields("type"),
    ("", "Service"): _fields("spec.clusterIP", "spec.type"),
    ("batch", "Job"): {"status.successful": _path("status", "succeeded", default="0")},
    ("certificates.k8s.io", "CertificateSigningRequest"): _fields("spec.signerName"),
    ("certificates.k8s.io", "ClusterTrustBundle"): _fields("spec.signerName"),
    ("certificates.k8s.io", "PodCertificateRequest"): _fields("spec.signerName", "spec.podName", "spec.nodeName"),
    ("resource.k8s.io", "ResourceSlice"): _fields("spec.nodeName", "spec.driver"),
}


def unknown_field(kind: Kind, field: str) -> str:
    """What a list by a field that nothing can be selected by is refused with."""
    said = _SAID.get((kind.group, kind.kind))
    if said is not None:
        return said.format(field=field, gvk=f"{kind.api_version}, Kind={kind.kind}")
    if kind.custom or kind.selectable_fields:
        return f"field label not supported: {field}"
    return f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'


# whose conversion functions have texts of their own
_SAID = {
    ("batch", "Job"): 'field label "{field}" not supported for Job',
    ("resource.k8s.io", "ResourceSlice"): "field label not supported for {gvk}: {field}",
}


def selectable_fields(gvk: GroupVersionKind) -> dict[str, Getter]:
    return dict(_BY_KIND.get((gvk.group, gvk.kind), {}))
