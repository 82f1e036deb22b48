"""Core kinds that hold no pods."""

from __future__ import annotations

import base64

from kafila.core.values import Object

from .common import part_of
from .pods import _OLD_SOURCES, default_claim_spec, default_fields, round_up

_NAME_LABEL = "kubernetes.io/metadata.name"
_PLURAL_TYPES = ("NodePort", "LoadBalancer", "ClusterIP")


def externally_accessible(spec: Object) -> bool:
    return spec.get("type") in ("LoadBalancer", "NodePort") or bool(
        spec.get("type") == "ClusterIP" and spec.get("externalIPs")
    )


def default_service(obj: Object) -> None:
    spec = part_of(obj, "spec")
    affinity = spec.get("sessionAffinity")
    if not affinity:
        affinity = spec["sessionAffinity"] = "None"
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = spec.get("sessionAffinityConfig") or {}
        if (config.get("clientIP") or {}).get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    for port in spec.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port") or 0
    if not spec.get("externalTrafficPolicy") and externally_accessible(spec):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec.get("internalTrafficPolicy") is None and spec["type"] in _PLURAL_TYPES:
        spec["internalTrafficPolicy"] = "Cluster"
    if spec["type"] == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip") and ingress.get("ipMode") is None:
                ingress["ipMode"] = "VIP"


def default_secret(obj: Object) -> None:
    if not obj.get("type"):
        obj["type"] = "Opaque"
    for key, value in (obj.get("data") or {}).items():
        if value is None:
            obj["data"][key] = ""
    texts = obj.pop("stringData", None)
    if texts:  # write-only: it ends up in data, over what is there
        data = part_of(obj, "data")
        for key, text in texts.items():
            data[key] = base64.b64encode((text or "").encode("utf-8", "surrogatepass")).decode()


def default_config_map(obj: Object) -> None:
    if "data" in obj and not obj["data"]:
        del obj["data"]  # {} is the default, and empty maps are not written


def default_namespace(obj: Object) -> None:
    metadata = part_of(obj, "metadata")
    name = metadata.get("name")
    if name:
        part_of(metadata, "labels")[_NAME_LABEL] = name
    status = part_of(obj, "status")
    if not status.get("phase"):
        status["phase"] = "Active"


_PV_SOURCES: dict[str, Object] = {
    **_OLD_SOURCES,
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
    "hostPath": {"type": ""},
}


def default_persistent_volume(obj: Object) -> None:
    status = part_of(obj, "status")
    if not status.get("phase"):
        status["phase"] = "Pending"
    spec = part_of(obj, "spec")
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    if spec.get("capacity"):
        round_up(spec["capacity"])
    for field, fixed in _PV_SOURCES.items():
        source = spec.get(field)
        if source is not None:
            default_fields(source, fixed)


def default_persistent_volume_claim(obj: Object) -> None:
    status = part_of(obj, "status")
    if not status.get("phase"):
        status["phase"] = "Pending"
    for field in ("capacity", "allocatedResources"):
        if status.get(field):
            round_up(status[field])
    default_claim_spec(part_of(obj, "spec"))


def default_endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def default_node(obj: Object) -> None:
    spec = obj.get("spec") or {}
    if spec.get("podCIDR"):  # the older field is the first of the newer one
        spec["podCIDRs"] = [spec["podCIDR"], *(spec.get("podCIDRs") or ())[1:]]
    elif spec.get("podCIDRs") and spec["podCIDRs"][0]:
        spec["podCIDR"] = spec["podCIDRs"][0]
    status = part_of(obj, "status")
    if status.get("allocatable") is None and status.get("capacity") is not None:
        status["allocatable"] = dict(status["capacity"])
    for field in ("capacity", "allocatable"):
        if status.get(field):
            round_up(status[field])


def default_limit_range(obj: Object) -> None:
    for limit in (obj.get("spec") or {}).get("limits") or ():
        for field in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
            if limit.get(field):
                round_up(limit[field])
        if limit.get("type") == "Container":
            _default_container_limit(limit)


def _default_container_limit(limit: Object) -> None:
    limits = dict(limit.get("default") or {})
    for name, amount in (limit.get("max") or {}).items():
        limits.setdefault(name, amount)
    requests = dict(limit.get("defaultRequest") or {})
    for source in (limits, limit.get("min") or {}):
        for name, amount in source.items():
            requests.setdefault(name, amount)
    if limits:
        limit["default"] = limits
    if requests:
        limit["defaultRequest"] = requests


def default_resource_quota(obj: Object) -> None:
    for part, field in (("spec", "hard"), ("status", "hard"), ("status", "used")):
        amounts = (obj.get(part) or {}).get(field)
        if amounts:
            round_up(amounts)
