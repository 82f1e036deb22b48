from typing import Any

import pytest

from kafila.core import feature_gates as gates
from kafila.placement.resources import pod_request
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo
from kafila.placement.scheduler.estimate import (
    MAX_INT32,
    Assumed,
    available_replicas,
    max_component_sets,
    member_replicas,
)
from tests.unit.placement.objects import binding, cluster


def max_replicas(member: dict[str, Any], requirements: dict[str, Any] | None, **known: Any) -> int:
    return member_replicas(
        ClusterInfo(member), requirements, known.get("gates", gates.DEFAULT_GATES), known.get("assumed", ())
    )


def summary(**parts: dict[str, str]) -> dict[str, Any]:
    member = cluster("m")
    member["status"]["resourceSummary"] = parts
    return member


def needs(**request: str) -> dict[str, Any]:
    return {"resourceRequest": request}


@pytest.mark.parametrize(
    ("parts", "requirements", "expected"),
    [
        ({"allocatable": {"pods": "10"}}, None, 10),
        ({"allocatable": {"pods": "10"}, "allocated": {"pods": "4"}, "allocating": {"pods": "1"}}, None, 5),
        ({"allocatable": {"pods": "3"}, "allocated": {"pods": "4"}}, None, 0),
        ({"allocatable": {"cpu": "4"}}, None, 0),
        ({"allocatable": {"pods": "10", "cpu": "2"}}, needs(cpu="300m"), 6),
        ({"allocatable": {"pods": "10", "cpu": "2"}, "allocated": {"cpu": "500m"}}, needs(cpu="300m"), 5),
        ({"allocatable": {"pods": "10", "cpu": "2", "memory": "3Gi"}}, needs(cpu="1m", memory="1Gi"), 3),
        ({"allocatable": {"pods": "2", "cpu": "20"}}, needs(cpu="1"), 2),
        ({"allocatable": {"pods": "10", "cpu": "2"}}, needs(memory="1Gi"), 0),
        ({"allocatable": {"pods": "10"}}, needs(cpu="0"), 10),
        ({"allocatable": {"pods": "10", "cpu": "1"}, "allocated": {"cpu": "1"}}, needs(cpu="1m"), 0),
    ],
)
def test_by_summary(parts: dict[str, Any], requirements: dict[str, Any] | None, expected: int) -> None:
    assert max_replicas(summary(**parts), requirements) == expected


def test_without_a_summary_nothing_fits() -> None:
    member = cluster("m")
    del member["status"]["resourceSummary"]
    assert max_replicas(member, None) == 0


def modelled(*counts: int) -> dict[str, Any]:
    """Grades of 1, 2 and 4 cpus."""
    member = summary(
        allocatable={"pods": "10000", "cpu": "1000"},
        allocatableModelings=[{"grade": grade, "count": count} for grade, count in enumerate(counts)],  # type: ignore[arg-type]
    )
    member["spec"]["resourceModels"] = [
        {"grade": grade, "ranges": [{"name": "cpu", "min": cpu, "max": "100"}]} for grade, cpu in enumerate("124")
    ]
    return member


def test_models_count_what_fits_on_each_node() -> None:
    assert max_replicas(modelled(3, 2, 1), needs(cpu="2")) == 2 * 1 + 1 * 2
    assert max_replicas(modelled(3, 2, 1), needs(cpu="1m")) == 6 * 110
    assert max_replicas(modelled(3, 2, 1), needs(cpu="2"), gates=frozenset()) == 500
    assert max_replicas(modelled(3, 2, 1), needs(cpu="1", memory="1Gi")) == 0


def test_models_that_do_not_exist_are_not_used() -> None:
    member = modelled(1, 1, 1)
    member["spec"]["resourceModels"] = []
    assert max_replicas(member, needs(cpu="2")) == 500


def test_assumed_work_takes_room() -> None:
    work = Assumed([{"replicas": 2, "replicaRequirements": needs(cpu="1")}])
    member = summary(allocatable={"pods": "10", "cpu": "4"})
    assert max_replicas(member, needs(cpu="1"), assumed=[work]) == 2
    assert max_replicas(modelled(0, 1, 1), needs(cpu="2"), assumed=[work]) == 2


def test_the_least_of_all_estimators() -> None:
    clusters = [cluster("a", cpu="5"), cluster("b", cpu="9")]
    found = available_replicas(binding(3)["spec"], clusters, answers=[{"a": 7, "b": 2}, {"b": -1}])
    assert found == {"a": 5, "b": 2}


def test_resources_without_replicas_are_not_estimated() -> None:
    assert available_replicas(binding(0)["spec"], [cluster("a")]) == {"a": MAX_INT32}


def test_sets_of_components() -> None:
    parts = [
        {"name": "job", "replicas": 1, "replicaRequirements": needs(cpu="1")},
        {"name": "task", "replicas": 2, "replicaRequirements": needs(cpu="2")},
    ]
    assert max_component_sets(summary(allocatable={"pods": "100", "cpu": "11"}), parts) == 2
    assert max_component_sets(summary(allocatable={"pods": "5", "cpu": "100"}), parts) == 1
    assert max_component_sets(modelled(0, 0, 3), parts) == 2
    spec = binding(0)["spec"]
    spec["components"] = parts
    spec["placement"]["spreadConstraints"] = [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]
    multi = frozenset({gates.MULTIPLE_POD_TEMPLATES_SCHEDULING})
    assert available_replicas(spec, [cluster("a", cpu="11")], gates=multi) == {"a": 2}


def test_what_a_pod_asks_for() -> None:
    pod = {
        "containers": [
            {
                "resources": {
                    "requests": {"cpu": "100m", "memory": "1000M"},
                    "limits": {"cpu": "1", "nvidia.com/gpu": "1"},
                }
            },
            {"resources": {"limits": {"cpu": "400m", "memory": "64Mi"}}},
            {},
        ],
        "initContainers": [{"resources": {"requests": {"cpu": "2", "memory": "1Mi"}}}],
        "overhead": {"cpu": "10m"},
    }
    assert pod_request(pod) == {"cpu": "2010m", "memory": "1067108864", "nvidia.com/gpu": "1"}
    assert pod_request({"containers": [{"name": "x"}]}) == {}
