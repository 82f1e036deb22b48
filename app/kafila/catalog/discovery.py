"""Discovery documents: which groups, versions and resources there are. Pure functions of a Catalog that return dicts.

Legacy documents are one per path (``/api``, ``/apis``, ``/apis/G``, ``/apis/G/V``); aggregated ones hold everything.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final, Literal

import orjson

from . import metrics
from .catalog import Catalog, Group, Subresource, Version, stock_storage_version_hash, subresources_of
from .kind import Kind

Json = dict[str, Any]
AggregatedVersion = Literal["v2", "v2beta1"]

# What is asked and never stored, and is no kind: name, kind, verbs (api/searching.py)
CONNECTIONS: Final = {
    ("search.karmada.io", "v1alpha1"): (
        ("proxying", "Proxying", ("create", "delete", "get", "patch", "update")),
        ("search", "Search", ("get",)),
    )
}


def api_versions(server_address: str) -> Json:
    """``GET /api``; ``server_address`` is "host:port" as the client reached it."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def api_group_list(catalog: Catalog) -> Json:
    """``GET /apis``."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named_groups(catalog)}


def named_groups(catalog: Catalog) -> list[Json]:
    """Its groups, without the core group."""
    return [_group(group) for group in catalog.groups() if group.name]


def api_group(catalog: Catalog, name: str) -> Json | None:
    """``GET /apis/G``; None when there is no such group."""
    for group in catalog.groups():
        if group.name == name and name:
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group)
    return None


def api_resource_list(catalog: Catalog, group: str, version: str) -> Json | None:
    """``GET /api/v1`` and ``GET /apis/G/V``; None when it is not served."""
    found = find_version(catalog, group, version)
    if found is None:
        return None
    resources: list[Json] = []
    for kind in found.kinds:
        resources.append(_resource(kind))
        resources.extend(_subresource_row(kind, sub) for sub in subresources_of(kind))
    if connections := CONNECTIONS.get((group, version)):
        resources += [_connection_row(*each) for each in connections]
        resources.sort(key=_name)
    head: Json = {"kind": "APIResourceList"}
    if group:
        head["apiVersion"] = "v1"  # the core group's list goes without, as in Kubernetes
    return head | {"groupVersion": found.api_version, "resources": resources}


def find_version(catalog: Catalog, group: str, version: str) -> Version | None:
    for found in catalog.groups():
        if found.name == group:
            return next((v for v in found.versions if v.name == version), None)
    return None


def aggregated(catalog: Catalog, core: bool, version: AggregatedVersion) -> Json:
    """``APIGroupDiscoveryList``: of the core group for ``/api`` (``core``), of all others for ``/apis``."""
    items = [_discovery_group(group) for group in catalog.groups() if (group.name == "") == core]
    api_version = f"apidiscovery.k8s.io/{version}"
    return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def encode(document: Json) -> tuple[bytes, str]:
    """A document's bytes and its ETag (without quotes)."""
    body = orjson.dumps(document)
    return body, etag(body)


def etag(body: bytes) -> str:
    return hashlib.sha512(body).hexdigest().upper()


def storage_version_hash(kind: Kind) -> str:
    """Changes when the version changes that objects are stored in; clients compare it and nothing else."""
    known = stock_storage_version_hash(kind)
    if known is not None:
        return known
    name = f"{kind.group}/{kind.storage_version or kind.version}/{kind.kind}"
    return base64.b64encode(hashlib.sha256(name.encode()).digest()[:8]).decode()


# --- groups without kinds: what is in them is asked for (api/member_metrics.py) ---------------------------------------


def dynamic_group(name: str) -> Json:
    """As ``_group``."""
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in metrics.VERSIONS[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def dynamic_discovery(name: str) -> Json:
    """As ``_discovery_group``."""
    versions = [{"version": v, "resources": [], "freshness": "Current"} for v in metrics.VERSIONS[name]]
    return {"metadata": {"name": name}, "versions": versions}


# --- legacy -----------------------------------------------------------------------------------------------------------


def _group(group: Group) -> Json:
    versions = [{"groupVersion": version.api_version, "version": version.name} for version in group.versions]
    return {"name": group.name, "versions": versions, "preferredVersion": versions[0]}


def _resource(kind: Kind) -> Json:
    row: Json = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _verbs(kind),
    }
    row |= _names(kind)
    if "watch" in kind.verbs:  # only what is stored has a storage version
        row["storageVersionHash"] = storage_version_hash(kind)
    return row


def _connection_row(name: str, kind: str, verbs: tuple[str, ...]) -> Json:
    return {"name": name, "singularName": name, "namespaced": False, "kind": kind, "verbs": list(verbs)}


def _name(row: Json) -> str:
    found: str = row["name"]
    return found


def _subresource_row(kind: Kind, sub: Subresource) -> Json:
    row: Json = {"name": f"{kind.plural}/{sub.name}", "singularName": "", "namespaced": kind.namespaced}
    if sub.kind.version:
        row |= {"group": sub.kind.group, "version": sub.kind.version}
    return row | {"kind": sub.kind.kind, "verbs": list(sub.verbs)}


def _verbs(kind: Kind) -> list[str]:
    """In Kubernetes' order, which for custom kinds is not the alphabet's. What ends gets nothing new."""
    if not kind.definition:
        return sorted(kind.verbs)
    new = () if kind.terminating else ("patch", "create", "update")
    return ["delete", "deletecollection", "get", "list", *new, "watch"]


def _names(kind: Kind) -> Json:
    row: Json = {}
    if kind.short_names:
        row["shortNames"] = list(kind.short_names)
    if kind.categories:
        row["categories"] = list(kind.categories)
    return row


# --- aggregated -------------------------------------------------------------------------------------------------------


def _discovery_group(group: Group) -> Json:
    metadata = {"name": group.name} if group.name else {}
    return {"metadata": metadata, "versions": [_discovery_version(version) for version in group.versions]}


def _discovery_version(version: Version) -> Json:
    resources = [_discovery_resource(kind) for kind in version.kinds]
    for name, kind, verbs in CONNECTIONS.get((version.group, version.name), ()):
        response = {"group": version.group, "version": version.name, "kind": kind}
        row: Json = {"resource": name, "responseKind": response, "scope": "Cluster", "singularResource": name}
        resources.append({**row, "verbs": list(verbs)})
    return {"version": version.name, "resources": resources, "freshness": "Current"}


def _discovery_resource(kind: Kind) -> Json:
    row: Json = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind, "", "", kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": _verbs(kind),
    }
    row |= _names(kind)
    if kind.subresources:
        row["subresources"] = [
            {"subresource": s.name, "responseKind": _response_kind(kind, *s.kind), "verbs": list(s.verbs)}
            for s in subresources_of(kind)
        ]
    return row


def _response_kind(kind: Kind, group: str, version: str, name: str) -> Json:
    """Kubernetes leaves group and version empty where they are the resource's own; of custom kinds it writes them out."""
    if kind.custom and not version:
        group, version = kind.group, kind.version
    return {"group": group, "version": version, "kind": name}
