"""Addresses and ranges that are read, but not written as they should be."""

from __future__ import annotations

import ipaddress

from kafila.catalog.builtin.validation.common import parse_cidr, parse_ip


def ip_warnings(path: str, value: str) -> list[str]:
    try:
        plain = str(ipaddress.IPv4Address(".".join(str(int(part)) for part in value.split("."))))
    except ValueError:
        plain = ""
    if parse_ip(value) is None:
        if plain and plain != value:
            return [
                f'{path}: non-standard IP address "{value}" will be considered invalid in a future Kubernetes release: use "{plain}"'
            ]
        return []
    address = ipaddress.ip_address(value)
    if address.version == 6 and str(address) != value:
        return [f'{path}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{address}")']
    return []


def cidr_warnings(path: str, value: str) -> list[str]:
    network = parse_cidr(value)
    if network is None:
        return []
    address, _, _ = value.partition("/")
    if ipaddress.ip_address(address) != network.network_address:
        return [
            f'{path}: CIDR value "{value}" is ambiguous in this context (should be "{network}" or "{address}/{network.max_prefixlen}"?)'
        ]
    if network.version == 6 and str(network) != value:
        return [f'{path}: IPv6 CIDR value "{value}" should be in RFC 5952 canonical format ("{network}")']
    return []
