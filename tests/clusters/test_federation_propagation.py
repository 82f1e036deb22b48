"""From `kubectl apply` to two real members and back, as a newcomer sees it. The tests follow each other over one example."""

from __future__ import annotations

import pytest
from cluster_federation import EXAMPLES, Federation
from cluster_harness import Member


def replicas(member: Member, name: str = "nginx") -> int:
    """Of a Deployment in a member, -1 when it is not there."""
    text = member.kubectl("get", "deployment", name, "--ignore-not-found", "-o", "jsonpath={.spec.replicas}")
    return int(text) if text else -1


def image(member: Member, name: str = "nginx") -> str:
    return member.kubectl("get", "deployment", name, "-o", "jsonpath={.spec.template.spec.containers[0].image}")


@pytest.fixture(scope="module")
def nginx(federation: Federation) -> Federation:
    federation.kubectl("apply", "-f", str(EXAMPLES / "nginx"))
    return federation


def test_clusters_are_listed_as_karmada_lists_them(federation: Federation) -> None:
    header, *rows = federation.kubectl("get", "clusters").splitlines()
    assert header.split() == ["NAME", "VERSION", "MODE", "READY", "AGE"]
    assert [row.split()[:4] for row in rows] == [
        ["member1", "v1.36.3", "Push", "True"],
        ["member2", "v1.36.3", "Push", "True"],
    ]


def test_replicas_are_divided(nginx: Federation, member1: Member, member2: Member) -> None:
    nginx.eventually("one replica in each member", lambda: (replicas(member1), replicas(member2)) == (1, 1))
    ready = ("get", "deployment", "nginx", "--no-headers")
    nginx.eventually("2/2", lambda: nginx.kubectl(*ready).split()[1] == "2/2")


def test_pods_exist_in_members_only(nginx: Federation, member1: Member) -> None:
    nginx.eventually("a pod", lambda: "Running" in member1.kubectl("get", "pods", "-l", "app=nginx"))
    assert nginx.kubectl("get", "pods") == ""  # "No resources found in default namespace." goes to the error stream


def test_a_service_is_in_both(nginx: Federation, member1: Member, member2: Member) -> None:
    for member in (member1, member2):
        nginx.eventually(
            "a service", lambda member=member: bool(member.kubectl("get", "service", "nginx", "-o", "name"))
        )
