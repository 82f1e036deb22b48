"""What is shown of a Cluster."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core import cluster_report as report
from kafila.core.clock import parse_rfc3339
from kafila.core.cluster_conditions import Figures, expires, responds

NOW = parse_rfc3339("2026-11-30T12:00:00Z")


def condition(type: str, status: str = "True", reason: str = "", message: str = "", at: str = "") -> dict:
    return {"type": type, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


def cluster(*conditions: dict, taints: Any = None, **status: Any) -> dict:
    return {
        "metadata": {"name": "m1"},
        "spec": {"syncMode": "Push", "taints": taints},
        "status": {"conditions": list(conditions), **status},
    }


def cells(obj: dict) -> dict[str, str]:
    return dict(zip([name for name, _ in report.COLUMNS], report.cells(obj, NOW), strict=True))


def test_a_healthy_cluster() -> None:
    found = cells(
        cluster(
            condition("Ready", at="2026-11-30T09:00:00Z"),
            condition("kafila.io/Responsive", message=responds(Figures(20, 5))),
            condition("kafila.io/CredentialsValid", message=expires(NOW + 86400 * 3, NOW) + ": join again"),
            nodeSummary={"totalNum": 3, "readyNum": 2},
            resourceSummary={
                "allocatable": {"cpu": "16", "memory": "64Gi"},
                "allocated": {"cpu": "1500m", "memory": "512Mi"},
                "allocating": {"cpu": "1"},
            },
        )
    )
    assert found == {
        "Scheduling": "Enabled",
        "Since": "3h",
        "Credentials": "3d",
        "Latency": "20ms",
        "Queue": "5",
        "Tunnel": "<none>",
        "Nodes": "2/3",
        "CPU": "2.5/16",
        "Memory": "512Mi/64Gi",
        "Taints": "<none>",
        "Last-Error": "<none>",
    }


def test_a_cordoned_cluster_is_told_apart() -> None:
    taints = [
        {"key": "cluster.karmada.io/unschedulable", "effect": "NoSchedule"},
        {"key": "team", "value": "a", "effect": "NoExecute"},
    ]
    found = cluster(condition("Ready"), taints=taints)
    assert report.ready(found) == "True,SchedulingDisabled"
    assert cells(found)["Scheduling"] == "Disabled"
    assert cells(found)["Taints"] == "cluster.karmada.io/unschedulable:NoSchedule,team=a:NoExecute"


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ([condition("Ready")], ""),
        ([condition("Ready", "False", "ClusterNotReady", "no\n good")], "ClusterNotReady: no good"),
        (
            [
                condition("Ready", "False", "ClusterNotReachable", "cluster is not reachable"),
                condition("kafila.io/Heartbeat", "False", "ClusterNotReachable", "not seen since x: no route to host"),
            ],
            "ClusterNotReachable: not seen since x: no route to host",
        ),
        (
            [condition("kafila.io/Responsive", "False", "Slow", "it answers slowly"), condition("Ready")],
            "Slow: it answers slowly",
        ),
        ([condition("CompleteAPIEnablements", "False", "Partial", "p"), condition("Ready")], "Partial: p"),
    ],
)
def test_what_is_wrong(conditions: list[dict], said: str) -> None:
    assert report.last_error(cluster(*conditions)) == said


def test_credentials_that_expired() -> None:
    past = condition("kafila.io/CredentialsValid", "False", "TokenExpired", expires(NOW - 7200, NOW) + ": join again")
    assert cells(cluster(past))["Credentials"] == "expired 120m ago"
    odd = condition("kafila.io/CredentialsValid", "False", "TokenExpired", "somebody else's words")
    assert cells(cluster(odd))["Credentials"] == "TokenExpired"


@pytest.mark.parametrize("obj", [{}, {"status": {"resourceSummary": {"allocatable": {"cpu": "lots"}}}}, {"spec": {}}])
def test_a_cluster_that_says_nothing_or_nonsense(obj: dict) -> None:
    assert cells(obj)["CPU"] == "?/?"
    assert cells(obj)["Since"] == "<unknown>"
