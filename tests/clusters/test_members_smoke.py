"""The harness itself: members come up, have nodes and run workloads as kubectl sees them."""

from __future__ import annotations

from cluster_harness import Member


def test_pods_of_a_deployment_become_ready(member1: Member) -> None:
    member1.kubectl("create", "deployment", "smoke", "--image=nginx", "--replicas=3")
    member1.kubectl("rollout", "status", "deployment/smoke", "--timeout=90s")
    ready = member1.kubectl("get", "deployment", "smoke", "-o", "jsonpath={.status.readyReplicas}")
    assert ready == "3"
    assert member1.kubectl("get", "pods", "-l", "app=smoke", "--no-headers").count("Running") == 3


def test_a_light_member_reports_deployments_ready_without_pods(member2: Member) -> None:
    member2.kubectl("create", "deployment", "smoke", "--image=nginx", "--replicas=2")
    member2.kubectl("wait", "deployment/smoke", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=90s")
    assert member2.kubectl("get", "pods", "--no-headers").strip() == ""


def test_members_are_different_clusters(two_members: tuple[Member, Member]) -> None:
    ids = {m.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}") for m in two_members}
    assert len(ids) == 2
