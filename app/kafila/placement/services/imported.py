"""What a ServiceExport and a ServiceImport become in the control plane: EndpointSlices, and the Service that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.detector.binding import controller_reference
from kafila.placement.objects import annotations_of, labels_of, metadata, name, namespace, spec
from kafila.placement.types import Work

from .slices import renamed, slice_in

SHOWN: Final = 5  # clusters in one message
_ALLOCATED: Final = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
_GROUP: Final = "multicluster.x-k8s.io"
_PORT: Final = ("name", "protocol", "port", "appProtocol")
Ports = frozenset[tuple[str, str]]  # name and protocol of each


def imported_slice(work: Work, cluster: str) -> Object | None:
    """The EndpointSlice in the control plane for one that ``cluster`` exports; None where the Work holds none.

    Names, labels and annotations are ours, whatever the member has.
    """
    found, labels = slice_in(work), labels_of(work)
    service = labels.get(constants.ENDPOINTSLICE_NAME)
    if found is None or not service or namespace(found) != labels.get(constants.ENDPOINTSLICE_NAMESPACE):
        return None
    return renamed(
        found,
        constants.imported_slice(cluster, name(found)),
        {
            constants.WORK_PERMANENT_ID: labels.get(constants.WORK_PERMANENT_ID, ""),
            constants.SERVICE_OF_SLICE: constants.derived_service(service),
            constants.SLICE_MANAGED_BY: constants.ENDPOINTSLICE_CONTROLLER,
        },
        {constants.WORK_NAMESPACE: namespace(work), constants.WORK_NAME: name(work)},
    )


def work_of(found: AnyObject) -> tuple[str, str]:
    """Namespace and name of the Work that an EndpointSlice in the control plane was made of; empty for one that is not ours."""
    if labels_of(found).get(constants.SLICE_MANAGED_BY) != constants.ENDPOINTSLICE_CONTROLLER:
        return "", ""
    annotations = annotations_of(found)
    return annotations.get(constants.WORK_NAMESPACE, ""), annotations.get(constants.WORK_NAME, "")


def derived_service(importing: AnyObject, existing: Object | None) -> Object:
    """The Service that a ServiceImport of type ClusterSetIP is used by, new or as it is to be. Labels of others stay.

    The ServiceImport owns it, which it does not with Karmada: it goes with its owner whoever is at work then, and a Service that
    somebody else has made under this name is known by that.
    """
    ports = [{field: port[field] for field in _PORT if port.get(field)} for port in spec(importing).get("ports") or ()]
    if existing is None:
        head = {
            "name": constants.derived_service(name(importing)),
            "namespace": namespace(importing),
            "ownerReferences": [controller_reference(importing)],
        }
        return {"apiVersion": "v1", "kind": "Service", "metadata": head, "spec": {"type": "ClusterIP", "ports": ports}}
    allocated = {field: spec(existing)[field] for field in _ALLOCATED if spec(existing).get(field)}
    others = [owner for owner in _owners(existing) if not _is_import(owner, name(importing))]
    head = {**metadata(existing), "ownerReferences": [*others, controller_reference(importing)]}
    return {**existing, "metadata": head, "spec": {**allocated, "type": "ClusterIP", "ports": ports}}


def belongs_to(service: AnyObject, importing: str) -> bool:
    """Is the Service that of the ServiceImport of this name? That may have been made anew since."""
    return any(owner.get("controller") and _is_import(owner, importing) for owner in _owners(service))


def may_take(importing: AnyObject, existing: AnyObject) -> bool:
    """May the Service of the derived name be written? It belongs to the ServiceImport, or is as Karmada makes it: nobody owns it,
    it selects nothing, and its ports are the import's."""
    if belongs_to(existing, name(importing)):
        return True
    found = spec(existing)
    if _owners(existing) or found.get("selector") or found.get("clusterIP") == "None":
        return False
    return found.get("type") in (None, "ClusterIP") and _ports(existing) == _ports(importing)


def _owners(service: AnyObject) -> list[Object]:
    return metadata(service).get("ownerReferences") or []


def _is_import(owner: Object, called: str) -> bool:
    group = str(owner.get("apiVersion") or "").partition("/")[0]
    return (group, owner.get("kind"), owner.get("name")) == (_GROUP, constants.SERVICE_IMPORT_KIND, called)


def _ports(obj: AnyObject) -> list[tuple[Any, ...]]:
    return [
        (port.get("name") or "", port.get("protocol") or "TCP", port.get("port"), port.get("appProtocol") or "")
        for port in spec(obj).get("ports") or ()
    ]


def derived_status(importing: AnyObject) -> Object:
    """The derived Service's status: the addresses that the ServiceImport names."""
    found = [{"ip": address} for address in spec(importing).get("ips") or ()]
    return {"loadBalancer": {"ingress": found} if found else {}}


def ports_of(found: Object) -> Ports:
    """Of an EndpointSlice. Numbers may differ: they are those of the pods behind it."""
    return frozenset((port.get("name") or "", port.get("protocol") or "TCP") for port in found.get("ports") or ())


def port_conflict(by_cluster: Mapping[str, Ports]) -> str:
    """In what the clusters that export one service disagree; "" where they do not.

    Who uses the service finds the endpoints of a port by its name and protocol: what one cluster calls otherwise is not found.
    """
    if len(set(by_cluster.values())) < 2:
        return ""
    texts = [f"{cluster}: {_text(ports)}" for cluster, ports in sorted(by_cluster.items())]
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return f"the clusters export it with different ports: {'; '.join(texts[:SHOWN])}{more}"


def _text(ports: Ports) -> str:
    found = [f"{called or '(unnamed)'}/{protocol}" for called, protocol in sorted(ports)]
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "") or "none"


def is_cluster_set_ip(importing: AnyObject) -> bool:
    return spec(importing).get("type") == "ClusterSetIP" and not metadata(importing).get("deletionTimestamp")
