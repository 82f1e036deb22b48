"""Where the Service of a webhook is (k8s.io/apiserver ResolveEndpoint, ResolveCluster), in kube-apiserver's words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from kafila.core.values import Object
from kafila.watch import Cache

SLICES: Final = "endpointslices.discovery.k8s.io"
_SERVICE_NAME: Final = "kubernetes.io/service-name"


class Unresolved(Exception):
    """There is no way to the Service."""


def resolved(cache: Cache, namespace: str, name: str, port: int) -> tuple[str, int]:
    """Host and port. Raises Unresolved.

    A Service with EndpointSlices is reached at a ready endpoint of them: hardly a network of a control plane routes cluster IPs.
    One without any is reached at its cluster IP, and one of type ExternalName at that name.
    """
    entry = cache.get("services", namespace, name)
    if entry is None:
        raise Unresolved(f'service "{name}" not found')
    spec = entry.decode().get("spec") or {}
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName") or ""), port
    offered = next((each for each in spec.get("ports") or () if each.get("port") == port), None)
    if offered is None:
        raise Unresolved(f'no service port {port} found for service "{name}"')
    slices = list(slices_of(cache, namespace, name))
    if slices:
        return _endpoint(slices, name, offered.get("name") or "", (spec.get("ipFamilies") or [""])[0])
    address = spec.get("clusterIP") or ""
    if address in ("", "None"):
        raise Unresolved('cannot route to service with ClusterIP "None"')
    return address, port


def slices_of(cache: Cache, namespace: str, name: str) -> Iterator[Object]:
    for entry in cache.resource(SLICES).entries(namespace):
        if (entry.meta.labels or {}).get(_SERVICE_NAME) == name:
            yield entry.decode()


def _endpoint(slices: list[Object], name: str, port_name: str, family: str) -> tuple[str, int]:
    """A ready one, of the Service's first IP family where there is one."""
    random.shuffle(slices)
    for found in sorted(slices, key=lambda each: each.get("addressType") != family):
        endpoints = found.get("endpoints") or []
        for offered in found.get("ports") or ():
            if (offered.get("name") or "") != port_name or offered.get("port") is None:
                continue
            ready = [each for each in endpoints if (each.get("conditions") or {}).get("ready") is not False]
            if ready and (addresses := random.choice(ready).get("addresses")):
                return addresses[0], offered["port"]
    raise Unresolved(f'no endpoints available for service "{name}"')
