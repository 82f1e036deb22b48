"""From a spec and what metrics say to a number, conditions, events and a status: the words are Karmada's."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.autoscaling.behavior import History
from kafila.autoscaling.calculator import Workload
from kafila.autoscaling.evaluation import Clocks, Verdict, Warned, ambiguous, by_metrics, status_after, without_metrics
from kafila.autoscaling.metrics import MetricsError, ObjectReference, PodMetric, PodUsage
from kafila.autoscaling.pods import Pod, Tuning, pod_of
from kafila.autoscaling.podset import PodSet
from kafila.autoscaling.sources import Answer, Question, question
from kafila.core.conditions import condition
from kafila.core.values import Object

NOW = 1_000_000.0
SELECTOR = {"matchLabels": {"verb": "GET"}}
RESOURCE = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
AVERAGE = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "250m"}}}
CONTAINER = {
    "type": "ContainerResource",
    "containerResource": {
        "name": "cpu",
        "container": "c",
        "target": {"type": "Utilization", "averageUtilization": 50},
    },
}
PODS = {
    "type": "Pods",
    "pods": {
        "metric": {"name": "requests", "selector": SELECTOR},
        "target": {"type": "AverageValue", "averageValue": "10"},
    },
}
INGRESS = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"}
VALUE = {
    "type": "Object",
    "object": {
        "metric": {"name": "hits"},
        "describedObject": INGRESS,
        "target": {"type": "Value", "value": "100"},
    },
}
OF_EACH = {
    "type": "Object",
    "object": {
        "metric": {"name": "hits", "selector": SELECTOR},
        "describedObject": INGRESS,
        "target": {"type": "AverageValue", "averageValue": "100"},
    },
}
EXTERNAL = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}}


def pod(index: int) -> Pod:
    return Pod(f"p{index}", {}, "Running", False, NOW - 3600, "True", NOW - 3000, (("c", (("cpu", 1000),)),))


def usages(*values: int) -> list[PodUsage]:
    return [PodUsage("default", f"p{i}", NOW, 60, {"c": {"cpu": value}}) for i, value in enumerate(values)]


def judged(metrics: list[Object], answers: list[Answer | None], replicas: int = 2, **spec: Any) -> Verdict:
    workload = Workload(replicas, replicas, 1.0, PodSet([pod(index) for index in range(replicas)]))
    given = {"minReplicas": 1, "maxReplicas": 10, "metrics": metrics, **spec}
    return by_metrics(given, answers, workload, History(), Tuning(), "default", Clocks(NOW, NOW))


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        (RESOURCE, Question()),
        (CONTAINER, Question()),
        (PODS, Question("requests", "verb=GET")),
        (VALUE, Question("hits", "", ObjectReference("networking.k8s.io/v1", "Ingress", "main"))),
        (EXTERNAL, None),
        ({"type": "Pods", "pods": {"metric": {"name": "x", "selector": {"matchLabels": {"-": ""}}}}}, None),
    ],
)
def test_what_is_asked(metric: Object, wanted: Question | None) -> None:
    assert question(metric) == wanted


@pytest.mark.parametrize(
    ("metric", "answer", "replicas", "name", "status"),
    [
        (
            RESOURCE,
            usages(800, 800),
            4,
            "cpu resource utilization (percentage of request)",
            {"resource": {"name": "cpu", "current": {"averageUtilization": 80, "averageValue": "800m"}}},
        ),
        (
            AVERAGE,
            usages(500, 500),
            4,
            "cpu resource",
            {"resource": {"name": "cpu", "current": {"averageValue": "500m"}}},
        ),
        (
            CONTAINER,
            usages(800, 800),
            4,
            "cpu container resource utilization (percentage of request)",
            {
                "containerResource": {
                    "name": "cpu",
                    "container": "c",
                    "current": {"averageUtilization": 80, "averageValue": "800m"},
                }
            },
        ),
        (
            PODS,
            {f"p{i}": PodMetric(20_000, NOW, 60) for i in range(2)},
            4,
            "pods metric requests",
            {"pods": {"metric": {"name": "requests", "selector": SELECTOR}, "current": {"averageValue": "20"}}},
        ),
        (
            VALUE,
            200_000,
            4,
            "Ingress metric hits",
            {"object": {"metric": {"name": "hits"}, "current": {"value": "200"}, "describedObject": INGRESS}},
        ),
        (
            OF_EACH,
            350_000,
            4,
            "external metric hits(&LabelSelector{MatchLabels:map[string]string{verb: GET,},"
            "MatchExpressions:[]LabelSelectorRequirement{},})",
            {
                "object": {
                    "metric": {"name": "hits", "selector": SELECTOR},
                    "current": {"averageValue": "175"},
                    "describedObject": {"kind": "", "name": ""},
                }
            },
        ),
    ],
)
def test_each_kind_of_metric(metric: Object, answer: Any, replicas: int, name: str, status: Object) -> None:
    found = judged([metric], [answer])
    assert (found.replicas, found.rescale, found.reason) == (replicas, True, f"{name} above target")
    assert found.metrics == [{"type": metric["type"], **status}]
    text = f"the HPA was able to successfully calculate a replica count from {name}"
    assert found.conditions[0] == condition("ScalingActive", "True", "ValidMetricFound", text)
    assert not found.events


GONE = MetricsError("gone")


@pytest.mark.parametrize(
    ("metric", "answer", "reason", "message", "error"),
    [
        (
            RESOURCE,
            GONE,
            "FailedGetResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: gone",
            "failed to get cpu resource metric value: ",
        ),
        (
            RESOURCE,
            [],
            "FailedGetResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
            "failed to get cpu resource metric value: ",
        ),
        (
            CONTAINER,
            [PodUsage("default", "p0", NOW, 60, {"d": {"cpu": 1}})],
            "FailedGetContainerResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: failed to get container metrics: "
            "container c not present in metrics for pod default/p0",
            "failed to get c container metric value: ",
        ),
        (PODS, GONE, "FailedGetPodsMetric", "unable to get metric requests: gone", "failed to get pods metric value: "),
        (
            VALUE,
            GONE,
            "FailedGetObjectMetric",
            "unable to get metric hits: gone on Ingress default/main",
            "failed to get object metric value: ",
        ),
        (
            OF_EACH,
            GONE,
            "FailedGetObjectMetric",
            "unable to get metric hits: gone on Ingress default/main",
            "failed to get object metric value: failed to get hits object metric: ",
        ),
        (EXTERNAL, None, "InvalidMetricSourceType", 'unknown metric source type "External"', ""),
    ],
)
def test_what_cannot_be_had(metric: Object, answer: Any, reason: str, message: str, error: str) -> None:
    found = judged([metric], [answer])
    whole = f"invalid metrics (1 invalid out of 1), first error is: {error}{message}"
    assert (found.failed, found.rescale, found.error) == (True, False, whole)
    assert found.events == (Warned(reason, message), Warned("FailedComputeMetricsReplicas", whole))
    text = f"the HPA was unable to compute the replica count: {message}"
    assert found.conditions == (condition("ScalingActive", "False", reason, text),)


def test_the_biggest_of_several_counts() -> None:
    found = judged([RESOURCE, VALUE], [usages(500, 500), 200_000])
    assert (found.replicas, found.reason) == (4, "Ingress metric hits above target")


def test_one_that_is_missing_holds_back_only_scaling_down() -> None:
    up = judged([RESOURCE, VALUE], [GONE, 200_000])
    assert (up.failed, up.replicas) == (False, 4)
    assert up.error.startswith("invalid metrics (1 invalid out of 2), first error is: ")
    assert up.metrics is not None
    assert up.metrics[0] == {"type": ""}
    assert [event.reason for event in up.events] == ["FailedGetResourceMetric"]
    down = judged([RESOURCE, VALUE], [GONE, 20_000], replicas=4)
    assert (down.failed, down.replicas) == (True, 4)


def test_below_the_target() -> None:
    found = judged([RESOURCE], [usages(100, 100, 100, 100)], replicas=4)
    assert (found.replicas, found.rescale, found.reason) == (1, True, "All metrics below target")
    same = judged([RESOURCE], [usages(500, 500)])
    assert (same.replicas, same.rescale, same.reason) == (2, False, "")


@pytest.mark.parametrize(
    ("current", "in_clusters", "replicas", "reason"),
    [
        (12, 12, 10, "Current number of replicas above Spec.MaxReplicas"),
        (1, 1, 2, "Current number of replicas below Spec.MinReplicas"),
        (0, 4, 2, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_bounds_come_first(current: int, in_clusters: int, replicas: int, reason: str) -> None:
    found = without_metrics({"minReplicas": 2, "maxReplicas": 10}, current, in_clusters)
    assert found is not None
    assert (found.replicas, found.rescale, found.reason) == (replicas, True, reason)


def test_what_is_scaled_to_zero_is_left_alone() -> None:
    found = without_metrics({"maxReplicas": 10}, 0, 0)
    assert found is not None
    assert not found.rescale
    text = "scaling is disabled since the replica count of the target is zero"
    assert found.conditions == (condition("ScalingActive", "False", "ScalingDisabled", text),)
    assert without_metrics({"maxReplicas": 10}, 3, 3) is None


def test_two_that_select_the_same_pods() -> None:
    found = ambiguous("app=web", [("b", "default"), ("a", "default")], 3)
    text = "pods by selector app=web are controlled by multiple HPAs: [{a default} {b default}]"
    assert (found.failed, found.error) == (True, text)
    assert found.conditions == (condition("ScalingActive", "False", "AmbiguousSelector", text),)


def test_the_status() -> None:
    first = status_after({}, judged([RESOURCE], [usages(800, 800)]), 2, (), "2026-11-30T12:00:00Z", NOW)
    assert first["desiredReplicas"] == 4
    assert first["currentReplicas"] == 2
    assert first["lastScaleTime"] == "2026-11-30T12:00:00Z"
    assert [each["type"] for each in first["conditions"]] == ["ScalingActive", "AbleToScale", "ScalingLimited"]
    failed = status_after(first, judged([RESOURCE], [GONE]), 4, (), "", NOW + 60)
    kept = ("desiredReplicas", "currentMetrics", "lastScaleTime")
    assert {name: failed[name] for name in kept} == {name: first[name] for name in kept}
    assert failed["currentReplicas"] == 4
    moved = [
        before["lastTransitionTime"] != after["lastTransitionTime"]
        for before, after in zip(first["conditions"], failed["conditions"], strict=True)
    ]
    assert moved == [True, False, False]
    assert status_after({}, Verdict(0, failed=True), 0, (), "", NOW) == {"desiredReplicas": 0}


def test_a_pod_is_reduced_to_what_counts() -> None:
    obj = {
        "metadata": {"name": "a", "labels": {"app": "web"}, "deletionTimestamp": "2026-11-30T12:00:00Z"},
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "0.5", "memory": "1Ki"}}}, {"name": "d"}]
        },
        "status": {
            "phase": "Running",
            "startTime": "1970-01-01T00:00:10Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:20Z"}],
        },
    }
    asks = (("c", (("cpu", 500), ("memory", 1_024_000))), ("d", ()))
    assert pod_of(obj) == Pod("a", {"app": "web"}, "Running", True, 10.0, "True", 20.0, asks)
    assert pod_of({"metadata": {"name": "a"}}) == Pod("a", {}, "", False, None, "", 0.0, ())
    for wrong in ({"labels": {"a": 1}}, {"labels": "x"}):
        with pytest.raises((TypeError, AttributeError)):
            pod_of({"metadata": {"name": "a", **wrong}})
