"""Services."""

from __future__ import annotations

from kafila.core.values import Object

from .addresses import cidr_warnings, ip_warnings

_HINTS = "service.kubernetes.io/topology-aware-hints"


def service_warnings(service: Object) -> list[str]:
    spec = service.get("spec") or {}
    out: list[str] = []
    if _HINTS in (service["metadata"].get("annotations") or {}):
        out.append(f"annotation {_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead")
    for i, address in enumerate(spec.get("clusterIPs") or ()):
        if address not in ("", "None"):
            out += ip_warnings(f"spec.clusterIPs[{i}]", address)
    external, is_name = spec.get("externalIPs") or (), spec.get("type") == "ExternalName"
    headless = spec.get("type") == "ClusterIP" and spec.get("clusterIP") == "None"
    if headless:
        out += _ignored_when_headless(spec)
    for i, address in enumerate(external):
        out += ip_warnings(f"spec.externalIPs[{i}]", address)
    if external and not headless and not is_name:
        out.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.get("loadBalancerIP"):
        out += ip_warnings("spec.loadBalancerIP", spec["loadBalancerIP"])
    for i, cidr in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        out += cidr_warnings(f"spec.loadBalancerSourceRanges[{i}]", cidr)
    if is_name and external:
        out.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if not is_name and spec.get("externalName"):
        out.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        out.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return out


def _ignored_when_headless(spec: Object) -> list[str]:
    out = []
    if spec.get("loadBalancerIP"):
        out.append("spec.loadBalancerIP is ignored for headless services")
    if spec.get("externalIPs"):
        out.append("spec.externalIPs is ignored for headless services")
    if spec.get("sessionAffinity") != "None":
        out.append("spec.SessionAffinity is ignored for headless services")
    return out
