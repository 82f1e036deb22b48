"""EndpointSlices as members have them: what is kept of one, and why one is not taken.

A member may send whatever it likes. What is taken of a slice is its endpoints, its ports and what it is called; in the control plane and in
other members it gets a name, labels and annotations of ours, so that it is never taken for another object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from kafila.core.names import dns1123_label, dns1123_subdomain, label_value
from kafila.core.resources import GroupVersionKind
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.objects import labels_of, metadata
from kafila.placement.types import Work

SLICE: Final = GroupVersionKind("discovery.k8s.io", "v1", "EndpointSlice")
MOST_ENDPOINTS: Final = 1000  # Kubernetes' own limits on one slice
MOST_PORTS: Final = 100
_OURS: Final = (constants.ENDPOINTSLICE_CONTROLLER, constants.ENDPOINTSLICE_DISPATCH_CONTROLLER)
_CONTENT: Final[tuple[str, ...]] = ("addressType", "endpoints", "ports")
_REFUSED: Final = b"!"


class Observed(NamedTuple):
    """What is kept of a member's slice. ``service``: "" where it is of none, or brought there by us."""

    service: str
    slice: Object | None = None  # None: nobody asked for it
    refused: str = ""  # why it is not taken


Wanted = Callable[[str, str], bool]  # namespace and name of a service: whether anybody asks for its slices


def kept(obj: Object, wanted: Wanted) -> bytes:
    """A member's slice, reduced to what is needed of it; ``observed`` reads it."""
    service = _service_of(obj)
    meta = metadata(obj)
    if not service or not wanted(meta.get("namespace") or "", service):
        return service.encode()
    why = refusal(obj)
    return b"%b\n%b" % (service.encode(), _REFUSED + why.encode() if why else orjson.dumps(_reduced(obj)))


def observed(seen: bytes) -> Observed:
    service, _, body = seen.partition(b"\n")
    if body.startswith(_REFUSED):
        return Observed(service.decode(), None, body[1:].decode())
    return Observed(service.decode(), orjson.loads(body) if body else None)


def _service_of(obj: Object) -> str:
    labels = labels_of(obj)
    service = labels.get(constants.SERVICE_OF_SLICE)
    if not isinstance(service, str) or labels.get(constants.SLICE_MANAGED_BY) in _OURS or label_value(service):
        return ""
    return service


def refusal(obj: Object) -> str:
    """Why a slice is not taken, whatever its endpoints say; "" when it may be."""
    meta = metadata(obj)
    name, namespace = meta.get("name"), meta.get("namespace")
    if not isinstance(name, str) or dns1123_subdomain(name):
        return "its name is no name of an EndpointSlice"
    if not isinstance(namespace, str) or dns1123_label(namespace):
        return "its namespace is no name of a namespace"
    for field, most in (("endpoints", MOST_ENDPOINTS), ("ports", MOST_PORTS)):
        found = obj.get(field) or []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            return f"its {field} are no list of objects"
        if len(found) > most:
            return f"it has {len(found)} {field}, of which an EndpointSlice has {most} at most"
    return ""


def _reduced(obj: Object) -> Object:
    meta = metadata(obj)
    head = {field: meta[field] for field in ("name", "namespace", "uid", "labels", "annotations") if meta.get(field)}
    content = {field: obj[field] for field in _CONTENT if field in obj}
    return {"apiVersion": SLICE.api_version, "kind": SLICE.kind, "metadata": head, **content}


def slice_in(work: Work) -> Object | None:
    """The EndpointSlice that a Work holds; None where it holds something else."""
    manifests: Any = (work["spec"].get("workload") or {}).get("manifests") or ()
    if len(manifests) != 1:
        return None
    manifest: Object = manifests[0]
    if (manifest.get("apiVersion"), manifest.get("kind")) != (SLICE.api_version, SLICE.kind):
        return None
    return None if refusal(manifest) else manifest


def renamed(found: Object, name: str, labels: dict[str, str], annotations: dict[str, str]) -> Object:
    """The endpoints and ports of a slice under another name. Shares them with ``found``."""
    where = metadata(found)["namespace"]
    head = {"name": name, "namespace": where, "labels": labels, "annotations": annotations}
    content = {field: found[field] for field in _CONTENT if field in found}
    return {"apiVersion": SLICE.api_version, "kind": SLICE.kind, "metadata": head, **content}


def same_content(one: AnyObject, other: AnyObject) -> bool:
    """Have they the same endpoints and ports? Absent and empty are alike."""
    return all((one.get(field) or None) == (other.get(field) or None) for field in _CONTENT)
