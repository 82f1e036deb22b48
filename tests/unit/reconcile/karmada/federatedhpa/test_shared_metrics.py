"""Many autoscalers ask for the pods of one namespace: it is asked about once, and each gets what it would have got alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.metrics import MetricsError, ObjectReference, PodMetrics, PodUsage
from kafila.core import selectors
from kafila.reconcile.karmada.federatedhpa.shared_metrics import FOR_EACH, LEAST, NamespaceUsage, SharedMetrics

PERIOD = 15.0
INGRESS = ObjectReference("networking.k8s.io/v1", "Ingress", "main")


def usage(name: str, cluster: str = "m1", **labels: str) -> PodUsage:
    return PodUsage("shop", name, 60.0, 15.0, {"c": {"cpu": 1}}, cluster, labels or None)


class Metrics:
    """``asked``: the selectors, and the objects."""

    def __init__(self, *usages: PodUsage) -> None:
        self.usages = list(usages)
        self.asked: list[str] = []
        self.refuses: str | None = None  # a selector

    async def resource(self, namespace: str, selector: str) -> Sequence[PodUsage]:
        self.asked.append(selector)
        await asyncio.sleep(0)
        if selector == self.refuses:
            raise MetricsError("refused")
        wanted = selectors.parse(selector)
        return [each for each in self.usages if wanted.matches(each.labels or {})]

    async def of_pods(self, namespace: str, selector: str, metric: str, metric_selector: str) -> PodMetrics:
        raise MetricsError("no")

    async def of_object(self, namespace: str, about: ObjectReference, metric: str, metric_selector: str) -> int:
        self.asked.append(about.name)
        await asyncio.sleep(0)
        return 7

    async def external(self, namespace: str, metric: str, metric_selector: str) -> Sequence[int]:
        raise MetricsError("no")


def apps(count: int) -> list[PodUsage]:
    return [
        usage(f"web-{number}-{cluster}", cluster, app=f"web-{number}")
        for number in range(count)
        for cluster in ("m1", "m2")
    ]


async def ask_all(shared: SharedMetrics, count: int) -> list[Any]:
    asked = (shared.resource("shop", f"app=web-{number}") for number in range(count))
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_a_namespace_is_asked_about_once() -> None:
    metrics = Metrics(*apps(20), usage("other", app="web"))
    shared = SharedMetrics(metrics, PERIOD)
    found = await ask_all(shared, 20)
    assert [sorted(each.name for each in pods) for pods in found] == [
        [f"web-{number}-m1", f"web-{number}-m2"] for number in range(20)
    ]
    assert metrics.asked.count("") == 1
    assert len(metrics.asked) == LEAST
    await ask_all(shared, 20)
    assert len(metrics.asked) == LEAST, "who looks soon after has the same answer"
    await shared.close()


async def test_few_ask_for_their_own() -> None:
    metrics = Metrics(*apps(20))
    shared = SharedMetrics(metrics, PERIOD)
    await ask_all(shared, LEAST - 1)
    await ask_all(shared, LEAST - 1)
    assert "" not in metrics.asked


async def test_so_do_those_among_very_many_other_pods() -> None:
    metrics = Metrics(*apps(LEAST), *(usage(f"other-{number}", app="other") for number in range(FOR_EACH * LEAST)))
    shared = SharedMetrics(metrics, PERIOD)
    for _ in range(3):
        assert all(len(each) == 2 for each in await ask_all(shared, LEAST))
    assert metrics.asked.count("") == 1
    await shared.close()


async def test_nobody_gets_nothing_because_all_could_not_be_asked_for() -> None:
    metrics = Metrics(*apps(LEAST))
    metrics.refuses = ""
    shared = SharedMetrics(metrics, PERIOD)
    assert all(len(each) == 2 for each in await ask_all(shared, LEAST))
    await shared.close()


async def test_pods_whose_labels_nobody_tells_are_asked_for_by_selector() -> None:
    metrics = Metrics(*apps(LEAST), usage("bare", "m3"))
    shared = SharedMetrics(metrics, PERIOD)
    await ask_all(shared, LEAST)
    await ask_all(shared, LEAST)
    assert metrics.asked.count("") == 1
    assert metrics.asked.count("app=web-3") == 2
    await shared.close()


async def test_nothing_of_an_autoscaler_is_an_error_as_when_it_asks_alone() -> None:
    shared = SharedMetrics(Metrics(*apps(LEAST)), PERIOD)
    found = await ask_all(shared, LEAST + 1)
    assert str(found[-1]) == "no metrics returned from resource metrics API"
    await shared.close()


async def test_an_object_that_many_follow_is_asked_about_once() -> None:
    metrics = Metrics()
    shared = SharedMetrics(metrics, PERIOD)
    found = await asyncio.gather(*(shared.of_object("shop", INGRESS, "hits", "") for _ in range(9)))
    assert (found, metrics.asked) == ([7] * 9, ["main"])
    await shared.close()


LABELS = st.dictionaries(st.sampled_from(["app", "tier", "team"]), st.sampled_from(["a", "b"]), min_size=1)
SELECTORS = st.sampled_from(
    ["", "app=a", "app=a,tier=b", "app in (a,b)", "app in (a),team", "!tier", "tier!=a,app=b", "team"]
)


@given(st.lists(LABELS, max_size=12), SELECTORS)
def test_what_a_selector_finds_is_what_it_matches(labels: list[dict[str, str]], text: str) -> None:
    usages = [usage(f"p{index}", **each) for index, each in enumerate(labels)]
    selector = selectors.parse(text)
    found = NamespaceUsage(usages).select(selector)
    assert sorted(each.name for each in found) == sorted(
        each.name for each in usages if selector.matches(each.labels or {})
    )


def test_one_silent_cluster_is_enough_not_to_know() -> None:
    with pytest.raises(ValueError, match="1 clusters"):
        NamespaceUsage([usage("a", app="web"), usage("b", "m2"), usage("c", "m2")])
    assert NamespaceUsage([usage("a", app="web"), usage("b")]).count == 2
