"""Which replicas the descheduler takes from which cluster."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.placement.scheduler.deschedule import (
    NOT_KNOWN,
    Shortage,
    descheduled,
    may_be_descheduled,
    message,
    shortages,
    taken,
)
from tests.unit.placement.objects import binding

APPLIED = "policy.karmada.io/applied-placement"
DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


def placed(scheduling: Any = DYNAMIC, **more: Any) -> dict[str, Any]:
    made = binding(6, clusters=[{"name": "m1", "replicas": 4}, {"name": "m2", "replicas": 2}], **more)
    made["spec"]["resource"] = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "web"}
    made["metadata"] = {
        "name": "web",
        "annotations": {APPLIED: orjson.dumps({"replicaScheduling": scheduling}).decode()},
    }
    return made


@pytest.mark.parametrize(
    ("scheduling", "expected"),
    [
        (DYNAMIC, True),
        ({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}, True),
        ({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}, False),
        ({**DYNAMIC, "weightPreference": {"staticWeightList": []}}, False),
        ({"replicaSchedulingType": "Duplicated"}, False),
        (None, False),
    ],
)
def test_only_what_is_divided_by_free_room(scheduling: Any, expected: bool) -> None:
    assert may_be_descheduled(placed(scheduling)) is expected


def test_what_is_left_alone() -> None:
    assert not may_be_descheduled(placed(suspension={"scheduling": True}))
    made = placed()
    made["spec"]["resource"]["kind"] = "StatefulSet"
    assert not may_be_descheduled(made)
    for written in (
        "",
        "{",
        "[]",
        "null",
        '{"replicaScheduling": "x"}',
        '{"replicaScheduling": {"weightPreference": 1}}',
    ):
        made = placed()
        made["metadata"]["annotations"][APPLIED] = written
        assert not may_be_descheduled(made), written


def test_clusters_that_are_short_of_ready_replicas() -> None:
    made = placed()
    made["status"] = {"aggregatedStatus": [{"clusterName": "m1", "status": {"readyReplicas": 3}}]}
    assert shortages(made) == [Shortage("m1", 4, 3), Shortage("m2", 2, NOT_KNOWN)]
    for status in ({"readyReplicas": "3"}, {"readyReplicas": True}, {}, "x", None):
        made["status"] = {"aggregatedStatus": [{"clusterName": "m1", "status": status}]}
        assert shortages(made)[0].ready == NOT_KNOWN, status
    made["status"] = {"aggregatedStatus": [{"clusterName": m, "status": {"readyReplicas": 4}} for m in ("m1", "m2")]}
    assert shortages(made) == []


@pytest.mark.parametrize(
    ("short", "unschedulable", "lost"),
    [
        (Shortage("m1", 4, 1), 2, 2),
        (Shortage("m1", 4, 3), 2, 1),  # what is ready stays
        (Shortage("m1", 4, NOT_KNOWN), 4, 4),
        (Shortage("m1", 4, 1), 0, 0),
        (Shortage("m1", 4, 1), -1, 0),
        (Shortage("m1", 4, 1), 5, 0),  # more than there are
    ],
)
def test_how_many(short: Shortage, unschedulable: int, lost: int) -> None:
    assert taken([short], {"m1": unschedulable}) == ({"m1": lost} if lost else {})


def test_the_binding_and_the_event() -> None:
    lost = {"m1": 3, "m2": 1}
    after = descheduled(placed(), lost)
    assert after["spec"]["clusters"] == [{"name": "m1", "replicas": 1}, {"name": "m2", "replicas": 1}]
    assert message(lost) == (
        "Binding has been descheduled, 3 replica(s) in cluster(m1), 1 replica(s) in cluster(m2), "
        "4 total descheduled replica(s)"
    )


@given(st.integers(0, 2**31 - 1), st.integers(-1, 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_whatever_an_estimator_says(replicas: int, ready: int, unschedulable: int) -> None:
    """Nothing that is ready is taken, nor more than there is."""
    if ready >= replicas:
        return
    lost = taken([Shortage("m1", replicas, ready)], {"m1": unschedulable}).get("m1", 0)
    assert 0 <= lost <= replicas
    assert replicas - lost >= ready
    assert lost <= max(unschedulable, 0)
