"""What an exported slice is in the control plane, and the Service that it is of."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.services.collected import collected_work
from kafila.placement.services.imported import (
    belongs_to,
    derived_service,
    derived_status,
    imported_slice,
    may_take,
    port_conflict,
    ports_of,
    work_of,
)

from .test_collected import found


def work(**labels: str) -> Any:
    made = collected_work(found(), "m1", "web", (constants.SERVICE_EXPORT_KIND,), None)
    made["metadata"]["labels"] |= labels
    return made


def test_an_imported_slice() -> None:
    collected = work()
    made = imported_slice(collected, "m1")
    assert made is not None
    assert made["metadata"] == {
        "name": "imported-m1-web-1",
        "namespace": "shop",
        "labels": {
            "work.karmada.io/permanent-id": collected["metadata"]["labels"]["work.karmada.io/permanent-id"],
            "kubernetes.io/service-name": "derived-web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.karmada.io",
        },
        "annotations": {
            "work.karmada.io/namespace": "karmada-es-m1",
            "work.karmada.io/name": collected["metadata"]["name"],
        },
    }
    assert made["endpoints"] == [{"addresses": ["10.0.0.1"]}]
    assert work_of(made) == ("karmada-es-m1", collected["metadata"]["name"])
    made["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "staff"
    assert work_of(made) == ("", "")


def test_a_work_that_names_another_namespace_is_not_imported() -> None:
    assert imported_slice(work(**{constants.ENDPOINTSLICE_NAMESPACE: "kube-system"}), "m1") is None
    assert imported_slice(work(**{constants.ENDPOINTSLICE_NAME: ""}), "m1") is None


def importing(**spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "http"}]
    metadata = {"name": "web", "namespace": "shop", "uid": "import"}
    kind = {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport"}
    return {**kind, "metadata": metadata, "spec": {"type": "ClusterSetIP", "ports": ports, **spec}}


def owner(**fields: Any) -> Object:
    kind = {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport", "name": "web", "uid": "import"}
    return {**kind, "controller": True, "blockOwnerDeletion": True, **fields}


def derived(*owners: Object, **spec: Any) -> Object:
    """As it is stored."""
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "appProtocol": "http", "targetPort": 80}]
    found = {"type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": ports, **spec}
    head: Object = {"name": "derived-web", "labels": {"theirs": "x"}}
    if owners:
        head["ownerReferences"] = list(owners)
    return {"metadata": head, "spec": found}


def test_a_derived_service() -> None:
    new = derived_service(importing(), None)
    assert new["metadata"] == {"name": "derived-web", "namespace": "shop", "ownerReferences": [owner()]}
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "appProtocol": "http"}]
    assert new["spec"] == {"type": "ClusterIP", "ports": ports}
    further = {"apiVersion": "v1", "kind": "ConfigMap", "name": "web", "uid": "further"}
    stored = derived(owner(uid="earlier"), further, type="NodePort", selector={"a": "b"})
    again = derived_service(importing(), stored)
    assert again["metadata"] == {**stored["metadata"], "ownerReferences": [further, owner()]}
    wanted = {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "type": "ClusterIP", "ports": ports}
    assert again["spec"] == wanted


@pytest.mark.parametrize(
    ("existing", "wanted"),
    [
        (derived(owner()), True),
        (derived(owner(uid="earlier"), selector={"a": "b"}), True),
        (derived(owner(name="other")), False),
        (derived(owner(controller=False)), False),
        (derived(owner(apiVersion="example.com/v1")), False),
        (derived(owner(kind="ServiceExport")), False),
        (derived(owner(apiVersion=None)), False),
        (derived(), True),  # as Karmada makes it
        (derived(selector={"a": "b"}), False),
        (derived(type="LoadBalancer"), False),
        (derived(clusterIP="None"), False),
        (derived(ports=[{"name": "http", "protocol": "TCP", "port": 81}]), False),
        (derived(ports=None), False),
    ],
)
def test_a_service_of_somebody_else_is_not_taken(existing: Object, wanted: bool) -> None:
    assert may_take(importing(), existing) is wanted


def test_what_belongs_to_an_import() -> None:
    assert belongs_to(derived(owner(uid="earlier")), "web")
    assert not belongs_to(derived(owner()), "other")
    assert not belongs_to(derived(), "web")
    assert belongs_to(derived_service(importing(), derived()), "web")


def test_its_status_has_the_addresses() -> None:
    assert derived_status(importing(ips=["42.42.42.42"])) == {"loadBalancer": {"ingress": [{"ip": "42.42.42.42"}]}}
    assert derived_status(importing()) == {"loadBalancer": {}}


def ports(*said: str) -> Any:
    return ports_of({"ports": [dict(zip(("name", "protocol"), each.split("/"), strict=True)) for each in said]})


@pytest.mark.parametrize(
    ("by_cluster", "said"),
    [
        ({}, ""),
        ({"m1": ports("http/TCP")}, ""),
        ({"m1": ports("http/TCP", "dns/UDP"), "m2": ports("dns/UDP", "http/TCP")}, ""),
        ({"m2": ports("http/UDP"), "m1": ports("http/TCP")}, "m1: http/TCP; m2: http/UDP"),
        ({"m1": ports("/TCP"), "m2": ports("http/TCP")}, "m1: (unnamed)/TCP; m2: http/TCP"),
    ],
)
def test_clusters_that_disagree(by_cluster: Any, said: str) -> None:
    text = f"the clusters export it with different ports: {said}" if said else ""
    assert port_conflict(by_cluster) == text


def test_of_many_clusters_a_few_are_named() -> None:
    text = port_conflict({f"m{number}": ports(f"p{number}/TCP") for number in range(9)})
    assert text.endswith("; and 4 more")
    assert ports_of({"ports": [{"port": 80}]}) == {("", "TCP")}
    assert ports_of({"ports": None}) == frozenset()
