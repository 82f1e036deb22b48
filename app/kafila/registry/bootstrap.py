"""Objects that every cluster has from its first second."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from kafila.core import bootstrap_tokens, errors
from kafila.core.clock import rfc3339
from kafila.core.values import Object
from kafila.machinery.yamlout import dump_text
from kafila.placement import constants

from .allocation import DEFAULT_SERVICE_CIDR
from .context import DeleteOptions, Options
from .decoding import decode_object
from .patching import Patch
from .registry import Registry

OPTIONS = Options(manager="kube-apiserver")  # whom every cluster has these from
CIDR_OPTIONS = Options(manager="kubernetes-service-cidr-controller", force=True)
NAMESPACES = (
    *("default", "kube-system", "kube-public", "kube-node-lease"),
    *(constants.NAMESPACE_KARMADA_SYSTEM, constants.NAMESPACE_KARMADA_CLUSTER),
)

# those that pods of the system name
PRIORITY_CLASSES = (
    (
        "system-node-critical",
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
)


async def ensure(registry: Registry, obj: Object) -> None:
    """Creates ``obj`` when it does not exist; somebody else doing it at the same time is fine."""
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = registry.catalog.by_kind(group, version, obj["kind"])
    assert kind is not None, obj["kind"]
    namespace = obj["metadata"].get("namespace", "")
    if registry.cache.get(kind.resource, namespace, obj["metadata"]["name"]) is not None:
        return
    try:
        await registry.create(kind, namespace, decode_object(kind, obj, OPTIONS), OPTIONS)
    except errors.StatusError as error:
        if not error.is_already_exists:
            raise


class FrontProxy(NamedTuple):
    """Whom the proxies are known by that may say in headers who a client is: PEM of their authority, names and headers."""

    authority: bytes
    allowed_names: Sequence[str] = ("front-proxy-client",)
    extra_headers_prefix: Sequence[str] = ("X-Remote-Extra-",)
    group_headers: Sequence[str] = ("X-Remote-Group",)
    uid_headers: Sequence[str] = ("X-Remote-Uid",)
    username_headers: Sequence[str] = ("X-Remote-User",)


async def publish_authorities(registry: Registry, clients: bytes, front_proxy: FrontProxy) -> None:
    """Says whom servers beside ours may believe: kube-controller-manager and kube-scheduler look for it before they start."""
    data = {
        "client-ca-file": clients.decode(),
        "requestheader-client-ca-file": front_proxy.authority.decode(),
        "requestheader-allowed-names": _listed(front_proxy.allowed_names),
        "requestheader-extra-headers-prefix": _listed(front_proxy.extra_headers_prefix),
        "requestheader-group-headers": _listed(front_proxy.group_headers),
        "requestheader-uid-headers": _listed(front_proxy.uid_headers),
        "requestheader-username-headers": _listed(front_proxy.username_headers),
    }
    await ensure(registry, _system_config("extension-apiserver-authentication", data))
    await _replace_data(registry, "extension-apiserver-authentication", data)


async def publish_cluster_info(registry: Registry, server: str, authority: bytes) -> None:
    """What who registers a cluster is told before he is known: where this server is, and what its certificate is checked with.

    The bootstrapsigner controller signs it with every bootstrap token.
    """
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
    told = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]}
    text = dump_text(told)
    kind = registry.kind("", "v1", "configmaps")
    where, name = bootstrap_tokens.CLUSTER_INFO_NAMESPACE, bootstrap_tokens.CLUSTER_INFO
    metadata = {"name": name, "namespace": where}
    data = {bootstrap_tokens.KUBECONFIG: text}
    await ensure(registry, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    entry = registry.cache.get(kind.resource, where, name)
    if entry is not None and (entry.decode().get("data") or {}).get(bootstrap_tokens.KUBECONFIG) != text:
        await registry.modify(kind, where, name, lambda obj: {**obj, "data": (obj.get("data") or {}) | data}, OPTIONS)


def _listed(texts: Sequence[str]) -> str:
    return orjson.dumps(list(texts)).decode()


async def _replace_data(registry: Registry, name: str, data: dict[str, str]) -> None:
    """Of a ConfigMap of ours that an earlier start has made: the authorities may be others now."""
    kind = registry.kind("", "v1", "configmaps")
    entry = registry.cache.get(kind.resource, "kube-system", name)
    if entry is not None and entry.decode().get("data") != data:
        await registry.modify(kind, "kube-system", name, lambda obj: {**obj, "data": data}, OPTIONS)


def _system_config(name: str, data: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _service(port: int, address: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address,
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }


def endpoints_of(host: str, port: int) -> list[Object]:
    """What is behind the Service ``kubernetes``, in both forms; of an address that cannot be behind one (loopback) nothing."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [_slice(host.lower(), "FQDN", port)] if "." in host else []
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast:
        return []
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    legacy = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "subsets": [
            {"addresses": [{"ip": str(address)}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}
        ],
    }
    return [legacy, _slice(str(address), f"IPv{address.version}", port)]


def _slice(address: str, address_type: str, port: int) -> Object:
    labels = {"kubernetes.io/service-name": "kubernetes"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "addressType": address_type,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


async def _ensure_endpoints(registry: Registry, wanted: Object) -> None:
    """The address may be another one than last time; its family too, which cannot change of a slice."""
    group, _, version = wanted["apiVersion"].rpartition("/")
    kind = registry.catalog.by_kind(group, version, wanted["kind"])
    assert kind is not None
    where, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
    entry = registry.cache.get(kind.resource, where, name)
    parts = {part: value for part, value in wanted.items() if part not in ("apiVersion", "kind", "metadata")}
    if entry is not None and entry.decode().get("addressType") != wanted.get("addressType"):
        await registry.delete(kind, where, name, DeleteOptions())
    elif entry is not None and any(entry.decode().get(part) != value for part, value in parts.items()):
        await registry.modify(kind, where, name, lambda obj: {**obj, **parts}, OPTIONS)
        return
    await ensure(registry, wanted)


async def _ensure_service_cidr(registry: Registry, cidr: str) -> None:
    """The range that cluster IPs come from. It stays as it was made first, as in Kubernetes."""
    head: Object = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}}
    kind = registry.catalog.by_kind("networking.k8s.io", "v1", "ServiceCIDR")
    assert kind is not None
    if registry.cache.get(kind.resource, "", "kubernetes") is not None:
        return
    await ensure(registry, {**head, "spec": {"cidrs": [cidr]}})
    ready = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": rfc3339(),
        "message": "Kubernetes default Service CIDR is ready",
    }
    patch = Patch("apply", {**head, "status": {"conditions": [ready]}})
    await registry.patch(kind, "", "kubernetes", patch, CIDR_OPTIONS, "status")


async def bootstrap(registry: Registry, host: str, port: int, service_cidr: str = DEFAULT_SERVICE_CIDR) -> None:
    """``host`` and ``port``: where clients reach this server; a port of 0 for a process that serves nothing."""
    for name in NAMESPACES:
        await ensure(registry, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await _ensure_service_cidr(registry, service_cidr)
    if port:
        await ensure(registry, _service(port, str(ipaddress.ip_network(service_cidr)[1])))
        for endpoints in endpoints_of(host, port):
            await _ensure_endpoints(registry, endpoints)
    # from when on the uses of tokens in Secrets are known: kube-controller-manager ends unused ones a year later
    today = {"since": rfc3339()[:10]}
    await ensure(registry, _system_config("kube-apiserver-legacy-service-account-token-tracking", today))
    for name, value, description in PRIORITY_CLASSES:
        head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        await ensure(registry, {**head, "value": value, "description": description})
