"""Tunnels of members' agents, as everybody in a control plane knows them: a Lease for each, which says where it ends. Pure."""

from __future__ import annotations

import ipaddress
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from .clock import parse_rfc3339
from .names import dns1123_subdomain
from .values import AnyObject, Object

NAMESPACE: Final = "kube-system"
PREFIX: Final = "kafila-tunnel-"  # before a cluster's name
LEASES: Final = "leases.coordination.k8s.io"
ADDRESS: Final = "kafila.io/tunnel-address"  # annotations: HOST:PORT of the process
ENDPOINT: Final = "kafila.io/tunnel-endpoint"  # what the agent calls its cluster's API server
SERVER_NAME: Final = "kafila.io/tunnel-server-name"
LATENCY: Final = "kafila.io/tunnel-latency-ms"
RENEWED: Final = 60.0  # seconds between two renewals
DURATION: Final = 180  # seconds that it is valid
LONGEST: Final = 2048  # characters of an endpoint
LONGEST_LABEL: Final = 63  # of a name, between two dots (RFC 1035)


class Route(NamedTuple):
    """Where a tunnel ends. ``session``: of which connection it is; ``until``: Unix seconds."""

    session: str
    address: str
    endpoint: str
    server_name: str
    since: float
    until: float
    latency: int  # milliseconds, 0: not known yet


def lease_name(cluster: str) -> str:
    return PREFIX + cluster


def cluster_of(lease: str) -> str:
    """ "" for a Lease of something else."""
    return lease.removeprefix(PREFIX) if lease.startswith(PREFIX) else ""


def check_endpoint(text: str) -> None:
    """Raises ValueError for what is no address of an API server."""
    if not text or len(text) > LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("endpoint: must be an http or https URL")
    found = urlsplit(text)
    if found.scheme not in ("http", "https") or not found.hostname or found.username is not None:
        raise ValueError("endpoint: must be an http or https URL")
    if any(not 0 < len(label) <= LONGEST_LABEL for label in found.hostname.removesuffix(".").split(".")):
        raise ValueError("endpoint: its host is no DNS name and no IP address")
    if found.query or found.fragment or (found.port is not None and not 0 < found.port < 65536):
        raise ValueError("endpoint: must be an http or https URL")


def check_server_name(text: str) -> None:
    """Raises ValueError."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if text and dns1123_subdomain(text.lower()):
            raise ValueError("serverName: must be a DNS name or an IP address") from None


def lease(route: Route, cluster: AnyObject, now: float) -> Object:
    """The Lease of a tunnel that was opened or is open still."""
    name = cluster["metadata"]["name"]
    owner = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "name": name}
    annotations = {ADDRESS: route.address, ENDPOINT: route.endpoint, LATENCY: str(route.latency)}
    if route.server_name:
        annotations[SERVER_NAME] = route.server_name
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": lease_name(name),
            "namespace": NAMESPACE,
            "annotations": annotations,
            "ownerReferences": [{**owner, "uid": cluster["metadata"]["uid"]}],
        },
        "spec": {
            "holderIdentity": route.session,
            "leaseDurationSeconds": DURATION,
            "acquireTime": _micro(route.since),
            "renewTime": _micro(now),
        },
    }


def route_of(found: AnyObject) -> Route | None:
    """What a Lease says; None where it is none of ours."""
    spec: AnyObject = found.get("spec") or {}
    notes: AnyObject = found["metadata"].get("annotations") or {}
    try:
        since, renewed = parse_rfc3339(spec["acquireTime"]), parse_rfc3339(spec["renewTime"])
        latency = int(notes.get(LATENCY) or 0)
        check_endpoint(notes[ENDPOINT])
        check_server_name(notes.get(SERVER_NAME) or "")
        address, session = notes[ADDRESS], spec["holderIdentity"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if not session or not address:
        return None
    until = renewed + int(spec.get("leaseDurationSeconds") or 0)
    return Route(session, address, notes[ENDPOINT], notes.get(SERVER_NAME) or "", since, until, latency)


def _micro(epoch: float) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
