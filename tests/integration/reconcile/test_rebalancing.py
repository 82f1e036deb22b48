"""WorkloadRebalancer: a fresh decision on demand."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
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


def workload(name: str, namespace: str = "default", kind: str = "Deployment") -> Object:
    found = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    return {**found, "namespace": namespace} if namespace else found


async def test_replicas_are_spread_anew(two: Any) -> None:
    await two.change("Cluster", "m2", lambda obj: obj["spec"].update(taints=[{"key": "a", "effect": "NoSchedule"}]))
    await two.create(two.deployment(replicas=4))
    await two.create(two.policy(scheduling=DYNAMIC))
    await two.until(lambda: two.placed("web-deployment") == {"m1": 4})
    await two.change("Cluster", "m2", lambda obj: obj["spec"].pop("taints"))
    await two.rest()
    assert two.placed("web-deployment") == {"m1": 4}, "what runs stays"
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
