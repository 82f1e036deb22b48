"""When a binding that could not be scheduled is tried again: Karmada's times."""

from __future__ import annotations

import pytest

from kafila.core.feature_gates import DEFAULT_GATES, PRIORITY_BASED_SCHEDULING
from kafila.core.resources import Key
from kafila.placement.scheduler.cluster_snapshot import ClusterInfo
from kafila.reconcile.karmada.scheduler import backoff
from kafila.reconcile.karmada.scheduler.backoff import PENDING, SchedulingBackoff, Waiting
from tests.unit.placement.objects import cluster

WEB = Key("deployments.apps", "default", "web")
DATABASE = Key("deployments.apps", "default", "database")


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.asked: list[tuple[Key, float]] = []
        monkeypatch.setattr(backoff.time, "monotonic", lambda: self.now)
        self.retries = SchedulingBackoff(
            lambda key, seconds: self.asked.append((key, seconds)), {*DEFAULT_GATES, PRIORITY_BASED_SCHEDULING}
        )

    def taken(self) -> list[tuple[Key, float]]:
        found, self.asked = self.asked, []
        return found


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def pending() -> dict[str, float]:
    (metric,) = PENDING.collect()
    return {sample.labels["queue"]: sample.value for sample in metric.samples}


def test_back_off_doubles_from_one_to_ten_seconds(bench: Bench) -> None:
    for _ in range(6):
        bench.retries.failed(WEB, for_room=False)
    assert bench.taken() == [(WEB, seconds) for seconds in (1, 2, 4, 8, 10, 10)]
    assert pending() == {"backoff": 1, "unschedulable": 0}
    bench.retries.settled(WEB)
    assert pending() == {"backoff": 0, "unschedulable": 0}
    bench.retries.failed(WEB, for_room=False)
    assert bench.taken() == [(WEB, 1)]


def test_what_lacks_room_waits_five_minutes_or_for_more_room(bench: Bench) -> None:
    assert not bench.retries
    bench.retries.failed(WEB, for_room=True)
    bench.retries.failed(DATABASE, for_room=True)
    assert bench.taken() == [(WEB, 300), (DATABASE, 300)]
    assert bench.retries
    assert pending() == {"backoff": 0, "unschedulable": 2}
    bench.now += 0.25
    bench.retries.more_available()
    assert bench.taken() == [(WEB, 0.75), (DATABASE, 0.75)], "the back-off holds for cluster events too"
    assert not bench.retries
    assert pending() == {"backoff": 2, "unschedulable": 0}
    bench.retries.more_available()
    assert bench.taken() == []
    bench.retries.failed(WEB, for_room=True)
    bench.now += 60
    bench.retries.settled(DATABASE)
    bench.taken()
    bench.retries.more_available()
    assert bench.taken() == [(WEB, 0)]


def test_without_the_gate_the_work_queue_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SchedulingBackoff(lambda key, seconds: pytest.fail("asked"), frozenset())
    for for_room in (True, False):
        with pytest.raises(Waiting):
            found.failed(WEB, for_room=for_room)
    assert not found


def test_more_room() -> None:
    small, same, large = (
        ClusterInfo(cluster("m", cpu="4")),
        ClusterInfo(cluster("m", cpu="4")),
        ClusterInfo(cluster("m", cpu="5")),
    )
    assert large.has_more_available_than(small)
    assert not small.has_more_available_than(large)
    assert not same.has_more_available_than(small)
    used = cluster("m", cpu="5")
    used["status"]["resourceSummary"]["allocated"] = {"cpu": "2"}
    assert small.has_more_available_than(ClusterInfo(used))
    assert not ClusterInfo(used).has_more_available_than(small)
    modelled = cluster("m", cpu="4")
    modelled["status"]["resourceSummary"]["allocatableModelings"] = [{"grade": 2, "count": 1}]
    assert ClusterInfo(modelled).has_more_available_than(small), "one node that is larger"
    assert not small.has_more_available_than(ClusterInfo(modelled))
    unknown = cluster("m")
    unknown["status"] = {}
    assert small.has_more_available_than(ClusterInfo(unknown))
    assert not ClusterInfo(unknown).has_more_available_than(small)
