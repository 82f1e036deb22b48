"""Rows of services and of what leads to them."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

from .common import NONE, UNSET, Row, age, at_most, format_labels, format_selector, name_of


def _balancer(obj: Object) -> list[str]:
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return sorted({item.get("ip") or item.get("hostname") or "" for item in ingress} - {""})


def _external_ip(obj: Object, spec: Object) -> str:
    kind, addresses = spec.get("type"), spec.get("externalIPs") or []
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(addresses) or NONE
    if kind == "LoadBalancer":
        return ",".join([*_balancer(obj), *addresses]) or "<pending>"
    return spec.get("externalName") or "" if kind == "ExternalName" else "<unknown>"


def _port(port: Object) -> str:
    number = f"{port.get('port') or 0}"
    if (port.get("nodePort") or 0) > 0:
        number += f":{port['nodePort']}"
    return f"{number}/{port.get('protocol') or ''}"


def service(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    addresses = spec.get("clusterIPs") or (NONE,)
    return [
        name_of(obj),
        spec.get("type") or "",
        addresses[0],
        _external_ip(obj, spec),
        ",".join(_port(port) for port in spec.get("ports") or ()) or NONE,
        age(obj, now),
        format_labels(spec.get("selector")),
    ]


def _hosts(rules: list[Object]) -> str:
    listed: list[str] = []
    more = False
    for rule in rules:
        if len(listed) == 3:
            more = True
        if not more and rule.get("host"):
            listed.append(rule["host"])
    if not listed:
        return "*"
    text = ",".join(listed)
    return f"{text} + {len(rules) - 3} more..." if more else text


def ingress(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        name_of(obj),
        NONE if spec.get("ingressClassName") is None else spec["ingressClassName"],
        _hosts(spec.get("rules") or []),
        ",".join(_balancer(obj)),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def ingress_class(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    default = annotations.get("ingressclass.kubernetes.io/is-default-class") == "true"
    reference, parameters = spec.get("parameters"), NONE
    if reference is not None:
        group = reference.get("apiGroup")
        parameters = (
            f"{reference.get('kind') or ''}{'' if group is None else '.' + group}/{reference.get('name') or ''}"
        )
    name = name_of(obj) + (" (default)" if default else "")
    return [name, spec.get("controller") or "", parameters, age(obj, now)]


def network_policy(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), format_selector((obj.get("spec") or {}).get("podSelector")), age(obj, now)]


def endpoints(obj: Object, now: float) -> list[Any]:
    shown = []
    for subset in obj.get("subsets") or ():
        addresses = [address.get("ip") or "" for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:
            shown.extend(addresses)
        for port in ports:
            shown.extend(
                f"[{ip}]:{port.get('port') or 0}" if ":" in ip else f"{ip}:{port.get('port') or 0}" for ip in addresses
            )
    return [name_of(obj), at_most(shown) if obj.get("subsets") else NONE, age(obj, now)]


def endpoint_slice(obj: Object, now: float) -> list[Any]:
    ports = []
    for port in obj.get("ports") or ():
        number, name = port.get("port"), port.get("name")
        ports.append(str(number) if number is not None else "*" if name is None else name)
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [
        name_of(obj),
        obj.get("addressType") or "",
        at_most(ports) or UNSET,
        at_most(addresses) or UNSET,
        age(obj, now),
    ]


def ip_address(obj: Object, now: float) -> list[Any]:
    parent = (obj.get("spec") or {}).get("parentRef")
    text = NONE
    if parent is not None:
        group = parent.get("group")
        text = (parent.get("resource") or "") + (f".{group}" if group else "")
        text = "/".join(part for part in (text.lower(), parent.get("namespace"), parent.get("name")) if part)
    return [name_of(obj), text, age(obj, now)]  # a cell more than columns: Kubernetes' own slip


def service_cidr(obj: Object, now: float) -> list[Any]:
    return [name_of(obj), ",".join((obj.get("spec") or {}).get("cidrs") or ()), age(obj, now)]


ROWS = {
    "Service": Row("Name | Type | Cluster-IP | External-IP | Port(s) | Age | Selector^1", service),
    "Ingress": Row("Name | Class | Hosts | Address | Ports | Age", ingress),
    "IngressClass": Row("Name | Controller | Parameters | Age", ingress_class),
    "NetworkPolicy": Row("Name | Pod-Selector | Age", network_policy),
    "Endpoints": Row("Name | Endpoints | Age", endpoints),
    "EndpointSlice": Row("Name | AddressType | Ports | Endpoints | Age", endpoint_slice),
    "IPAddress": Row("Name | ParentRef", ip_address),
    "ServiceCIDR": Row("Name | CIDRs | Age", service_cidr),
}
