from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.members.resource_summary import (
    MOST_NAMES,
    NodeFacts,
    PodFacts,
    ResourceSummary,
    node_facts,
    pod_facts,
    pod_requests,
)


def container(restart: str = "", **requests: str) -> dict[str, Any]:
    made: dict[str, Any] = {"resources": {"requests": requests}}
    return made | ({"restartPolicy": restart} if restart else {})


def node(ready: bool = True, **allocatable: str) -> NodeFacts:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return node_facts({"status": {"allocatable": allocatable, "conditions": conditions}})


def pod(node_name: str = "", phase: str = "Running", **requests: str) -> PodFacts:
    return pod_facts(
        {"spec": {"nodeName": node_name, "containers": [container(**requests)]}, "status": {"phase": phase}}
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ()),
        ({"containers": [container(cpu="500m", memory="1Gi"), container(cpu="1")]}, (("cpu", 1500), ("memory", 2**30))),
        (
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="3"), container(cpu="2")]},
            (("cpu", 3000),),
        ),
        ({"containers": [container(cpu="4")], "initContainers": [container(cpu="3")]}, (("cpu", 4000),)),
        # a sidecar runs beside the containers and beside the init containers after it
        ({"containers": [container(cpu="1")], "initContainers": [container("Always", cpu="2")]}, (("cpu", 3000),)),
        (
            {"containers": [container(cpu="1")], "initContainers": [container("Always", cpu="2"), container(cpu="5")]},
            (("cpu", 7000),),
        ),
        ({"containers": [container(cpu="1")], "overhead": {"cpu": "250m"}}, (("cpu", 1250),)),
        ({"containers": [container(**{"nvidia.com/gpu": "2", "unknown": "5"})]}, (("nvidia.com/gpu", 2),)),
        ({"containers": [{}]}, ()),
    ],
)
def test_pod_requests(spec: dict[str, Any], expected: tuple) -> None:
    assert pod_requests(spec) == expected


def test_summaries() -> None:
    resource_summary = ResourceSummary()
    resource_summary.node("a", node(cpu="4", memory="16Gi", pods="110"))
    resource_summary.node("b", node(ready=False, cpu="3500m", memory="16Gi", pods="110"))
    resource_summary.pod(None, pod("a", cpu="100m", memory="128Mi"))
    resource_summary.pod(None, pod("a", phase="Succeeded", cpu="9"))
    resource_summary.pod(None, pod("", phase="Pending", cpu="2"))
    assert resource_summary.node_summary() == {"totalNum": 2, "readyNum": 1}
    assert resource_summary.resource_summary() == {
        "allocatable": {"cpu": "7500m", "memory": "32Gi", "pods": "220"},
        "allocating": {"cpu": "2", "pods": "1"},
        "allocated": {"cpu": "100m", "memory": "128Mi", "pods": "1"},
    }


def test_what_is_empty_is_left_out() -> None:
    assert ResourceSummary().node_summary() == {}
    assert ResourceSummary().resource_summary() == {}


MODELS = [
    {"grade": 0, "ranges": [{"name": "cpu", "min": "0", "max": "1"}, {"name": "memory", "min": "0", "max": "4Gi"}]},
    {"grade": 1, "ranges": [{"name": "cpu", "min": "1", "max": "2"}, {"name": "memory", "min": "4Gi", "max": "16Gi"}]},
    {"grade": 2, "ranges": [{"name": "cpu", "min": "2", "max": "9"}, {"name": "memory", "min": "16Gi", "max": "64Gi"}]},
]


def test_nodes_are_graded_by_their_scarcest_resource() -> None:
    resource_summary = ResourceSummary()
    resource_summary.node("small", node(cpu="500m", memory="32Gi", pods="10"))
    resource_summary.node("middle", node(cpu="8", memory="4Gi", pods="10"))
    resource_summary.node("big", node(cpu="8", memory="32Gi", pods="10"))
    resource_summary.node("full", node(cpu="8", memory="32Gi", pods="1"))
    resource_summary.pod(None, pod("full", cpu="1"))
    resource_summary.node("behind it", node(cpu="500m", memory="4Gi", pods="10"))
    assert resource_summary.modelings(MODELS) == [
        {"grade": 0, "count": 2},
        {"grade": 1, "count": 1},
        {"grade": 2, "count": 1},
    ]
    resource_summary.pod(None, pod("big", cpu="6500m"))
    assert [m["count"] for m in resource_summary.modelings(MODELS)] == [2, 2, 0]
    assert resource_summary.resource_summary(MODELS)["allocatableModelings"] == resource_summary.modelings(MODELS)


PODS = st.builds(
    pod,
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["Running", "Pending", "Failed"]),
    cpu=st.sampled_from(["100m", "1", "0"]),
    memory=st.sampled_from(["1Gi", "5M"]),
)
NODES = st.builds(node, st.booleans(), cpu=st.sampled_from(["1", "2500m"]), memory=st.sampled_from(["1Gi", "512Mi"]))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.none() | PODS)),
    st.lists(st.tuples(st.sampled_from("ab"), st.none() | NODES)),
)
def test_adding_up_as_it_changes_is_adding_up_what_is_there(
    pod_changes: list[tuple[int, PodFacts | None]], node_changes: list[tuple[str, NodeFacts | None]]
) -> None:
    told, fresh = ResourceSummary(), ResourceSummary()
    pods: dict[int, PodFacts | None] = {}
    for key, after in pod_changes:
        told.pod(pods.get(key), after)
        pods[key] = after
    nodes: dict[str, NodeFacts | None] = {}
    for name, facts in node_changes:
        told.node(name, facts)
        nodes[name] = facts
    for one in pods.values():
        fresh.pod(None, one)
    for name, facts in nodes.items():
        fresh.node(name, facts)
    assert told.node_summary() == fresh.node_summary()
    assert told.resource_summary(MODELS) == fresh.resource_summary(MODELS)


def test_a_member_may_name_more_resources_than_are_reported() -> None:
    summary, amounts = ResourceSummary(), {"cpu": "4", "memory": "16Gi", "pods": "110"}
    summary.node("a", node(**amounts, **{f"a.b/n{i:04}": "1" for i in range(MOST_NAMES)}))
    summary.pod(None, pod("a", cpu="1", **{f"a.a/p{i:04}": "1" for i in range(MOST_NAMES)}, **{"x/" + "y" * 1000: "1"}))
    told = summary.resource_summary()
    assert len(told["allocatable"]) == MOST_NAMES
    assert amounts.items() <= told["allocatable"].items()
    assert told["allocated"] == {"cpu": "1", "pods": "1"}  # of what nodes have more is told already
    assert summary.left_out() == 3 + MOST_NAMES + 1


def test_what_nobody_names_any_more_is_forgotten() -> None:
    summary, before = ResourceSummary(), None
    for number in range(100):
        after = pod("a", **{f"a.b/n{number}": "1"})
        summary.pod(before, after)
        before = after
    assert summary.resource_summary() == {"allocated": {"a.b/n99": "1", "pods": "1"}}
    assert summary._allocated.keys() == {"a.b/n99", "pods"}
    summary.pod(before, None)
    assert (summary._allocated, summary._by_node) == ({}, {})
