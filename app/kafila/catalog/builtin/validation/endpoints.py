"""Endpoints and EndpointSlice."""

from __future__ import annotations

from collections.abc import Sequence

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    PROTOCOLS,
    Found,
    check_endpoint_ip,
    check_enum,
    check_immutable_text,
    check_ip,
    check_label_key,
    check_labels,
    check_name,
    check_port,
    duplicate,
    invalid,
    not_supported,
    parse_ip,
    required,
)

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


def validate_endpoints(obj: Object) -> Found:
    found: Found = []
    for i, subset in enumerate(obj.get("subsets") or ()):
        path = f"subsets[{i}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(field) or ()):
                _check_endpoint_address(address, f"{path}.{field}[{j}]", found)
        ports = subset.get("ports") or ()
        for j, port in enumerate(ports):
            where = f"{path}.ports[{j}]"
            name = port.get("name") or ""
            if name:
                check_name(name, f"{where}.name", found, names.dns1123_label)
            elif len(ports) > 1:
                found.append(required(f"{where}.name"))
            check_port(port.get("port") or 0, f"{where}.port", found)
            check_enum(port.get("protocol"), PROTOCOLS, f"{where}.protocol", found)
            if port.get("appProtocol") is not None:
                check_label_key(port["appProtocol"], f"{where}.appProtocol", found)
    return found


def _check_endpoint_address(address: Object, path: str, found: Found) -> None:
    ip = address.get("ip") or ""
    check_ip(ip, f"{path}.ip", found)
    if address.get("hostname"):
        check_name(address["hostname"], f"{path}.hostname", found, names.dns1123_label)
    if address.get("nodeName") is not None:
        check_name(address["nodeName"], f"{path}.nodeName", found)
    check_endpoint_ip(ip, f"{path}.ip", found)


def validate_endpoint_slice(obj: Object) -> Found:
    found: Found = []
    kind = obj.get("addressType") or ""
    check_enum(kind, _ADDRESS_TYPES, "addressType", found)
    ports, endpoints = obj.get("ports") or (), obj.get("endpoints") or ()
    _check_slice_ports(ports, found)
    if len(endpoints) > 1000:
        found.append(FieldError.too_many("endpoints", len(endpoints), 1000))
        return found
    for i, endpoint in enumerate(endpoints):
        _check_slice_endpoint(endpoint, kind, f"endpoints[{i}]", found)
    return found


def _check_slice_ports(ports: Sequence[Object], found: Found) -> None:
    if len(ports) > 20000:
        found.append(FieldError.too_many("ports", len(ports), 20000))
        return
    seen: set[str] = set()
    for i, port in enumerate(ports):
        name = port.get("name") or ""
        if name:
            check_name(name, f"ports[{i}].name", found, names.dns1123_label)
        if name in seen:
            found.append(duplicate(f"ports[{i}].name", name))
        seen.add(name)
        if port.get("protocol") is None:
            found.append(required(f"ports[{i}].protocol"))
        elif port["protocol"] not in PROTOCOLS:
            found.append(not_supported(f"ports[{i}].protocol", port["protocol"], PROTOCOLS))
        if port.get("appProtocol") is not None:
            check_label_key(port["appProtocol"], f"ports[{i}].appProtocol", found)


def _check_slice_endpoint(endpoint: Object, kind: str, path: str, found: Found) -> None:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        found.append(required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > 100:
        found.append(FieldError.too_many(f"{path}.addresses", len(addresses), 100))
    for i, address in enumerate(addresses):
        where = f"{path}.addresses[{i}]"
        if kind in ("IPv4", "IPv6"):
            if check_ip(address, where, found):
                parsed = parse_ip(address)
                if parsed is not None and f"IPv{parsed.version}" != kind:
                    found.append(invalid(f"{path}.addresses", address, f"must be an {kind} address"))
                check_endpoint_ip(address, where, found)
        elif kind == "FQDN":
            _check_domain(address, where, found)
    if endpoint.get("nodeName") is not None:
        check_name(endpoint["nodeName"], f"{path}.nodeName", found)
    topology = endpoint.get("deprecatedTopology")
    if topology:
        if len(topology) > 16:
            found.append(FieldError.too_many(f"{path}.deprecatedTopology", len(topology), 16))
        check_labels(topology, f"{path}.deprecatedTopology", found)
    if endpoint.get("hostname") is not None:
        check_name(endpoint["hostname"], f"{path}.hostname", found, names.dns1123_label)
    hints = endpoint.get("hints") or {}
    for field, rule in (("forZones", names.label_value), ("forNodes", names.dns1123_subdomain)):
        items = hints.get(field) or ()
        if len(items) > 8:
            found.append(FieldError.too_many(f"{path}.hints.{field}", len(items), 8))
            return
        seen: set[str] = set()
        for i, item in enumerate(items):
            name = item.get("name") or ""
            where = f"{path}.hints.{field}[{i}].name"
            if name in seen:
                found.append(duplicate(where, name))
            seen.add(name)
            check_name(name, where, found, rule)


def _check_domain(value: str, path: str, found: Found) -> None:
    """A fully qualified domain name, with or without the last dot."""
    if not value:
        found.append(required(path))
        return
    name = value.removesuffix(".")
    reasons = names.dns1123_subdomain(name)
    if reasons:
        found.append(invalid(path, name, ",".join(reasons)))
    elif "." not in name:
        text = "should be a domain with at least two segments separated by dots"
        found.append(invalid(path, name, text))
    else:
        for label in name.split("."):
            reasons = names.dns1123_label(label)
            if reasons:
                found.append(invalid(path, label, ",".join(reasons)))
                return


def validate_changed_endpoint_slice(new: Object, old: Object) -> Found:
    """Addresses that were there before are not checked again."""
    known = [endpoint.get("addresses") for endpoint in old.get("endpoints") or ()]
    endpoints = [e for e in new.get("endpoints") or () if e.get("addresses") not in known]
    found = validate_endpoint_slice({**new, "endpoints": endpoints})
    check_immutable_text(new.get("addressType"), old.get("addressType"), "addressType", found)
    return found
