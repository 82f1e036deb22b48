"""Taints: how long a binding stands one, and which conditions bring them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.values import Object
from kafila.placement.failover.taints import no_execute, tainted_event, taints_by_policies, toleration_left
from tests.unit.placement.objects import cluster

ADDED = 1_000_000.0
STAMP = "1970-01-12T13:46:40Z"


def taint(key: str = "a", effect: str = "NoExecute") -> Object:
    return {"key": key, "value": "v", "effect": effect, "timeAdded": STAMP}


def toleration(key: str = "a", seconds: int | None = None, **more: Any) -> Object:
    return {"key": key, "operator": "Exists", **({} if seconds is None else {"tolerationSeconds": seconds}), **more}


@pytest.mark.parametrize(
    ("taints", "tolerations", "left"),
    [
        ([], [], None),
        ([taint()], [], 0),
        ([taint()], None, 0),
        ([taint()], [toleration("b")], 0),
        ([taint()], [toleration()], None),
        ([taint()], [toleration(seconds=60)], 50),
        ([taint()], [toleration(seconds=5)], 0),
        ([taint()], [toleration(seconds=0)], 0),
        # the first toleration that matches counts
        ([taint()], [toleration(), toleration(seconds=5)], None),
        # the shortest time over all taints
        ([taint("a"), taint("b")], [toleration("a", 60), toleration("b", 30)], 20),
        ([taint("a"), taint("b")], [toleration("a", 60), toleration("b")], 50),
        ([taint("a"), taint("b")], [toleration("a", 60)], 0),
        ([{"key": "a", "effect": "NoExecute"}], [toleration(seconds=5)], None),
    ],
)
def test_how_long_a_taint_is_tolerated(taints: list[Object], tolerations: list[Object], left: float | None) -> None:
    assert toleration_left(taints, tolerations, ADDED + 10) == left


def test_only_no_execute_evicts() -> None:
    assert no_execute(cluster("m", taints=[taint("a", "NoSchedule"), taint("b")])) == [taint("b")]


def policy(name: str, created: str, *keys: str, add: Any = None, remove: Any = None, **spec: Any) -> Object:
    spec |= {"taints": [{"key": key, "effect": "NoSchedule"} for key in keys]}
    if add:
        spec["addOnConditions"] = add
    if remove:
        spec["removeOnConditions"] = remove
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}


def when(operator: str, *values: str, condition: str = "Ready") -> Object:
    return {"conditionType": condition, "operator": operator, "statusValues": list(values)}


def tainted(*policies: Object, ready: str = "False", taints: Any = ()) -> list[str]:
    made = cluster("m1", taints=list(taints), labels={"zone": "a"})
    made["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    return [each["key"] for each in taints_by_policies(made, policies, now=0)]


def test_conditions() -> None:
    assert tainted(policy("p", "1", "a", add=[when("In", "False")])) == ["a"]
    assert tainted(policy("p", "1", "a", add=[when("NotIn", "True")])) == ["a"]
    assert tainted(policy("p", "1", "a", add=[when("In", "True")])) == []
    assert tainted(policy("p", "1", "a", add=[when("In", "False"), when("In", "True")])) == [], "all must hold"
    assert tainted(policy("p", "1", "a", add=[when("NotIn", "True", condition="Other")])) == [], "not there"
    assert tainted(policy("p", "1", "a")) == [], "no condition never holds"


def test_taints_come_and_go() -> None:
    gone = policy("p", "1", "a", remove=[when("In", "True")])
    assert tainted(gone, ready="True", taints=[{"key": "a", "effect": "NoSchedule"}]) == []
    assert tainted(gone, ready="True", taints=[{"key": "a", "effect": "NoExecute"}]) == ["a"], "another effect"
    twice = policy("p", "1", "a", add=[when("In", "False")])
    assert tainted(twice, taints=[{"key": "a", "effect": "NoSchedule"}]) == ["a"], "not twice"


def test_the_younger_policy_has_the_last_word() -> None:
    adds = policy("b", "2026-01-01T00:00:00Z", "a", add=[when("In", "False")])
    removes = policy("a", "2026-01-02T00:00:00Z", "a", remove=[when("In", "False")])
    assert tainted(removes, adds) == []
    removes["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    assert tainted(removes, adds) == ["a"]


def test_only_target_clusters() -> None:
    add = [when("In", "False")]
    assert tainted(policy("p", "1", "a", add=add, targetClusters={"clusterNames": ["m2"]})) == []
    assert tainted(
        policy("p", "1", "a", add=add, targetClusters={"labelSelector": {"matchLabels": {"zone": "a"}}})
    ) == ["a"]


def test_messages() -> None:
    taints = [{"key": "a", "value": "v", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}]
    assert tainted_event("m1", taints)[2] == (
        "Update Cluster(m1) with taints(cluster now has taints([{Key:a,Value:v,Effect:NoSchedule}{Key:b,Effect:NoExecute}])) "
        "succeed"
    ).replace("}{", "},{")
    assert tainted_event("m1", [])[2] == "Update Cluster(m1) with taints(cluster now does not have taints) succeed"


@given(st.lists(st.sampled_from("abc")), st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 100))))
def test_more_time_passing_never_gives_more_time(keys: list[str], tolerated: list[tuple[str, int]]) -> None:
    taints, tolerations = [taint(key) for key in keys], [toleration(key, seconds) for key, seconds in tolerated]
    earlier, later = (toleration_left(taints, tolerations, ADDED + wait) for wait in (0, 7))
    assert (earlier is None) == (later is None)
    if earlier is not None and later is not None:
        assert later == max(earlier - 7, 0)
