"""What members may say about metrics."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.metrics import PodUsage
from kafila.members.transport import UnusableAnswer
from kafila.metricsadapter import answers, usages

SAMPLE = {"timestamp": "2026-01-01T00:00:00Z", "window": "10s"}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def pod(name: str = "web", namespace: str = "default", **more: Any) -> dict[str, Any]:
    containers = [{"name": "c", "usage": {"cpu": "0.025", "memory": "16Mi"}}]
    return {"metadata": {"name": name, "namespace": namespace}, **SAMPLE, "containers": containers, **more}


def listed(*items: Any, kind: str = "PodMetricsList") -> bytes:
    return orjson.dumps({"kind": kind, "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items})


def test_a_pod_says_which_member_it_is_from_in_canonical_amounts() -> None:
    given = pod(metadata={"name": "web", "namespace": "default", "labels": {"a": "b"}, "uid": "u", "x": 1}, extra=1)
    (usage,) = answers.pods(listed(given), "GET /", "m1", "default")
    assert usage[:3] == ("default", "web", "m1")
    assert orjson.loads(usage.body) == {
        "metadata": {
            "name": "web",
            "namespace": "default",
            "labels": {"a": "b"},
            "annotations": {"resource.karmada.io/query-from-cluster": "m1"},
        },
        **SAMPLE,
        "containers": [{"name": "c", "usage": {"cpu": "25m", "memory": "16Mi"}}],
    }


def test_a_node() -> None:
    given = {"metadata": {"name": "n1"}, **SAMPLE, "usage": {"cpu": "640000000n", "memory": "1048576Ki"}}
    (usage,) = answers.nodes(listed(given), "GET /", "m1")
    assert usage[:3] == ("", "n1", "m1")
    assert orjson.loads(usage.body)["usage"] == {"cpu": "640m", "memory": "1Gi"}


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"metadata": {}},
        pod(metadata={"name": "web"}),  # no namespace
        pod(namespace="other"),
        pod(timestamp=None),
        pod(timestamp="yesterday"),
        pod(window="10 seconds"),
        pod(window="1" * 40 + "s"),
        pod(containers={}),
        pod(containers=[{"name": "c", "usage": {"cpu": "much"}}]),
        pod(containers=[{"name": "c", "usage": {"cpu": True}}]),
        pod(containers=[{"name": "c", "usage": {"cpu": "1e9999999"}}]),
        pod(containers=[{"name": "c", "usage": {str(n): "1" for n in range(100)}}]),
        pod(containers=[{"name": "x" * 2000, "usage": {}}]),
        pod(containers=[None]),
        pod(metadata={"name": "web", "namespace": "default", "labels": {"a": 1}}),
    ],
)
def test_what_is_no_pod_spoils_the_answer(item: Any) -> None:
    with pytest.raises(UnusableAnswer):
        answers.pods(listed(pod(), item), "GET /", "m1", "default")


@given(JUNK)
def test_nothing_else_is_raised(junk: Any) -> None:
    for body in (listed(junk), listed({**pod(), "containers": junk}), listed({**pod(), "metadata": junk})):
        for read in (
            lambda body: answers.pods(body, "GET /", "m1", ""),
            lambda body: answers.nodes(body, "GET /", "m1"),
            lambda body: answers.custom(body, "GET /", "m"),
            lambda body: answers.external(body, "GET /", "m"),
            lambda body: answers.versions(body, "GET /"),
            lambda body: answers.resources(body, "GET /"),
        ):
            try:
                read(body)
            except UnusableAnswer:
                pass


def test_custom_metrics_of_both_versions_are_one() -> None:
    described = {"kind": "Pod", "namespace": "default", "name": "web", "apiVersion": "/v1"}
    selector = {"matchLabels": {"a": "b"}}
    at = {"describedObject": described, "timestamp": SAMPLE["timestamp"], "value": "1500m"}
    newer = {**at, "metric": {"name": "requests", "selector": selector}, "windowSeconds": 60}
    older = {**at, "metricName": "requests", "selector": selector, "window": 60}
    assert answers.custom(listed(newer), "", "requests") == answers.custom(listed(older), "", "requests")
    (found,) = answers.custom(listed(newer), "", "requests")
    assert (found.metric, str(found.value), found.window) == ("requests", "1500m", 60)


def test_external_metrics() -> None:
    given = {"metricName": "queue", "metricLabels": {"b": "2", "a": "1"}, "timestamp": None, "value": 7}
    (found,) = answers.external(listed(given), "", "queue")
    assert (found.metric, found.labels, str(found.value), found.window) == (
        "queue",
        (("a", "1"), ("b", "2")),
        "7",
        None,
    )


def test_discovery() -> None:
    group = orjson.dumps({"versions": [{"version": "v1beta1"}, {"version": "v9"}]})
    assert answers.versions(group, "") == ["v1beta1", "v9"]
    rows = [{"name": "pods/requests", "namespaced": True}, {"name": "nodes/heat"}]
    assert answers.resources(orjson.dumps({"resources": rows}), "") == [("pods/requests", True), ("nodes/heat", False)]


def test_the_use_of_pods_in_numbers() -> None:
    labelled = pod("a", metadata={"name": "a", "namespace": "default", "labels": {"app": "web"}})
    found = usages.pod_usages(listed(labelled, pod("b", window="1m0.5s")), "GET /", "m1", "default")
    containers = {"c": {"cpu": 25, "memory": 16 * 2**20 * 1000}}
    at = 1767225600.0
    assert found == [
        PodUsage("default", "a", at, 10.0, containers, "m1", {"app": "web"}),
        PodUsage("default", "b", at, 60.5, containers, "m1"),
    ]
    assert usages.pod_usages(b'{"items":null}', "GET /", "m1", "default") == []


@pytest.mark.parametrize(
    "item",
    [
        7,
        {},
        pod(metadata={"name": "web"}),  # no namespace
        pod(namespace="kube-system"),
        pod(metadata={"name": 7, "namespace": "default"}),
        pod("n" * 2000),
        pod(metadata={"name": "web", "namespace": "default", "labels": {"a": ["b"]}}),
        pod(timestamp="now"),
        pod(timestamp=None),
        pod(window="soon"),
        pod(containers={"name": "c"}),
        pod(containers=[{"name": "c", "usage": {"cpu": "much"}}]),
        pod(containers=[{"name": "c", "usage": {f"r{number}": "1" for number in range(33)}}]),
    ],
)
def test_no_use_of_pods(item: Any) -> None:
    with pytest.raises(UnusableAnswer):
        usages.pod_usages(listed(pod(), item), "GET /", "m1", "default")


@given(JUNK)
def test_whatever_a_member_says_of_its_pods_is_usage_or_refused(junk: Any) -> None:
    for item in (junk, pod(metadata=junk), pod(containers=junk), pod(containers=[{"name": "c", "usage": junk}])):
        try:
            found = usages.pod_usages(listed(item), "GET /", "m1", "default")
        except UnusableAnswer:
            continue
        assert all(isinstance(each.timestamp, float) for each in found)
