"""Overcommit protection: what was placed a moment ago counts as taken."""

from __future__ import annotations

import pytest

from kafila.core.feature_gates import DEFAULT_GATES, SCHEDULING_OVERCOMMIT_PROTECTION
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement.scheduler.schedule import SchedulingContext, schedule, with_result
from kafila.reconcile.karmada.scheduler import assume_cache
from kafila.reconcile.karmada.scheduler.assume_cache import AssumeCache
from tests.unit.placement.objects import binding, cluster

GATES = {*DEFAULT_GATES, SCHEDULING_OVERCOMMIT_PROTECTION}  # type: ignore[misc]
ONE, TWO = Key("resourcebindings", "default", "one"), Key("resourcebindings", "default", "two")
DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


def wanted(replicas: int) -> Object:
    requests = {"resourceRequest": {"cpu": "1"}}
    made = binding(replicas, {"replicaScheduling": DYNAMIC}, replicaRequirements=requests)
    made["metadata"] = {"name": "one", "namespace": "default"}
    return made


def place(found: AssumeCache, key: Key, made: Object, clusters: list[Object]) -> Object:
    decision = schedule(made, clusters, SchedulingContext(GATES, assumed=found.by_cluster()))
    stored = with_result(made, decision)
    found.placed(key, made, stored)
    return stored


def report(made: Object, health: str) -> Object:
    items = [{"clusterName": target["name"], "health": health} for target in made["spec"]["clusters"]]
    return {**made, "status": {"aggregatedStatus": items}}


def test_the_same_room_is_not_given_twice() -> None:
    clusters, found = [cluster("m1", cpu="5")], AssumeCache(GATES)
    first = place(found, ONE, wanted(3), clusters)
    assert first["spec"]["clusters"] == [{"name": "m1", "replicas": 3}]
    assert place(found, TWO, wanted(3), clusters)["spec"].get("clusters") is None
    assert place(found, TWO, wanted(2), clusters)["spec"]["clusters"] == [{"name": "m1", "replicas": 2}]


def test_what_is_healthy_shows_in_the_summary() -> None:
    clusters, found = [cluster("m1", cpu="5")], AssumeCache(GATES)
    first = place(found, ONE, wanted(3), clusters)
    found.settled(ONE, first, report(first, "Unhealthy"))
    assert found.by_cluster().keys() == {"m1"}
    found.settled(ONE, report(first, "Unhealthy"), report(first, "Healthy"))
    assert found.by_cluster() == {}


def test_it_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    found = AssumeCache(GATES)
    place(found, ONE, wanted(3), [cluster("m1", cpu="5")])
    later = assume_cache.time.monotonic() + assume_cache.LIFETIME + 1
    monkeypatch.setattr(assume_cache.time, "monotonic", lambda: later)
    assert found.by_cluster() == {}


def test_without_the_gate_nothing_is_assumed() -> None:
    found = AssumeCache(DEFAULT_GATES)
    place(found, ONE, wanted(3), [cluster("m1", cpu="5")])
    assert found.by_cluster() == {}


def test_a_binding_that_goes_takes_its_share_along() -> None:
    found = AssumeCache(GATES)
    place(found, ONE, wanted(3), [cluster("m1", cpu="5")])
    found.forget(ONE)
    assert found.by_cluster() == {}


def test_room_is_taken_while_the_binding_is_stored_and_given_back_when_that_fails() -> None:
    clusters, found = [cluster("m1", cpu="5")], AssumeCache(GATES)
    made = wanted(3)
    stored = with_result(made, schedule(made, clusters, SchedulingContext(GATES, assumed=found.by_cluster())))
    with pytest.raises(TimeoutError), found.placing(ONE, made, stored):
        raise TimeoutError
    assert found.by_cluster() == {}
    with found.placing(ONE, made, stored):
        assert "clusters" not in place(found, TWO, wanted(3), clusters)["spec"], "decided about meanwhile"
    smaller = with_result(wanted(1), schedule(wanted(1), clusters, SchedulingContext(GATES)))
    with pytest.raises(TimeoutError), found.placing(ONE, stored, smaller):
        raise TimeoutError
    assert "clusters" not in place(found, TWO, wanted(3), clusters)["spec"], "the three that were placed before"
