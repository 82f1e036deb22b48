"""What every cluster has from its first second, and what follows when the server is reached somewhere else."""

from __future__ import annotations

import pytest

from kafila.core.values import Object
from kafila.registry import Registry
from kafila.registry.bootstrap import bootstrap
from kafila.registry.codec import decode_entry


def found(registry: Registry, api_version: str, kind: str, namespace: str = "default") -> Object:
    group, _, version = api_version.rpartition("/")
    known = registry.catalog.by_kind(group, version, kind)
    assert known is not None
    entry = registry.cache.get(known.resource, namespace, "kubernetes")
    return decode_entry(known, entry) if entry is not None else {}


def addresses(registry: Registry) -> tuple[str, list[str], int]:
    slice_ = found(registry, "discovery.k8s.io/v1", "EndpointSlice")
    return slice_["addressType"], slice_["endpoints"][0]["addresses"], slice_["ports"][0]["port"]


async def test_the_range_of_cluster_addresses_is_an_object(registry: Registry) -> None:
    cidr = found(registry, "networking.k8s.io/v1", "ServiceCIDR", "")
    assert cidr["spec"] == {"cidrs": ["10.96.0.0/12"]}
    (ready,) = cidr["status"]["conditions"]
    assert (ready["type"], ready["status"], ready["message"]) == (
        "Ready",
        "True",
        "Kubernetes default Service CIDR is ready",
    )
    managers = [(each["manager"], each["operation"]) for each in cidr["metadata"]["managedFields"]]
    assert managers == [("kubernetes-service-cidr-controller", "Apply"), ("kube-apiserver", "Update")]
    assert found(registry, "v1", "Service")["spec"]["clusterIP"] == "10.96.0.1"


async def test_what_is_behind_the_service_follows_the_address(registry: Registry) -> None:
    assert found(registry, "discovery.k8s.io/v1", "EndpointSlice") == {}, "Kubernetes takes no loopback address either"
    await bootstrap(registry, "192.0.2.7", 6443)
    assert addresses(registry) == ("IPv4", ["192.0.2.7"], 6443)
    slice_ = found(registry, "discovery.k8s.io/v1", "EndpointSlice")
    assert slice_["metadata"]["labels"] == {"kubernetes.io/service-name": "kubernetes"}
    assert found(registry, "v1", "Endpoints")["subsets"] == [
        {"addresses": [{"ip": "192.0.2.7"}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}
    ]
    before = registry.cache.revision
    await bootstrap(registry, "192.0.2.7", 6443)
    assert registry.cache.revision == before
    await bootstrap(registry, "192.0.2.8", 443)
    assert addresses(registry) == ("IPv4", ["192.0.2.8"], 443)
    await bootstrap(registry, "2001:db8::1", 443)
    assert addresses(registry) == ("IPv6", ["2001:db8::1"], 443)
    await bootstrap(registry, "api.example.org", 443)
    assert addresses(registry) == ("FQDN", ["api.example.org"], 443)


@pytest.mark.parametrize("host", ["192.0.2.7", "api.example.org"])
async def test_who_serves_nothing_says_nothing(registry: Registry, host: str) -> None:
    await bootstrap(registry, host, 0)
    assert found(registry, "discovery.k8s.io/v1", "EndpointSlice") == {}
