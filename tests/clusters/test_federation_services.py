"""Services over two real members: what member1's own controllers make of pods is at member2, as long as it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cluster_federation import EXAMPLES, Federation, condition, federation_alone
from cluster_harness import Member, Members

from tests.definitions import ANYTHING, definition, version

GROUP = "multicluster.x-k8s.io"
OF = "kubernetes.io/service-name"


@pytest.fixture(scope="module")
def alone(lab: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    gate = "--feature-gates=MultiClusterService=true"
    with federation_alone(lab, gate, keep_logs_in=tmp_path_factory.mktemp("serve")) as plane:
        yield plane


def known_as(kind: str) -> dict:
    """As the members need it; the control plane has the kind by itself."""
    return definition(GROUP, kind, version("v1alpha1", ANYTHING, subresources={"status": {}}))


@pytest.fixture(scope="module")
def known(federation: Federation, member1: Member, member2: Member) -> Iterator[Federation]:
    """Both kinds are known in the members, brought there by a policy."""
    kinds = ("ServiceExport", "ServiceImport")
    selectors = [
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "name": f"{k.lower()}s.{GROUP}"}
        for k in kinds
    ]
    placement = {"clusterAffinity": {"clusterNames": ["member1", "member2"]}}
    policy = {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "ClusterPropagationPolicy",
        "metadata": {"name": "services"},
        "spec": {"resourceSelectors": selectors, "placement": placement},
    }
    federation.apply(*(known_as(kind) for kind in kinds), policy)
    for member in (member1, member2):
        for kind in kinds:
            established = ("get", "crd", f"{kind.lower()}s.{GROUP}", "-o", "jsonpath={.status.conditions}")
            federation.eventually(
                f"{kind} in {member.name}",
                lambda member=member, established=established: "Established" in member.kubectl(*established),
            )
    yield federation
    names = [f"crd/{kind.lower()}s.{GROUP}" for kind in kinds]
    federation.kubectl("delete", *names, "clusterpropagationpolicy/services", "--timeout=60s")


def addresses(member: Member, service: str) -> dict[str, list[str]]:
    """Of the EndpointSlices of a Service, by their names; those without any are left out."""
    items = json.loads(member.kubectl("get", "endpointslices", "-l", f"{OF}={service}", "-o", "json"))["items"]
    found = {
        each["metadata"]["name"]: sorted(a for endpoint in each.get("endpoints") or () for a in endpoint["addresses"])
        for each in items
    }
    return {name: listed for name, listed in found.items() if listed}


def renamed(found: dict[str, list[str]], prefix: str) -> dict[str, list[str]]:
    return {f"{prefix}{name}": listed for name, listed in found.items()}


def test_an_exported_service_is_used_in_another_cluster(known: Federation, member1: Member, member2: Member) -> None:
    known.kubectl("apply", "-f", str(EXAMPLES / "service-export"))
    known.eventually("pods of member1 are its endpoints", lambda: len(addresses(member1, "greeter")) == 1)
    known.eventually(
        "they are in member2",
        lambda: addresses(member2, "derived-greeter") == renamed(addresses(member1, "greeter"), "imported-member1-"),
    )
    (name,) = addresses(member2, "derived-greeter")
    (item,) = json.loads(member2.kubectl("get", "endpointslices", name, "-o", "json"))["endpoints"]
    assert item["conditions"]["ready"] is True
    labels = json.loads(member2.kubectl("get", "endpointslices", name, "-o", "json"))["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.karmada.io"
    assert member2.kubectl("get", "service", "derived-greeter", "-o", "jsonpath={.spec.ports[0].port}") == "80"
    known.kubectl("scale", "deployment", "greeter", "--replicas=3")
    known.eventually(
        "three endpoints", lambda: [len(each) for each in addresses(member2, "derived-greeter").values()] == [3]
    )
    known.kubectl("delete", "service", "greeter")
    known.eventually("they go with the Service", lambda: addresses(member2, "derived-greeter") == {})
    known.kubectl("delete", "-f", str(EXAMPLES / "service-export"), "--ignore-not-found", "--timeout=60s")
    gone = ("get", "service", "derived-greeter", "--ignore-not-found")
    known.eventually("the derived Service goes with its import", lambda: member2.kubectl(*gone) == "")


def test_a_multi_cluster_service(known: Federation, member1: Member, member2: Member) -> None:
    known.kubectl("apply", "-f", str(EXAMPLES / "multi-cluster-service"))
    known.eventually("pods of member1 are its endpoints", lambda: len(addresses(member1, "shop")) == 1)
    brought = lambda: renamed(addresses(member1, "shop"), "member1-")  # noqa: E731
    known.eventually("they are in member2", lambda: addresses(member2, "shop") == brought())
    found = known.get("multiclusterservice", "shop")
    assert condition(found, "ServiceApplied")["reason"] == "ServiceAppliedSucceed"
    assert condition(found, "EndpointSliceDispatched")["reason"] == "EndpointSliceDispatchedSucceed"
    known.kubectl("scale", "deployment", "shop", "--replicas=2")
    known.eventually("two endpoints", lambda: [len(each) for each in addresses(member2, "shop").values()] == [2])
    known.kubectl("delete", "multiclusterservice", "shop", "--timeout=60s")
    known.eventually("they go with it", lambda: addresses(member2, "shop") == {})
    known.kubectl("delete", "-f", str(EXAMPLES / "multi-cluster-service"), "--ignore-not-found", "--timeout=60s")
    gone = ("get", "service", "shop", "--ignore-not-found")
    known.eventually("the Service goes too", lambda: member2.kubectl(*gone) == "")
