"""WorkloadRebalancer's status, and what FederatedResourceQuotas say."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.quota import assignments, status_by_bindings, status_by_clusters
from kafila.placement.rebalance import identity, observed_workloads, with_results


def workload(name: str) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": name}


def rebalancer(wanted: list[str], **results: str) -> Object:
    items = [{"workload": workload(name), **({"result": result} if result else {})} for name, result in results.items()]
    return {
        "metadata": {"generation": 2},
        "spec": {"workloads": [workload(name) for name in wanted]},
        "status": {"observedWorkloads": items, "finishTime": "before"} if items else {},
    }


def test_a_changed_list_keeps_what_was_done() -> None:
    made = observed_workloads(rebalancer(["c", "a"], a="Successful", b="Successful", d="Failed"))
    assert [(item["workload"]["name"], item.get("result")) for item in made] == [
        ("a", "Successful"),
        ("b", "Successful"),
        ("c", None),
    ]


def test_it_is_finished_when_all_have_a_result() -> None:
    asked = rebalancer(["a", "b"])
    items = observed_workloads(asked)
    half = with_results(asked, items, {identity(workload("a")): "Successful"}, "now")
    assert "finishTime" not in half
    done = {identity(workload("a")): "Successful", identity(workload("b")): "Failed"}
    assert with_results(asked, items, done, "now") == {
        "observedWorkloads": [
            {"workload": workload("a"), "result": "Successful"},
            {"workload": workload("b"), "result": "Failed", "reason": "ReferencedBindingNotFound"},
        ],
        "observedGeneration": 2,
        "finishTime": "now",
    }


def test_nothing_new_keeps_the_time_it_finished() -> None:
    asked = rebalancer(["a"])
    asked["status"] = with_results(asked, observed_workloads(asked), {identity(workload("a")): "Successful"}, "before")
    assert with_results(asked, observed_workloads(asked), {}, "now")["finishTime"] == "before"


def quota(**status: Any) -> Object:
    static = [{"clusterName": "m1", "hard": {"cpu": "1000m"}}, {"clusterName": "m1", "hard": {"cpu": "9"}}]
    return {"spec": {"overall": {"cpu": "1000m", "memory": "1Gi"}, "staticAssignments": static}, "status": status}


def test_amounts_are_written_as_kubernetes_writes_them() -> None:
    assert assignments(quota()) == {"m1": {"cpu": "1"}}, "the first of a cluster counts"


def work(cluster: str, applied: str = "True", **used: str) -> Object:
    manifest = {"identifier": {"kind": "ResourceQuota"}, "status": {"hard": {"cpu": "1"}, "used": used}}
    conditions = [{"type": "Applied", "status": applied}]
    return {
        "metadata": {"namespace": f"karmada-es-{cluster}"},
        "status": {"conditions": conditions, "manifestStatuses": [manifest]},
    }


def test_status_from_clusters() -> None:
    works = [work("m2", cpu="500m", pods="0"), work("m1", cpu="250m"), work("m3", "False", cpu="9")]
    assert status_by_clusters(quota(), works, enforced=False) == {
        "overall": {"cpu": "1", "memory": "1Gi"},
        "overallUsed": {"cpu": "750m", "pods": "0"},
        "aggregatedStatus": [
            {"clusterName": "m1", "hard": {"cpu": "1"}, "used": {"cpu": "250m"}},
            {"clusterName": "m2", "hard": {"cpu": "1"}, "used": {"cpu": "500m", "pods": "0"}},
        ],
    }
    kept = {"overall": {"cpu": "2"}, "overallUsed": {"cpu": "1"}}
    assert status_by_clusters(quota(**kept), [], enforced=True) == kept


@pytest.mark.parametrize(
    "reported",
    [
        {"identifier": {"kind": "Nope"}, "status": {"used": {"cpu": "9"}}},
        {"identifier": {"kind": "ResourceQuota"}, "status": "x"},
        {"identifier": {"kind": "ResourceQuota"}, "status": {"used": {"cpu": "abc"}}},
        {"identifier": {"kind": "ResourceQuota"}, "status": {"hard": {"cpu": []}}},
        {"identifier": {"kind": "ResourceQuota"}, "status": {"used": ["cpu"]}},
    ],
    ids=str,
)
def test_what_is_no_status_of_the_quota_stops_no_others(reported: Object) -> None:
    odd = work("m1")
    odd["status"]["manifestStatuses"] = [reported]
    made = status_by_clusters(quota(), [odd, work("m2", cpu="500m")], enforced=False)
    assert made["overallUsed"] == {"cpu": "500m"}
    assert [item["clusterName"] for item in made["aggregatedStatus"]] == ["m2"]


def test_status_from_bindings() -> None:
    used = [{"cpu": "250m", "pods": 1}, {"cpu": "250m"}]
    made = status_by_bindings(quota(aggregatedStatus=[]), used)
    assert made == {"overall": {"cpu": "1", "memory": "1Gi"}, "overallUsed": {"cpu": "500m"}, "aggregatedStatus": []}
    assert "overallUsed" not in status_by_bindings(quota(), [{"pods": 1}])
