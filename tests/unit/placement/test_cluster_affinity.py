from typing import Any

import pytest

from kafila.placement.cluster_affinity import cluster_matches, taint_text, tolerates, untolerated_taint
from tests.unit.placement.objects import cluster

MEMBER = cluster("member1", region="eu", labels={"env": "prod"}, provider="p1", zones=["a", "b"])


def field(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"fieldSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}}


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        (None, True),
        ({}, True),
        ({"clusterNames": ["member1"]}, True),
        ({"clusterNames": ["member2"]}, False),
        ({"clusterNames": []}, True),
        ({"clusterNames": ["member1"], "exclude": ["member1"]}, False),
        ({"labelSelector": {"matchLabels": {"env": "prod"}}}, True),
        ({"labelSelector": {"matchLabels": {"env": "dev"}}, "clusterNames": ["member1"]}, False),
        ({"labelSelector": {"matchExpressions": [{"key": "env", "operator": "Nope"}]}}, False),
        (field("region", "In", "eu", "us"), True),
        (field("region", "NotIn", "eu"), False),
        (field("provider", "In", "p2"), False),
        (field("zone", "In", "b", "c"), True),
        (field("zone", "In", "c"), False),
        (field("zone", "NotIn", "c"), True),
        (field("zone", "NotIn", "a"), False),
        (field("zone", "Exists"), True),
        (field("zone", "DoesNotExist"), False),
        (field("region", "Gt", "1"), False),
    ],
)
def test_affinity(affinity: dict[str, Any] | None, expected: bool) -> None:
    assert cluster_matches(MEMBER, affinity) is expected


def test_a_cluster_without_the_field() -> None:
    bare = cluster("bare")
    assert not cluster_matches(bare, field("region", "In", ""))
    assert cluster_matches(bare, field("region", "NotIn", "eu"))
    assert cluster_matches(bare, field("zone", "NotIn", "a"))


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "operator": "Lt", "value": "9"}, False),
    ],
)
def test_tolerations(toleration: dict[str, Any], expected: bool) -> None:
    assert tolerates(toleration, {"key": "k", "value": "v", "effect": "NoSchedule"}) is expected


def test_only_taints_that_keep_work_away_count() -> None:
    tainted = cluster("c", taints=[{"key": "a", "effect": "PreferNoSchedule"}, {"key": "b", "effect": "NoExecute"}])
    assert untolerated_taint(tainted, []) == {"key": "b", "effect": "NoExecute"}
    assert untolerated_taint(tainted, [{"key": "b", "operator": "Exists"}]) is None


def test_taints_as_text() -> None:
    assert taint_text({"key": "k", "value": "v", "effect": "NoSchedule"}) == "k=v:NoSchedule"
    assert taint_text({"key": "k", "effect": "NoSchedule"}) == "k:NoSchedule"
    assert taint_text({"key": "k", "value": "v"}) == "k=v:"
    assert taint_text({"key": "k"}) == "k"
