"""Service."""

from __future__ import annotations

from typing import Any

from kafila.catalog.builtin.defaults.core import externally_accessible
from kafila.catalog.builtin.services import needs_health_check
from kafila.core import names
from kafila.core.values import Object, repeats

from .common import (
    PROTOCOLS,
    Found,
    check_cidr,
    check_endpoint_ip,
    check_enum,
    check_immutable,
    check_ip,
    check_label_key,
    check_labels,
    check_name,
    check_port,
    check_port_or_name,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    parse_ip,
    required,
)
from .gostructs import go_struct

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_ONLY_LB = "may only be used when `type` is 'LoadBalancer'"
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_FIXED = "may not change once set"
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def _is_headless(spec: Object) -> bool:
    addresses = spec.get("clusterIPs") or []
    return len(addresses) == 1 and addresses[0] == "None"


def validate_service(obj: Object) -> Found:
    """Addresses and node ports that the registry allocates afterwards may still be missing."""
    found: Found = []
    spec = obj.get("spec") or {}
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if _HINTS in annotations and _MODE in annotations and annotations[_HINTS] != annotations[_MODE]:
        text = f"must match annotations[{_HINTS}] when both are specified"
        found.append(invalid(f"metadata.annotations[{_MODE}]", annotations[_MODE], text))
    kind = spec.get("type") or ""
    headless = _is_headless(spec)
    ports = spec.get("ports") or []
    if not ports and not headless and kind != "ExternalName":
        found.append(required("spec.ports"))
    if headless and kind in ("LoadBalancer", "NodePort"):
        found.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    if kind == "ExternalName":
        _check_external_name(spec, found)
    _check_ports(ports, kind, found)
    check_labels(spec.get("selector"), "spec.selector", found)
    _check_affinity(spec, found)
    if kind != "ExternalName":
        check_addresses(spec, headless, found)
    for i, address in enumerate(spec.get("externalIPs") or ()):
        if check_ip(address, f"spec.externalIPs[{i}]", found):
            check_endpoint_ip(address, f"spec.externalIPs[{i}]", found)
    check_enum(kind, TYPES, "spec.type", found)
    _check_load_balancer(spec, kind, annotations, found)
    _check_traffic(spec, kind, found)
    return found


def _check_external_name(spec: Object, found: Found) -> None:
    for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(field):
            found.append(forbidden(f"spec.{field}", "may not be set for ExternalName services"))
    name = (spec.get("externalName") or "").removesuffix(".")
    if name:
        check_name(name, "spec.externalName", found)
    else:
        found.append(required("spec.externalName"))


def _check_ports(ports: list[Object], kind: str, found: Found) -> None:
    seen_names: set[str] = set()
    seen_ports: set[tuple[Any, Any]] = set()
    seen_node_ports: set[tuple[Any, Any]] = set()
    late: Found = []
    for i, port in enumerate(ports):
        path = f"spec.ports[{i}]"
        name = port.get("name") or ""
        if name:
            check_name(name, f"{path}.name", found, names.dns1123_label)
            if name in seen_names:
                found.append(duplicate(f"{path}.name", name))
            seen_names.add(name)
        elif len(ports) > 1:
            found.append(required(f"{path}.name"))
        number, protocol = port.get("port") or 0, port.get("protocol") or ""
        check_port(number, f"{path}.port", found)
        check_enum(protocol, PROTOCOLS, f"{path}.protocol", found)
        check_port_or_name(port.get("targetPort"), f"{path}.targetPort", found)
        if port.get("appProtocol") is not None:
            check_label_key(port["appProtocol"], f"{path}.appProtocol", found)
        node_port = port.get("nodePort")
        if node_port:
            if kind == "ClusterIP":
                late.append(forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'"))
            if (protocol, node_port) in seen_node_ports:
                late.append(duplicate(f"{path}.nodePort", node_port))
            seen_node_ports.add((protocol, node_port))
        if (protocol, number) in seen_ports:
            late.append(duplicate(path, go_struct("api.core.v1.ServicePort", {"port": number, "protocol": protocol})))
        seen_ports.add((protocol, number))
    found.extend(late)


def _check_affinity(spec: Object, found: Found) -> None:
    affinity, config = spec.get("sessionAffinity") or "", spec.get("sessionAffinityConfig")
    check_enum(affinity, ("ClientIP", "None"), "spec.sessionAffinity", found)
    path = "spec.sessionAffinityConfig"
    if affinity == "ClientIP":
        text = "when session affinity type is ClientIP"
        if config is None:
            found.append(required(path, text))
        elif config.get("clientIP") is None:
            found.append(required(f"{path}.clientIP", text))
        elif config["clientIP"].get("timeoutSeconds") is None:
            found.append(required(f"{path}.clientIP.timeoutSeconds", text))
        elif not 0 < config["clientIP"]["timeoutSeconds"] <= 86400:
            at, value = f"{path}.clientIP.timeoutSeconds", config["clientIP"]["timeoutSeconds"]
            found.append(invalid(at, value, "must be greater than 0 and less than 86400"))
    elif affinity == "None" and config is not None:
        found.append(forbidden(path, "must not be set when session affinity is None"))


def check_addresses(spec: Object, headless: bool, found: Found) -> None:
    one, many = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    path = "spec.clusterIPs"
    if one:
        if not many:
            found.append(required(path))
        elif many[0] != one:
            found.append(invalid(path, many, "first value must match `clusterIP`"))
    elif many:
        found.append(invalid(path, many, "must be empty when `clusterIP` is not specified"))
    for i, (family, again) in enumerate(zip(families, repeats(families), strict=True)):
        if family not in _FAMILIES:
            found.append(not_supported(f"spec.ipFamilies[{i}]", family, _FAMILIES))
        if again:
            found.append(duplicate(f"spec.ipFamilies[{i}]", family))
    if policy is not None and policy not in _FAMILY_POLICIES:
        found.append(not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES))
    sound = True
    for i, address in enumerate(many):
        if i == 0 and address == "None":
            if len(many) > 1:
                sound = False
                found.append(invalid(path, many, "'None' must be the first and only value"))
        elif not check_ip(address, f"{path}[{i}]", found):
            sound = False
    if len(many) > 2:
        found.append(invalid(path, many, "may only hold up to 2 values"))
    if not sound or headless:
        return
    versions = [parsed.version for address in many if (parsed := parse_ip(address)) is not None]
    if len(many) > 1 and len(set(versions)) != len(versions):
        found.append(invalid(path, many, "may specify no more than one IP for each IP family"))
    for i, (version, family) in enumerate(zip(versions, families, strict=False)):
        if family in _FAMILIES and f"IPv{version}" != family:
            text = f"expected an {family} value as indicated by `ipFamilies[{i}]`"
            found.append(invalid(f"{path}[{i}]", many[i], text))


def _check_load_balancer(spec: Object, kind: str, annotations: dict[str, str], found: Found) -> None:
    ranges = spec.get("loadBalancerSourceRanges")
    if ranges:
        if kind != "LoadBalancer":
            found.append(forbidden("spec.LoadBalancerSourceRanges", _ONLY_LB))
        for i, block in enumerate(ranges):
            check_cidr(block.strip(), f"spec.LoadBalancerSourceRanges[{i}]", found)
    elif _RANGES in annotations:
        path = f"metadata.annotations[{_RANGES}]"
        if kind != "LoadBalancer":
            found.append(forbidden(path, _ONLY_LB))
        text = annotations[_RANGES].strip()
        for block in text.split(",") if text else ():
            check_cidr(block.strip(), path, found)
    if kind != "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is not None:
            found.append(forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LB))
        if spec.get("loadBalancerClass") is not None:
            found.append(forbidden("spec.loadBalancerClass", _ONLY_LB))
    else:
        if spec.get("allocateLoadBalancerNodePorts") is None:
            found.append(required("allocateLoadBalancerNodePorts"))
        if spec.get("loadBalancerClass") is not None:
            check_label_key(spec["loadBalancerClass"], "spec.loadBalancerClass", found)


def _check_traffic(spec: Object, kind: str, found: Found) -> None:
    policy = spec.get("externalTrafficPolicy") or ""
    path = "spec.externalTrafficPolicy"
    if externally_accessible(spec):
        check_enum(policy, ("Cluster", "Local"), path, found)
    elif policy:
        found.append(invalid(path, policy, "may only be set for externally-accessible services"))
    number = spec.get("healthCheckNodePort")
    if number:
        if needs_health_check(spec):
            check_port(number, "spec.healthCheckNodePort", found)
        else:
            text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            found.append(invalid("spec.healthCheckNodePort", number, text))
    internal = spec.get("internalTrafficPolicy")
    if internal is None:
        if kind in ("ClusterIP", "LoadBalancer", "NodePort"):
            found.append(required("spec.internalTrafficPolicy"))
    elif internal not in ("Cluster", "Local"):
        found.append(not_supported("spec.internalTrafficPolicy", internal, ("Cluster", "Local")))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        found.append(not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))


def validate_service_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    if needs_health_check(was) and needs_health_check(spec):
        if (spec.get("healthCheckNodePort") or 0) != (was.get("healthCheckNodePort") or 0):
            found.append(forbidden("spec.healthCheckNodePort", names.IMMUTABLE))
    if spec.get("type") == was.get("type") == "LoadBalancer":
        before, after = was.get("loadBalancerClass"), spec.get("loadBalancerClass")
        check_immutable(after, before, "spec.loadBalancerClass", found, _FIXED)
    if spec.get("type") != "ExternalName" and was.get("type") != "ExternalName":
        _check_fixed_addresses(spec, was, found)
    return found


def _check_fixed_addresses(spec: Object, was: Object, found: Found) -> None:
    before, after = was.get("clusterIPs") or [], spec.get("clusterIPs") or []
    if before and (not after or after[0] != before[0]):
        found.append(invalid("spec.clusterIPs[0]", after or None, _FIXED))
    elif len(before) == 2 and len(after) == 2 and before[1] != after[1]:
        found.append(invalid("spec.clusterIPs[1]", after, _FIXED))
    families_before, families = was.get("ipFamilies") or [], spec.get("ipFamilies") or []
    if families_before and families and families[0] != families_before[0]:
        found.append(invalid("spec.ipFamilies[0]", families, _FIXED))
