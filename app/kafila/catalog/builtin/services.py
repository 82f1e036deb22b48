"""What happens to a Service's linked fields before addresses are allocated (which is the registry's affair)."""

from __future__ import annotations

from kafila.core.values import Object

from .defaults.core import externally_accessible


def prepare_service_create(obj: Object) -> None:
    spec = obj.get("spec") or {}
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]  # from a client that knows only the singular


def prepare_service_update(new: Object, old: Object) -> None:
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    _link_cluster_ips(spec, was)
    _keep_allocated(spec, was)
    _drop_what_the_type_has_not(new, spec, was)


def _keep_allocated(spec: Object, was: Object) -> None:
    """Whoever sends the manifest again without what was allocated for him means no change."""
    if spec.get("type") != "ExternalName" and was.get("type") != "ExternalName":
        if not spec.get("clusterIP") and was.get("clusterIP"):
            spec["clusterIP"] = was["clusterIP"]
        if not spec.get("clusterIPs") and was.get("clusterIPs"):
            spec["clusterIPs"] = was["clusterIPs"]
        if not spec.get("ipFamilies") and was.get("ipFamilies"):
            spec["ipFamilies"] = was["ipFamilies"]
        if spec.get("ipFamilyPolicy") is None and was.get("ipFamilyPolicy") is not None:
            spec["ipFamilyPolicy"] = was["ipFamilyPolicy"]
    if _needs_node_ports(spec) and _needs_node_ports(was):
        _keep_node_ports(spec, was)
    if needs_health_check(spec) and needs_health_check(was) and not spec.get("healthCheckNodePort"):
        if was.get("healthCheckNodePort"):
            spec["healthCheckNodePort"] = was["healthCheckNodePort"]


def _keep_node_ports(spec: Object, was: Object) -> None:
    used = {(port.get("protocol"), port.get("nodePort")) for port in spec.get("ports") or () if port.get("nodePort")}
    had = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in was.get("ports") or ()}
    for port in spec.get("ports") or ():
        if not port.get("nodePort"):
            allocated = had.get((port.get("protocol"), port.get("port")))
            if allocated and (port.get("protocol"), allocated) not in used:
                port["nodePort"] = allocated
                used.add((port.get("protocol"), allocated))


def _link_cluster_ips(spec: Object, was: Object) -> None:
    one, had_one = spec.get("clusterIP") or "", was.get("clusterIP") or ""
    if was.get("clusterIPs") and not spec.get("clusterIPs") and one == had_one:
        spec["clusterIPs"] = was["clusterIPs"]
    if one != had_one and spec.get("clusterIPs") == was.get("clusterIPs"):
        if one:
            spec["clusterIPs"] = [one]
        else:
            spec.pop("clusterIPs", None)


def _drop_what_the_type_has_not(new: Object, spec: Object, was: Object) -> None:
    """Fields that were filled in for the old type and that the user did not touch."""
    kind, before = spec.get("type"), was.get("type")

    def drop(*fields: str) -> None:
        if all((spec.get(field) or None) == (was.get(field) or None) for field in fields):
            for field in fields:
                spec.pop(field, None)

    if kind == "ExternalName":
        spec.pop("internalTrafficPolicy", None)  # Kubernetes leaves it out of what is read
    if kind == "ExternalName" and before != "ExternalName":
        drop("clusterIP", "clusterIPs")
        drop("ipFamilies")
        drop("ipFamilyPolicy")
        drop("internalTrafficPolicy")
    if _needs_node_ports(was) and not _needs_node_ports(spec):
        had = {port.get("nodePort") for port in was.get("ports") or ()}
        if all(port.get("nodePort") in had or not port.get("nodePort") for port in spec.get("ports") or ()):
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
    if needs_health_check(was) and not needs_health_check(spec):
        drop("healthCheckNodePort")
    if before == "LoadBalancer" and kind != "LoadBalancer":
        drop("allocateLoadBalancerNodePorts")
        drop("loadBalancerClass")
    if externally_accessible(was) and not externally_accessible(spec):
        drop("externalTrafficPolicy")
    if kind != "LoadBalancer" and new.get("status"):
        new["status"] = {**new["status"], "loadBalancer": {}}


def _needs_node_ports(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"
