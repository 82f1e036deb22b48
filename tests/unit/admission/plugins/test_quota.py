"""ResourceQuota: what objects use, what a quota bounds, what is refused. Messages are compared in tests/differential."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.admission.plugins.quota.check import Exceeded, charged
from kafila.admission.plugins.quota.evaluators import evaluator_of, resources_of
from kafila.admission.plugins.quota.recount import is_only_counted, status_of
from kafila.core.quantity import from_int, of
from kafila.core.values import Object

NOW = 1_700_000_000.0


def pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


def container(name: str = "c", requests: Object | None = None, limits: Object | None = None, **more: Any) -> Object:
    return {"name": name, "resources": {"requests": requests or {}, "limits": limits or {}}, **more}


def quota(hard: Object, used: Object | None = None, **spec: Any) -> Object:
    status = {"hard": hard, "used": dict.fromkeys(hard, "0") if used is None else used}
    return {"metadata": {"name": "q", "namespace": "ns"}, "spec": {"hard": hard, **spec}, "status": status}


def usage(resource: str, obj: Object) -> dict[str, str]:
    evaluator = evaluator_of(resource)
    assert evaluator is not None
    return {name: str(amount) for name, amount in evaluator.usage(obj, NOW).items()}


@pytest.mark.parametrize(
    ("resource", "obj", "used"),
    [
        ("pods", pod(containers=[container()]), {"count/pods": "1", "pods": "1"}),
        (
            "pods",
            pod(
                containers=[container("a", {"cpu": "1", "hugepages-2Mi": "4Mi"}), container("b", {"cpu": "500m"})],
                initContainers=[
                    container("i", {"cpu": "2"}),
                    container("s", {"cpu": "100m"}, restartPolicy="Always"),
                    container("j", {"cpu": "1800m"}),
                ],
                overhead={"cpu": "10m"},
            ),
            {
                "count/pods": "1",
                "pods": "1",
                "cpu": "2010m",
                "requests.cpu": "2010m",
                "hugepages-2Mi": "4Mi",
                "requests.hugepages-2Mi": "4Mi",
            },
        ),
        (
            "pods",
            pod(containers=[container(limits={"memory": "1Gi", "a.b/c": "2"}, requests={"a.b/c": "2"})]),
            {"count/pods": "1", "pods": "1", "limits.memory": "1Gi", "requests.a.b/c": "2"},
        ),
        ("pods", {**pod(containers=[container()]), "status": {"phase": "Succeeded"}}, {"count/pods": "1"}),
        (
            "services",
            {"spec": {"type": "LoadBalancer", "ports": [{}, {}]}},
            {"count/services": "1", "services": "1", "services.loadbalancers": "1", "services.nodeports": "2"},
        ),
        ("secrets", {}, {"count/secrets": "1", "secrets": "1"}),
        ("widgets.example.com", {}, {"count/widgets.example.com": "1"}),
        (
            "resourceclaims.resource.k8s.io",
            {
                "spec": {
                    "devices": {
                        "requests": [
                            {"exactly": {"deviceClassName": "g", "allocationMode": "ExactCount", "count": 2}},
                            {
                                "firstAvailable": [
                                    {"deviceClassName": "g", "allocationMode": "ExactCount", "count": 1},
                                    {"deviceClassName": "h", "allocationMode": "All"},
                                ]
                            },
                        ]
                    }
                }
            },
            {
                "count/resourceclaims.resource.k8s.io": "1",
                "g.deviceclass.resource.k8s.io/devices": "3",
                "h.deviceclass.resource.k8s.io/devices": "32",
            },
        ),
    ],
)
def test_what_is_used(resource: str, obj: Object, used: dict[str, str]) -> None:
    assert usage(resource, obj) == used


def test_a_pod_that_should_have_ended_uses_only_its_place() -> None:
    gone = pod(containers=[container(requests={"cpu": "1"})])
    gone["metadata"] |= {"deletionTimestamp": "2023-11-14T22:00:00Z", "deletionGracePeriodSeconds": 30}
    assert usage("pods", gone) == {"count/pods": "1"}


def test_events_are_not_counted() -> None:
    assert evaluator_of("events") is None
    assert resources_of(["count/events", "count/widgets.example.com", "pods"]) == ["pods", "widgets.example.com"]


def refused(given: Object, resource: str, new: Object, old: Object | None = None, subresource: str = "") -> str:
    evaluator = evaluator_of(resource)
    assert evaluator is not None
    try:
        charged([given], evaluator, new, old, subresource, NOW)
    except Exceeded as exceeded:
        return str(exceeded)
    return ""


def test_a_quota_without_a_status_bounds_nothing_yet() -> None:
    new = {"metadata": {"name": "q"}, "spec": {"hard": {"secrets": "0"}}}
    assert refused(new, "secrets", {"metadata": {"name": "s"}}) == ""
    assert refused(quota({"secrets": "1"}, {}), "secrets", {}) == "status unknown for quota: q, resources: secrets"


@pytest.mark.parametrize(
    ("scopes", "new", "bounded"),
    [
        (["Terminating"], pod(activeDeadlineSeconds=1), True),
        (["Terminating"], pod(), False),
        (["NotTerminating"], pod(), True),
        (["BestEffort"], pod(containers=[container()]), True),
        (["NotBestEffort"], pod(containers=[container(requests={"cpu": "1"})]), True),
        (["BestEffort", "Terminating"], pod(containers=[container()]), False),
        (["PriorityClass"], pod(priorityClassName="high"), True),
        (["PriorityClass"], pod(), False),
        (
            ["CrossNamespacePodAffinity"],
            pod(
                affinity={
                    "podAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {"namespaces": ["a"]}}]
                    }
                }
            ),
            True,
        ),
    ],
)
def test_scopes(scopes: list[str], new: Object, bounded: bool) -> None:
    assert bool(refused(quota({"pods": "0"}, scopes=scopes), "pods", new)) is bounded


@pytest.mark.parametrize(
    ("operator", "values", "named", "unnamed"),
    [
        ("In", ["a"], True, False),
        ("NotIn", ["a"], False, True),
        ("Exists", [], True, False),
        ("DoesNotExist", [], False, True),
    ],
)
def test_scope_selectors(operator: str, values: list[str], named: bool, unnamed: bool) -> None:
    term = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    given = quota({"pods": "0"}, scopeSelector={"matchExpressions": [term]})
    assert bool(refused(given, "pods", pod(priorityClassName="a"))) is named
    assert bool(refused(given, "pods", pod())) is unnamed


SIZES = st.lists(st.integers(0, 5), max_size=20)


@given(st.integers(0, 12), SIZES)
def test_no_more_is_let_through_than_there_is(hard: int, sizes: list[int]) -> None:
    evaluator = evaluator_of("pods")
    assert evaluator is not None
    there, used = [], quota({"requests.cpu": str(hard)})
    for size in sizes:
        new = pod(containers=[container(requests={"cpu": str(size)})])
        try:
            found = charged([used], evaluator, new, None, "", NOW)
        except Exceeded:
            assert sum(there) + size > hard
            continue
        there.append(size)
        for _, amounts in found:
            used = quota({"requests.cpu": str(hard)}, {name: str(amount) for name, amount in amounts.items()})
    assert of(used["status"]["used"]["requests.cpu"]) == from_int(sum(there)) <= from_int(hard)


class Stored:
    def __init__(self, obj: Object) -> None:
        self.decode = lambda: obj


@given(SIZES)
def test_counting_again_finds_what_was_charged(sizes: list[int]) -> None:
    pods = [Stored(pod(containers=[container(requests={"cpu": str(size)})])) for size in sizes]
    given = quota({"requests.cpu": "5", "secrets": "1", "unheard.of": "1"}, {"unheard.of": "7"})
    assert is_only_counted(given, "secrets")
    assert not is_only_counted(given, "pods")
    status = status_of(given, {"pods": pods, "secrets": 3}, NOW)
    assert status["hard"] == given["spec"]["hard"]
    assert status["used"] == {"requests.cpu": str(sum(sizes)), "secrets": "3", "unheard.of": "7"}
