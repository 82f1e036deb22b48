"""WorkloadRebalancer: a fresh decision on demand."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


def rebalancer(*workloads: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "apps.karmada.io/v1alpha1",
        "kind": "WorkloadRebalancer",
        "metadata": {"name": "again"},
        "spec": {"workloads": list(workloads), **spec},
    }


def workload(name: str, namespace: str = "default", kind: str = "Deployment", api_version: str = "apps/v1") -> Object:
    found = {"apiVersion": api_version, "kind": kind, "name": name}
    return {**found, "namespace": namespace} if namespace else found


async def test_replicas_are_spread_anew(two: Any) -> None:
    await two.change("Cluster", "m2", lambda obj: obj["spec"].update(taints=[{"key": "a", "effect": "NoSchedule"}]))
    await two.create(two.deployment(replicas=4))
    await two.create(two.policy(scheduling=DYNAMIC))
    await two.until(lambda: two.placed("web-deployment") == {"m1": 4})
    await two.change("Cluster", "m2", lambda obj: obj["spec"].pop("taints"))
    await two.rest()
    assert two.placed("web-deployment") == {"m1": 4}, "what runs stays"
    await two.counted()  # what runs is room for itself: else m1 would seem to have more than m2
    earlier = {"lastScheduledTime": "2026-01-01T00:00:00Z"}  # times in the API have whole seconds
    await two.change(
        "ResourceBinding", "web-deployment", lambda obj: obj["status"].update(earlier), subresource="status"
    )
    await two.create(rebalancer(workload("web"), workload("gone"), workload("ghost", "", "Namespace")))
    await two.until(lambda: two.placed("web-deployment") == {"m1": 2, "m2": 2})
    await two.until(lambda: two.get("WorkloadRebalancer", "again").get("status", {}).get("finishTime"))
    assert two.get("WorkloadRebalancer", "again")["status"]["observedWorkloads"] == [
        {"workload": workload("gone"), "result": "Failed", "reason": "ReferencedBindingNotFound"},
        {"workload": workload("web"), "result": "Successful"},
        {"workload": workload("ghost", "", "Namespace"), "result": "Failed", "reason": "ReferencedBindingNotFound"},
    ]
    assert two.get("ResourceBinding", "web-deployment")["spec"]["rescheduleTriggeredAt"]


async def test_a_finished_one_goes_after_its_time(two: Any) -> None:
    await two.create(two.deployment())
    await two.create(two.policy())
    await two.until(lambda: two.placed("web-deployment"))
    await two.create(rebalancer(workload("web"), ttlSecondsAfterFinished=0))
    await two.until(lambda: not two.get("WorkloadRebalancer", "again"))


LONG_AGO = "2026-01-01T00:00:00Z"
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "reader"},
    "rules": [],
}


def role_policy(lab: Any, name: str, *clusters: str) -> Object:
    select = [{"apiVersion": ROLE["apiVersion"], "kind": "ClusterRole", "name": name}]
    return lab.policy(name, *clusters, select=select, namespace="")


def dated(lab: Any, name: str) -> str:
    return lab.get("ClusterResourceBinding", f"{name}-clusterrole")["status"]["lastScheduledTime"]


async def scheduled_long_ago(lab: Any, name: str, *clusters: str) -> None:
    await lab.create({**ROLE, "metadata": {"name": name}})
    await lab.create(role_policy(lab, name, *clusters))
    await lab.until(lambda: lab.in_clusters("ClusterRole", name) == sorted(clusters))
    await lab.rest()
    earlier = {"lastScheduledTime": LONG_AGO}
    await lab.change(
        "ClusterResourceBinding", f"{name}-clusterrole", lambda obj: obj["status"].update(earlier), "", "status"
    )


async def test_a_decision_that_was_asked_for_and_changes_nothing_is_dated(two: Any) -> None:
    """Whoever asked sees that it was done, and it is not done again."""
    await scheduled_long_ago(two, "reader", "m1")
    await two.create(rebalancer(workload("reader", "", "ClusterRole", ROLE["apiVersion"])))
    await two.until(lambda: dated(two, "reader") != LONG_AGO)
    await two.rest()
    binding = two.get("ClusterResourceBinding", "reader-clusterrole")
    assert binding["status"]["lastScheduledTime"] >= binding["spec"]["rescheduleTriggeredAt"]
    assert two.placed("reader-clusterrole", "") == {"m1": None}
    two.resync_controllers()
    await two.rest()
    assert two.get("ClusterResourceBinding", "reader-clusterrole") == binding


async def test_what_changes_of_a_cluster_dates_what_may_go_there(two: Any) -> None:
    for name, cluster in (("here", "m1"), ("there", "m2")):
        await scheduled_long_ago(two, name, cluster)
    await two.restart()
    await two.rest()
    assert (dated(two, "here"), dated(two, "there")) == (LONG_AGO, LONG_AGO)
    await two.change("Cluster", "m1", lambda obj: obj["metadata"]["labels"].update(tier="gold"))
    await two.until(lambda: dated(two, "here") != LONG_AGO)
    await two.rest()
    assert dated(two, "there") == LONG_AGO
