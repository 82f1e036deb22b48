"""What the metrics APIs answer, well and badly: in no case more than a MetricsError comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.metrics import MOST_MILLI, MetricsError, ObjectReference, PodMetric, PodUsage, of_resource
from kafila.catalog.catalog import Catalog
from kafila.members.transport import Unreachable
from kafila.reconcile.karmada.federatedhpa.metrics_api import APIMetrics

AT = "1970-01-01T00:01:00Z"
INGRESS = ObjectReference("networking.k8s.io/v1", "Ingress", "main/1")


class Answering:
    def __init__(self, answer: tuple[int, bytes] | Exception) -> None:
        self.answer = answer
        self.targets: list[str] = []

    async def pod_usages(self, namespace: str, labels: str) -> None:
        return None

    async def get(self, target: str) -> tuple[int, bytes]:
        self.targets.append(target)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answering(catalog: Catalog, answer: Any) -> tuple[APIMetrics, Answering]:
    api = Answering(answer if isinstance(answer, (tuple, Exception)) else (200, orjson.dumps(answer)))
    return APIMetrics(api, catalog), api


def usage(name: str, **fields: Any) -> dict[str, Any]:
    containers = [{"name": "c", "usage": {"cpu": "250m", "memory": "1Ki"}}, {"name": "d", "usage": {"cpu": "1n"}}]
    found = {"metadata": {"name": name, "namespace": "default"}, "timestamp": AT, "window": "1m0.5s"}
    return {**found, "containers": containers, **fields}


def value(name: str, amount: str, **fields: Any) -> dict[str, Any]:
    return {"describedObject": {"name": name}, "metric": {"name": "m"}, "timestamp": AT, "value": amount, **fields}


@pytest.mark.parametrize(("amount", "found"), [("1e400", MOST_MILLI), ("-1e400", -MOST_MILLI), ("9E", MOST_MILLI)])
async def test_no_value_is_greater_than_kubernetes_can_hold(catalog: Catalog, amount: str, found: int) -> None:
    """Greater ones are no numbers any more that formulas can reckon with."""
    client, _ = answering(catalog, {"items": [value("a", amount)]})
    assert await client.of_pods("default", "", "m", "") == {"a": PodMetric(found, 60.0, 60.0)}
    assert await client.external("default", "m", "") == [found]
    assert await client.of_object("default", INGRESS, "m", "") == found
    client, _ = answering(catalog, {"items": [usage("a", containers=[{"name": "c", "usage": {"cpu": amount}}])]})
    assert of_resource(await client.resource("default", ""), "cpu") == {"a": PodMetric(found, 60.0, 60.5)}


async def test_a_value_without_a_time_is_of_the_zero_time(catalog: Catalog) -> None:
    """As Go reads it: nothing else in the answer is lost."""
    client, _ = answering(catalog, {"items": [value("a", "7"), value("b", "7", timestamp=None)]})
    assert {name: found.timestamp for name, found in (await client.of_pods("default", "", "m", "")).items()} == {
        "a": 60.0,
        "b": 0.0,
    }


async def test_resources_of_pods(catalog: Catalog) -> None:
    client, api = answering(catalog, {"items": [usage("a")]})
    found = await client.resource("default", "app=web,tier in (a,b)")
    containers = {"c": {"cpu": 250, "memory": 1_024_000}, "d": {"cpu": 1}}
    assert found == [PodUsage("default", "a", 60.0, 60.5, containers)]
    query = "labelSelector=app%3Dweb%2Ctier+in+%28a%2Cb%29"
    assert api.targets == [f"/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?{query}"]
    assert of_resource(found, "cpu") == {"a": PodMetric(251, 60.0, 60.5)}
    assert of_resource(found, "cpu", "c") == {"a": PodMetric(250, 60.0, 60.5)}
    assert of_resource(found, "memory") == {}, "one container does not tell"


async def test_custom_metrics(catalog: Catalog) -> None:
    client, api = answering(catalog, {"items": [value("a", "1500m", windowSeconds=5), value("b", "2")]})
    found = await client.of_pods("default", "app=web", "http/s", "verb=GET")
    assert found == {"a": PodMetric(1500, 60.0, 5.0), "b": PodMetric(2000, 60.0, 60.0)}
    client, other = answering(catalog, {"items": [value("main", "7")]})
    assert await client.of_object("default", INGRESS, "hits", "") == 7000
    assert await client.of_object("default", ObjectReference("v1", "Namespace", "other"), "hits", "") == 7000
    root = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default"
    assert api.targets == [f"{root}/pods/*/http%2Fs?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET"]
    assert other.targets == [f"{root}/ingresses.networking.k8s.io/main%2F1/hits", f"{root}/metrics/hits"]


async def test_external_metrics(catalog: Catalog) -> None:
    client, api = answering(catalog, {"items": [{"value": "3"}, {"value": "500m"}]})
    assert await client.external("default", "queue", "name=a") == [3000, 500]
    path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue"
    assert api.targets == [f"{path}?labelSelector=name%3Da"]


RESOURCE = "unable to fetch metrics from resource metrics API: "
STATUS = orjson.dumps({"kind": "Status", "message": "pods.metrics.k8s.io is forbidden", "code": 403})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            (404, b"404 page not found\n"),
            f"{RESOURCE}the server could not find the requested resource (get pods.metrics.k8s.io)",
        ),
        (
            (503, b"service unavailable\n"),
            f"{RESOURCE}the server is currently unable to handle the request (get pods.metrics.k8s.io)",
        ),
        ((403, STATUS), f"{RESOURCE}pods.metrics.k8s.io is forbidden"),
        (Unreachable("timed out", sent=True), f"{RESOURCE}timed out"),
        ({"items": []}, "no metrics returned from resource metrics API"),
        ({}, "no metrics returned from resource metrics API"),
        ((200, b"no JSON"), f"{RESOURCE}the answer is no list of metrics"),
        ([], f"{RESOURCE}the answer is no list of metrics"),
        ({"items": {}}, f"{RESOURCE}the answer is no list of metrics"),
        ({"items": [1]}, f"{RESOURCE}the answer has an item of another shape: TypeError"),
        ({"items": [usage("a", window="soon")]}, f"{RESOURCE}the answer has an item of another shape: ValueError"),
        ({"items": [usage("a", timestamp="now")]}, f"{RESOURCE}the answer has an item of another shape: ValueError"),
        (
            {"items": [usage("a", containers=[{"name": "c", "usage": {"cpu": "1e9999999"}}])]},
            f"{RESOURCE}the answer has an item of another shape: QuantityError",
        ),
    ],
)
async def test_answers_that_cannot_be_used(catalog: Catalog, answer: Any, why: str) -> None:
    client, _ = answering(catalog, answer)
    with pytest.raises(MetricsError) as refused:
        await client.resource("default", "")
    assert str(refused.value) == why


async def test_an_object_of_a_kind_that_nobody_knows(catalog: Catalog) -> None:
    client, api = answering(catalog, {"items": []})
    with pytest.raises(MetricsError, match='no matches for kind "Nothing" in version "x/v1"'):
        await client.of_object("default", ObjectReference("x/v1", "Nothing", "a"), "m", "")
    with pytest.raises(MetricsError, match='no matches for kind "Nothing" in version "x/y/z"'):
        await client.of_object("default", ObjectReference("x/y/z", "Nothing", "a"), "m", "")
    assert not api.targets
    with pytest.raises(MetricsError, match="returned 0 results when we asked for exactly one"):
        await client.of_object("default", INGRESS, "m", "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "name",
                    "namespace",
                    "timestamp",
                    "window",
                    "containers",
                    "usage",
                    "cpu",
                    "value",
                    "describedObject",
                    "windowSeconds",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=3))
async def test_whatever_a_member_makes_up(catalog: Catalog, items: list[Any]) -> None:
    client, _ = answering(catalog, {"items": items})
    calls: list[Callable[[], Any]] = [
        lambda: client.resource("default", ""),
        lambda: client.of_pods("default", "", "m", ""),
        lambda: client.of_object("default", INGRESS, "m", ""),
        lambda: client.external("default", "m", ""),
    ]
    for call in calls:
        try:
            await call()
        except MetricsError:
            continue
