"""Ingress, IngressClass, NetworkPolicy, IPAddress and ServiceCIDR."""

from __future__ import annotations

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .batch import check_domain_path
from .common import (
    PROTOCOLS,
    Found,
    check_cidr,
    check_immutable_text,
    check_ip,
    check_label_selector,
    check_name,
    check_port,
    forbidden,
    invalid,
    not_supported,
    parse_cidr,
    parse_ip,
    required,
)

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")


# -- Ingress ---------------------------------------------------------------------------------------------------------------


def validate_ingress(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    rules, backend = spec.get("rules"), spec.get("defaultBackend")
    if not rules and backend is None:
        found.append(invalid("spec", rules or None, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        _check_backend(backend, "spec.defaultBackend", found)
    for i, rule in enumerate(rules or ()):
        _check_rule(rule, f"spec.rules[{i}]", found)
    for i, tls in enumerate(spec.get("tls") or ()):
        for j, host in enumerate(tls.get("hosts") or ()):
            _check_host(host, f"spec.tls[{i}].hosts[{j}]", found)
        if tls.get("secretName"):
            check_name(tls["secretName"], f"spec.tls[{i}].secretName", found)
    name = spec.get("ingressClassName")
    if name is not None:
        check_name(name, "spec.ingressClassName", found)
    for i, ingress in enumerate(((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()):
        path = f"status.loadBalancer.ingress[{i}]"
        if ingress.get("ip"):
            check_ip(ingress["ip"], f"{path}.ip", found)
        if ingress.get("hostname"):
            check_name(ingress["hostname"], f"{path}.hostname", found)
            _check_not_ip(ingress["hostname"], f"{path}.hostname", found)
    return found


def validate_new_ingress(obj: Object) -> Found:
    """Both ways to name a class must name the same one."""
    name = (obj.get("spec") or {}).get("ingressClassName")
    old = ((obj.get("metadata") or {}).get("annotations") or {}).get("kubernetes.io/ingress.class")
    if name is None or old in (None, name):
        return []
    path = "annotations.kubernetes.io/ingress.class"
    return [invalid(path, old, "must match `ingressClassName` when both are specified")]


def _check_not_ip(host: str, path: str, found: Found) -> None:
    if parse_ip(host) is not None:
        found.append(invalid(path, host, "must be a DNS name, not an IP address"))


def _check_host(host: str, path: str, found: Found) -> None:
    check_name(host, path, found, names.wildcard_dns1123_subdomain if "*" in host else names.dns1123_subdomain)


def _check_rule(rule: Object, path: str, found: Found) -> None:
    host = rule.get("host")
    if host:
        _check_not_ip(host, f"{path}.host", found)
        _check_host(host, f"{path}.host", found)
    http = rule.get("http")
    if http is not None:
        if not http.get("paths"):
            found.append(required(f"{path}.http.paths"))
        for i, item in enumerate(http.get("paths") or ()):
            _check_path(item, f"{path}.http.paths[{i}]", found)


def _check_path(item: Object, path: str, found: Found) -> None:
    kind, value = item.get("pathType"), item.get("path") or ""
    if kind is None:
        found.append(required(f"{path}.pathType", "pathType must be specified"))
        return
    if kind not in _PATH_TYPES:
        found.append(not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    elif not value.startswith("/") and (value or kind != "ImplementationSpecific"):
        found.append(invalid(f"{path}.path", value, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        for sequence in _BAD_SEQUENCES:
            if sequence in value:
                found.append(invalid(f"{path}.path", value, f"must not contain '{sequence}'"))
        for suffix in _BAD_SUFFIXES:
            if value.endswith(suffix):
                found.append(invalid(f"{path}.path", value, f"cannot end with '{suffix}'"))
    _check_backend(item.get("backend") or {}, f"{path}.backend", found)


def _check_backend(backend: Object, path: str, found: Found) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        found.append(invalid(path, "", "cannot set both resource and service backends"))
    elif resource is not None:
        _check_typed_reference(resource, f"{path}.resource", found)
    elif service is not None:
        name, port = service.get("name"), service.get("port") or {}
        if not name:
            found.append(required(f"{path}.service.name"))
        else:
            check_name(name, f"{path}.service.name", found, names.dns1123_label)
        if port.get("name") and port.get("number"):
            found.append(invalid(path, "", "cannot set both port name & port number"))
        elif port.get("name"):
            check_name(port["name"], f"{path}.service.port.name", found, names.port_name)
        elif port.get("number"):
            check_port(port["number"], f"{path}.service.port.number", found)
        else:
            found.append(required(path, "port name or number is required"))
    else:
        found.append(invalid(path, "", "resource or service backend is required"))


def _check_typed_reference(reference: Object, path: str, found: Found) -> None:
    if reference.get("apiGroup") is not None:
        check_name(reference["apiGroup"], f"{path}.apiGroup", found)
    for field in ("kind", "name"):
        if not reference.get(field):
            found.append(required(f"{path}.{field}"))
        else:
            check_name(reference[field], f"{path}.{field}", found, names.path_segment)


def validate_ingress_class(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    controller = spec.get("controller") or ""
    if len(controller) > 250:
        found.append(FieldError.too_long("spec.controller", 250))
    check_domain_path(controller, "spec.controller", found)
    parameters = spec.get("parameters")
    if parameters is not None:
        path = "spec.parameters"
        _check_typed_reference(parameters, path, found)
        scope, namespace = parameters.get("scope"), parameters.get("namespace")
        if scope is None:
            found.append(required(f"{path}.scope"))
        elif scope not in ("Cluster", "Namespace"):
            found.append(not_supported(f"{path}.scope", scope, ("Cluster", "Namespace")))
        elif scope == "Namespace":
            if namespace is None:
                found.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
            else:
                check_name(namespace, f"{path}.namespace", found, names.dns1123_label)
        elif namespace is not None:
            found.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return found


def validate_ingress_class_update(new: Object, old: Object) -> Found:
    found: Found = []
    controller = (new.get("spec") or {}).get("controller")
    check_immutable_text(controller, (old.get("spec") or {}).get("controller"), "spec.controller", found)
    return found


# -- NetworkPolicy ---------------------------------------------------------------------------------------------------------


def validate_network_policy(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_label_selector(spec.get("podSelector"), "spec.podSelector", found)
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{i}]"
            for j, port in enumerate(rule.get("ports") or ()):
                _check_policy_port(port, f"{path}.ports[{j}]", found)
            for j, peer in enumerate(rule.get(side) or ()):
                _check_peer(peer, f"{path}.{side}[{j}]", found)
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        found.append(invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
        return found
    for i, kind in enumerate(types):
        if kind not in ("Egress", "Ingress"):
            found.append(not_supported(f"spec.policyTypes[{i}]", kind, ("Ingress", "Egress")))
    return found


def _check_policy_port(port: Object, path: str, found: Found) -> None:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in PROTOCOLS:
        found.append(not_supported(f"{path}.protocol", protocol, ("TCP", "UDP", "SCTP")))
    if number is None:
        if end is not None:
            found.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified"))
    elif isinstance(number, str):
        if end is not None:
            found.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        check_name(number, f"{path}.port", found, names.port_name)
    else:
        check_port(number, f"{path}.port", found)
        if end is not None:
            if end < number:
                found.append(invalid(f"{path}.endPort", number, "must be greater than or equal to `port`"))
            check_port(end, f"{path}.endPort", found)


def _check_peer(peer: Object, path: str, found: Found) -> None:
    given = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(field) is not None]
    for field in given:
        if field == "ipBlock":
            _check_block(peer["ipBlock"], f"{path}.ipBlock", found)
        else:
            check_label_selector(peer[field], f"{path}.{field}", found)
    if not given:
        found.append(required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        found.append(forbidden(path, "may not specify both ipBlock and another peer"))


def _check_block(block: Object, path: str, found: Found) -> None:
    if not block.get("cidr"):
        found.append(required(f"{path}.cidr"))
        return
    check_cidr(block["cidr"], f"{path}.cidr", found)
    whole = parse_cidr(block["cidr"])
    if whole is None:
        return
    for i, text in enumerate(block.get("except") or ()):
        check_cidr(text, f"{path}.except[{i}]", found)
        part = parse_cidr(text)
        if part is not None:
            inside = part.version == whole.version and part.network_address in whole
            if not inside or whole.prefixlen >= part.prefixlen:
                found.append(invalid(f"{path}.except[{i}]", text, "must be a strict subset of `cidr`"))


# -- addresses of Services -------------------------------------------------------------------------------------------------


def ip_address_name(value: str, prefix: bool = False) -> list[str]:
    address = parse_ip(value)
    if address is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return [] if str(address) == value else [f'must be in canonical form ("{address}")']


def validate_ip_address(obj: Object) -> Found:
    found: Found = []
    parent = (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        found.append(required("spec.parentRef"))
        return found
    path = "spec.parentRef"
    if parent.get("group"):
        check_name(parent["group"], f"{path}.group", found)
    for field in ("resource", "name", "namespace"):
        if parent.get(field):
            check_name(parent[field], f"{path}.{field}", found, names.path_segment)
        elif field != "namespace":
            found.append(required(f"{path}.{field}"))
    return found


def validate_ip_address_update(new: Object, old: Object) -> Found:
    found: Found = []
    parent, before = ((obj.get("spec") or {}).get("parentRef") for obj in (new, old))
    if parent != before:
        shown = None
        if parent is not None:  # as Go prints the internal struct
            names_of = {"Group": "group", "Resource": "resource", "Namespace": "namespace", "Name": "name"}
            shown = {field: parent.get(name) or "" for field, name in names_of.items()}
        found.append(invalid("spec.parentRef", shown, names.IMMUTABLE))
    return found


def validate_service_cidr(obj: Object) -> Found:
    found: Found = []
    cidrs = (obj.get("spec") or {}).get("cidrs") or []
    path = "spec.cidrs"
    if not cidrs:
        found.append(required(path, "at least one CIDR required"))
        return found
    if len(cidrs) > 2:
        found.append(invalid(path, obj.get("spec"), "may only hold up to 2 values"))
        return found
    for i, text in enumerate(cidrs):
        before = len(found)
        check_cidr(text, f"{path}[{i}]", found)
        if len(found) == before and str(parse_cidr(text)) != text:
            found.append(invalid(f"{path}[{i}]", text, f'must be in canonical form ("{parse_cidr(text)}")'))
    blocks = [parse_cidr(text) for text in cidrs]
    if len(blocks) == 2 and blocks[0] and blocks[1] and blocks[0].version == blocks[1].version:
        text = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        found.append(invalid(path, cidrs, text))
    return found


def validate_service_cidr_update(new: Object, old: Object) -> Found:
    found: Found = []
    cidrs, before = (new.get("spec") or {}).get("cidrs") or [], (old.get("spec") or {}).get("cidrs") or []
    if len(before) != len(cidrs) and (len(before), len(cidrs)) != (1, 2):
        found.append(invalid("spec.cidrs", cidrs or None, names.IMMUTABLE))
    else:
        for i, (one, was) in enumerate(zip(cidrs, before, strict=False)):
            if one != was:
                found.append(invalid(f"spec.cidrs[{i}]", one, names.IMMUTABLE))
        if len(before) != len(cidrs):
            found.extend(validate_service_cidr(new))
    return found
