"""From `kubectl apply` to two real members and back, as a newcomer sees it. The tests follow each other over one example."""

from __future__ import annotations

import json

import pytest
from cluster_federation import EXAMPLES, Federation, condition, deployment, policy, replicas
from cluster_harness import Member

from kafila.catalog.version import KUBERNETES_VERSION


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
        ["member1", KUBERNETES_VERSION, "Push", "True"],
        ["member2", KUBERNETES_VERSION, "Push", "True"],
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


def test_scaling_changes_both_shares(nginx: Federation, member1: Member, member2: Member) -> None:
    nginx.kubectl("scale", "deployment", "nginx", "--replicas=5")
    nginx.eventually("five replicas", lambda: sorted((replicas(member1), replicas(member2))) == [2, 3])
    nginx.eventually("5/5", lambda: nginx.kubectl("get", "deployment", "nginx", "--no-headers").split()[1] == "5/5")


def test_a_new_image_arrives(nginx: Federation, member1: Member, member2: Member) -> None:
    nginx.kubectl("set", "image", "deployment/nginx", "nginx=nginx:1.30")
    nginx.eventually("the new image", lambda: {image(member1), image(member2)} == {"nginx:1.30"})
    nginx.kubectl("rollout", "status", "deployment/nginx", "--timeout=90s")


def test_a_changed_policy_is_followed(nginx: Federation, member1: Member, member2: Member) -> None:
    duplicated = {"spec": {"placement": {"replicaScheduling": {"replicaSchedulingType": "Duplicated"}}}}
    nginx.kubectl("patch", "propagationpolicy", "nginx", "--type=merge", f"-p={json.dumps(duplicated)}")
    nginx.eventually("all replicas in both", lambda: (replicas(member1), replicas(member2)) == (5, 5))
    alone = {"spec": {"placement": {"clusterAffinity": {"clusterNames": ["member2"]}}}}
    nginx.kubectl("patch", "propagationpolicy", "nginx", "--type=merge", f"-p={json.dumps(alone)}")
    nginx.eventually("member1 without it", lambda: (replicas(member1), replicas(member2)) == (-1, 5))


def test_deleting_takes_everything_back(nginx: Federation, member1: Member, member2: Member) -> None:
    nginx.kubectl("delete", "deployment/nginx", "service/nginx", "--timeout=60s")
    for member in (member1, member2):
        for kind in ("deployment", "service"):
            nginx.eventually(
                f"{member.name} without {kind}",
                lambda m=member, k=kind: m.kubectl("get", k, "nginx", "--ignore-not-found") == "",
            )
    nginx.eventually("no bindings", lambda: nginx.kubectl("get", "resourcebindings", "-A") == "")
    nginx.eventually("no works", lambda: nginx.works() == [])
    nginx.kubectl("delete", "propagationpolicy", "--all", "--timeout=60s")


def test_cluster_scoped_objects_follow_a_cluster_policy(
    federation: Federation, member1: Member, member2: Member
) -> None:
    federation.kubectl("apply", "-f", str(EXAMPLES / "cluster-scoped"))
    role = ("get", "clusterrole", "pod-reader", "--ignore-not-found", "-o", "name")
    for member in (member1, member2):
        federation.eventually("the role", lambda m=member: m.kubectl(*role) != "")
    assert (
        condition(federation.get("clusterresourcebinding", "pod-reader-clusterrole"), "Scheduled")["status"] == "True"
    )
    federation.kubectl("delete", "-f", str(EXAMPLES / "cluster-scoped"), "--timeout=60s")
    for member in (member1, member2):
        federation.eventually("no role", lambda m=member: m.kubectl(*role) == "")


def test_namespaces_come_and_go(federation: Federation, member1: Member, member2: Member) -> None:
    federation.kubectl("create", "namespace", "team")
    for member in (member1, member2):
        federation.eventually("it", lambda m=member: m.kubectl("get", "namespace", "team", "-o", "name") != "")
    federation.apply(deployment("web", "team"), policy("web", "team"))
    federation.eventually(
        "it there", lambda: (replicas(member1, "web", "team"), replicas(member2, "web", "team")) == (2, 2)
    )
    federation.kubectl("delete", "namespace", "team", "--timeout=90s")
    gone = ("get", "namespace", "team", "--ignore-not-found", "-o", "name")
    for member in (member1, member2):
        federation.eventually("no namespace", lambda m=member: m.kubectl(*gone) == "")
    federation.eventually("no works", lambda: federation.works() == [])
