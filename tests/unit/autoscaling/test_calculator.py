"""Cases of Kubernetes' HPA, and what several clusters make of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.calculator import (
    MOST,
    Proposal,
    Workload,
    by_average,
    by_utilization,
    by_value,
    by_value_for_each,
)
from kafila.autoscaling.metrics import PodMetric, PodMetrics
from kafila.autoscaling.pods import Pod, Tuning
from kafila.autoscaling.podset import CannotCompute, PodSet

NOW = 1_000_000.0
TUNING = Tuning()


def pod(name: str, request: int | None = 1000, **fields: Any) -> Pod:
    """One that has been ready for long and asks for one core."""
    asks = (("c", (("cpu", request),) if request is not None else ()),)
    given: dict[str, Any] = {
        "labels": {},
        "phase": "Running",
        "deleted": False,
        "started": NOW - 3600,
        "ready": "True",
        "ready_since": NOW - 3500,
        "requests": asks,
    }
    return Pod(name, **(given | fields))


def samples(*values: int | None, timestamp: float = NOW) -> PodMetrics:
    return {f"p{i}": PodMetric(value, timestamp, 60) for i, value in enumerate(values) if value is not None}


def pods(count: int, **changed: Any) -> list[Pod]:
    """``p1={"phase": "Pending"}`` changes the second."""
    return [pod(f"p{i}", **changed.get(f"p{i}", {})) for i in range(count)]


def workload(found: list[Pod], replicas: int | None = None, calibration: float = 1.0) -> Workload:
    return Workload(len(found) if replicas is None else replicas, len(found), calibration, PodSet(found))


UNREADY = {"ready": "False", "ready_since": NOW - 3600, "started": NOW - 3600}
STARTING = {"ready": "False", "ready_since": NOW - 10, "started": NOW - 20}


@pytest.mark.parametrize(
    ("values", "target", "changed", "wanted"),
    [
        pytest.param((300, 500, 700), 30, {}, Proposal(5, 500, 50), id="up"),
        pytest.param((300, 300, 300, 300, 300), 50, {}, Proposal(3, 300, 30), id="down"),
        pytest.param((1010, 1030, 1020), 100, {}, Proposal(3, 1020, 102), id="within the tolerance"),
        pytest.param((300, 500, 700), 30, {"p0": STARTING}, Proposal(4, 600, 60), id="unready pods count as idle"),
        pytest.param((400, 500, 700), 30, {"p0": UNREADY, "p1": UNREADY}, Proposal(3, 700, 70), id="up, too little"),
        pytest.param((400, 500, 700), 30, {"p0": {"phase": "Pending"}}, Proposal(4, 600, 60), id="a pending pod"),
        pytest.param((1000, None), 100, {}, Proposal(2, 1000, 100), id="at the target with one that is missing"),
        pytest.param((100, 450, None), 50, {}, Proposal(3, 275, 27), id="a missing pod is busy before scaling down"),
        pytest.param((950, 950, None), 30, {}, Proposal(7, 950, 95), id="a missing pod is idle before scaling up"),
        pytest.param((500, 500, 500, 500), 30, {"p3": {"phase": "Failed"}}, Proposal(5, 500, 50), id="a failed pod"),
        pytest.param((500, 500, 500, 500), 30, {"p3": {"deleted": True}}, Proposal(5, 500, 50), id="a deleted pod"),
        pytest.param((100, 100, None), 300, {}, Proposal(2, 100, 10), id="busy is the target where that is more"),
    ],
)
def test_utilization(values: Any, target: int, changed: Any, wanted: Proposal) -> None:
    found = workload(pods(len(values), **changed))
    assert by_utilization(samples(*values), found, target, "cpu", "", TUNING, NOW) == wanted


@pytest.mark.parametrize(
    ("values", "found", "why"),
    [
        ((100,), [], "no pods returned by selector while calculating replica count"),
        ((100,), [pod("p0", None)], "missing request for cpu in container c of Pod p0"),
        ((None,), [pod("p0")], "did not receive metrics for any ready pods"),
        ((100,), [pod("p0", **UNREADY)], "did not receive metrics for any ready pods"),
        ((100,), [pod("p0", 0)], "no metrics returned matched known pods"),
    ],
)
def test_what_cannot_be_computed(values: Any, found: list[Pod], why: str) -> None:
    with pytest.raises(CannotCompute) as refused:
        by_utilization(samples(*values), workload(found), 50, "cpu", "", TUNING, NOW)
    assert str(refused.value) == why


def test_a_young_pod_counts_once_it_was_measured_while_ready() -> None:
    young = {"started": NOW - 60, "ready_since": NOW - 50}
    found = workload(pods(2, p1=young))
    before = samples(300, 300, timestamp=NOW - 20)
    assert by_utilization(before, found, 30, "cpu", "", TUNING, NOW).replicas == 2
    assert by_utilization(before, found, 60, "cpu", "", TUNING, NOW).replicas == 1
    after = samples(600, 600, timestamp=NOW + 20)
    assert by_utilization(after, found, 30, "cpu", "", TUNING, NOW + 60).replicas == 4


def test_memory_does_not_care_for_how_long_a_pod_has_been_running() -> None:
    asks = {"requests": (("c", (("memory", 1000),)),)}
    found = workload(pods(2, p0={**STARTING, **asks}, p1=asks))
    assert by_utilization(samples(500, 500), found, 25, "memory", "", TUNING, NOW).replicas == 4


def test_one_container_of_several() -> None:
    asks = {"requests": (("c", (("cpu", 1000),)), ("sidecar", ()))}
    found = PodSet([pod("p0", **asks)])
    assert found.requests("cpu", "c") == {"p0": 1000}
    with pytest.raises(CannotCompute):
        found.requests("cpu")


@pytest.mark.parametrize(
    ("values", "target", "changed", "wanted"),
    [
        ((20000, 10000, 30000), 15000, {}, Proposal(4, 20000)),
        ((12000, 12000, 12000, 12000, 12000), 20000, {}, Proposal(3, 12000)),
        ((20000, 21000, 21000), 20000, {}, Proposal(3, 20666)),
        ((50000, 10000, 30000), 15000, {"p0": STARTING, "p2": STARTING}, Proposal(6, 30000)),
        ((50000, 10000, 30000), 15000, {"p0": {"phase": "Pending"}}, Proposal(3, 20000)),
        ((5000, 5000, None), 10000, {}, Proposal(2, 5000)),
        ((20000, 20000, None), 10000, {}, Proposal(4, 20000)),
        ((-5, -6), 10, {}, Proposal(0, -5)),
    ],
)
def test_averages_of_custom_metrics(values: Any, target: int, changed: Any, wanted: Proposal) -> None:
    found = workload(pods(len(values), **changed))
    assert by_average(samples(*values), found, target, "", TUNING, NOW) == wanted


def test_the_value_of_an_object() -> None:
    found = workload(pods(3))
    assert by_value(20000, found, 15000, TUNING) == Proposal(4, 20000)
    assert by_value(15500, found, 15000, TUNING) == Proposal(3, 15500)
    assert by_value(20000, workload(pods(3, p0=UNREADY)), 15000, TUNING).replicas == 3
    assert by_value(40000, workload([], 0), 15000, TUNING).replicas == 3
    with pytest.raises(CannotCompute, match="unable to calculate ready pods: no pods returned by selector"):
        by_value(40000, workload([], 2), 15000, TUNING)


def test_the_value_of_an_object_for_each_replica() -> None:
    assert by_value_for_each(8600, workload(pods(4)), 1000, TUNING) == Proposal(9, 2150)
    assert by_value_for_each(4050, workload(pods(4)), 1000, TUNING) == Proposal(4, 1013)
    assert by_value_for_each(4000, workload([]), 1000, TUNING) == Proposal(4, 0)


def test_duplicated_replicas_are_the_templates() -> None:
    """Four pods in two clusters are two replicas of the template, whichever way they are counted."""
    found = workload(pods(4), replicas=2, calibration=2.0)
    assert by_utilization(samples(*[600] * 4), found, 30, "cpu", "", TUNING, NOW).replicas == 4
    assert by_average(samples(*[600] * 4), found, 300, "", TUNING, NOW).replicas == 4
    assert by_value(600, found, 300, TUNING).replicas == 4
    assert by_value_for_each(8000, found, 1000, TUNING).replicas == 4
    assert by_value_for_each(4000, found, 1000, TUNING).replicas == 2


amounts = st.lists(st.integers(0, 10**6), min_size=1, max_size=20)


@given(amounts, st.integers(1, 1000), st.integers(1, 5))
def test_replicas_bring_the_average_to_the_target(values: list[int], target: int, clusters: int) -> None:
    found = workload(pods(len(values)), calibration=float(clusters))
    proposed = by_average(samples(*values), found, target, "", Tuning(tolerance=0), NOW).replicas
    average = sum(values) // len(values)
    assert 0 <= proposed <= MOST
    if average != target:
        needed = average * len(values) / target / clusters
        assert needed - 1e-6 <= proposed < needed + 1 + 1e-6


@given(amounts, st.integers(1, 500), st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)))
def test_pods_without_a_sample_never_turn_the_direction(
    values: list[int], target: int, silent: set[int], starting: set[int]
) -> None:
    """However many pods tell nothing: a proposal lies between what there is and what those that tell would want."""
    changed = {f"p{i}": STARTING for i in starting}
    found = workload(pods(len(values), **changed))
    told = samples(*(None if i in silent else value for i, value in enumerate(values)))
    try:
        with_gaps = by_utilization(told, found, target, "cpu", "", TUNING, NOW)
    except CannotCompute:
        return
    if silent & set(range(len(values))):
        if with_gaps.utilization > target:
            assert with_gaps.replicas >= found.replicas
        if with_gaps.utilization < target:
            assert with_gaps.replicas <= found.replicas


@given(amounts, amounts, st.integers(1, 500))
def test_more_load_never_means_fewer_replicas(values: list[int], more: list[int], target: int) -> None:
    busier = [value + added for value, added in zip(values, more + [0] * len(values), strict=False)]
    found = workload(pods(len(values)))
    before = by_utilization(samples(*values), found, target, "cpu", "", Tuning(tolerance=0), NOW)
    after = by_utilization(samples(*busier), found, target, "cpu", "", Tuning(tolerance=0), NOW)
    assert after.replicas >= before.replicas
