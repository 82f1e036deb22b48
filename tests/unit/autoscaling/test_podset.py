"""What is remembered of a workload's pods is what a look at each of them finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.metrics import PodMetric
from kafila.autoscaling.pods import Pod, Tuning, grouped
from kafila.autoscaling.podset import CannotCompute, PodSet

NOW = 1_000_000.0
ages = st.sampled_from([None, 10.0, 299.0, 300.0, 301.0, 3600.0])
pods = st.builds(
    Pod,
    st.sampled_from("abcd"),  # pods of two clusters may have one name
    st.just({}),
    st.sampled_from(["Running", "Running", "Running", "Pending", "Failed", "Succeeded", ""]),
    st.sampled_from([False, False, False, True]),
    ages.map(lambda age: None if age is None else NOW - age),
    st.sampled_from(["True", "True", "True", "False", "Unknown", ""]),
    st.sampled_from([NOW - 3500, NOW - 5]),
    st.just(()),
)
samples = st.dictionaries(
    st.sampled_from("abcde"), st.builds(PodMetric, st.just(1), st.sampled_from([NOW, NOW - 60]), st.just(60.0))
)


@given(st.lists(pods, max_size=4), samples, st.sampled_from(["cpu", "memory", ""]), st.sampled_from([0.0, 0.5, 400.0]))
def test_groups(found: list[Pod], metrics: dict[str, PodMetric], resource: str, later: float) -> None:
    """Also when it is asked again later: a pod that was warming up is not any more."""
    together = PodSet(found)
    for now in (NOW, NOW + later):
        assert together.grouped(metrics, resource, Tuning(), now) == grouped(found, metrics, resource, Tuning(), now)


def test_pods_that_are_settled_are_not_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = PodSet([Pod("a", {}, "Running", False, NOW - 3600, "True", NOW - 3500, ())])
    monkeypatch.delattr("kafila.autoscaling.podset.grouped")
    assert found.grouped({"a": PodMetric(1, NOW, 60)}, "cpu", Tuning(), NOW).ready == 1


def test_requests_are_of_each_resource_and_container() -> None:
    asks = (("c", (("cpu", 1000), ("memory", 7))), ("d", (("cpu", 500), ("memory", 1))))
    found = PodSet([Pod("a", {}, "Running", False, NOW, "True", NOW, asks)])
    for _ in range(2):
        assert found.requests("cpu") == {"a": 1500}
        assert found.requests("memory") == {"a": 8}
        assert found.requests("cpu", "d") == {"a": 500}
        with pytest.raises(CannotCompute, match="missing request for gpu in container c of Pod a"):
            found.requests("gpu")
