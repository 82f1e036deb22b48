"""What users, members and metrics servers may try with autoscalers: nobody else waits, and nothing is scaled by nonsense."""

from __future__ import annotations

import contextlib
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.behavior import Bounds, History, normalized
from kafila.autoscaling.calculator import (
    Workload,
    by_average,
    by_utilization,
    by_value,
    by_value_for_each,
)
from kafila.autoscaling.cron import LONGEST, ScheduleError, parse
from kafila.autoscaling.metrics import PodMetric, milli
from kafila.autoscaling.pods import Pod, Tuning, pod_of
from kafila.autoscaling.podset import CannotCompute, PodSet
from kafila.autoscaling.sources import Computed, Failed, computed
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.cronfederatedhpa.controller import MOST_RULES, CronFederatedHPAs
from kafila.reconcile.karmada.federatedhpa.contenders import FEDERATED, SHOWN, Contenders, Target
from kafila.registry import Options, Registry
from kafila.registry.decoding import decode_object

NOW = 1_000_000.0
USER = Options(manager="tester")
HUGE = 10**30


def pods(count: int, request: int = 1000) -> list[Pod]:
    asks = (("c", (("cpu", request),)),)
    return [Pod(f"p{i}", {}, "Running", False, NOW - 3600, "True", NOW - 3500, asks) for i in range(count)]


@given(
    st.lists(st.integers(-HUGE, HUGE), min_size=1, max_size=5),
    st.integers(1, 2**31 - 1),
    st.integers(0, HUGE),
    st.sampled_from([0.0, 0.001, 1.0, 1e6]),
)
def test_no_number_that_a_member_makes_up_scales_beyond_the_bounds(
    values: list[int], target: int, request: int, calibration: float
) -> None:
    """Numbers that overflow everything: a proposal or a reason, and never more than the autoscaler allows."""
    samples = {f"p{i}": PodMetric(value, NOW, 60) for i, value in enumerate(values)}
    workload = Workload(3, 3, calibration, PodSet(pods(len(values), request)))
    try:
        proposed = by_utilization(samples, workload, target, "cpu", "", Tuning(), NOW).replicas
    except CannotCompute:
        return
    assert 0 <= proposed < 2**31
    for behavior in (None, {"scaleUp": FAST, "scaleDown": FAST}):
        found = normalized(behavior, History(), 3, proposed, Bounds(2, 5), 300, NOW)
        assert 2 <= found.replicas <= 5


amounts = st.builds("{}e{}".format, st.integers(-9, 9), st.integers(-9, 4000))


@given(
    st.lists(amounts, min_size=1, max_size=3),
    st.lists(amounts, min_size=1, max_size=4),
    st.sampled_from(["Utilization", "AverageValue", "Pods", "Value", "Each"]),
)
def test_whatever_amounts_members_tell_a_number_or_a_reason_comes_of_it(
    values: list[str], requests: list[str], how: str
) -> None:
    """Amounts of thousands of digits, of metrics and of what pods ask for: some pods are without a sample."""
    asking = [pod_of(asking_for(f"p{i}", amount)) for i, amount in enumerate(requests)]
    workload = Workload(3, 3, 1.0, PodSet(asking))
    samples = {f"p{i}": PodMetric(milli(amount), NOW, 60) for i, amount in enumerate(values)}
    with contextlib.suppress(CannotCompute):
        match how:
            case "Utilization":
                found = by_utilization(samples, workload, 50, "cpu", "", Tuning(), NOW)
            case "AverageValue":
                found = by_average(samples, workload, 1, "cpu", Tuning(), NOW)
            case "Pods":
                found = by_average(samples, workload, 1, "", Tuning(), NOW)
            case "Value":
                found = by_value(milli(values[0]), workload, 1, Tuning())
            case _:
                found = by_value_for_each(milli(values[0]), workload, 1, Tuning())
        assert 0 <= found.replicas < 2**31


def asking_for(name: str, amount: str) -> Object:
    containers = [{"name": "c", "resources": {"requests": {"cpu": amount}}}]
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name}, "spec": {"containers": containers}, "status": status}


FAST = {"policies": [{"type": "Percent", "value": 2**31 - 1, "periodSeconds": 1}], "stabilizationWindowSeconds": 0}


def test_a_metric_of_nothing_scales_nothing() -> None:
    target = {"type": "Utilization", "averageUtilization": 50}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    found = computed(metric, [], Workload(3, 3, 1.0, PodSet(pods(3))), Tuning(), "default", NOW)
    assert isinstance(found, Failed)
    assert not isinstance(found, Computed)


@pytest.mark.parametrize("text", ["*/1," * (LONGEST // 4), "0-59," * 166 + "0", "," * 900])
def test_schedules_of_many_parts(text: str) -> None:
    with contextlib.suppress(ScheduleError):
        parse(f"{text[: LONGEST - 10]} * * * *").next_after(NOW, UTC)
    with pytest.raises(ScheduleError):
        parse(f"{text * 10} * * * *")


def cron(rules: list[Object], name: str = "many") -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling.karmada.io/v1alpha1",
        "kind": "CronFederatedHPA",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"scaleTargetRef": target, "rules": rules},
    }


async def test_of_very_many_rules_only_some_are_followed(registry: Registry) -> None:
    controller = CronFederatedHPAs(registry, Recorder(registry))
    await controller.start()
    try:
        rules = [{"name": f"r{i}", "schedule": "0 0 31 2 *", "targetReplicas": 1} for i in range(MOST_RULES + 100)]
        kind = registry.kind("autoscaling.karmada.io", "v1alpha1", "cronfederatedhpas")
        await registry.create(kind, "default", decode_object(kind, cron(rules), USER), USER)
        await controller.queue.idle()
        histories = registry.object(kind, "default", "many")["status"]["executionHistories"]
        assert len(histories) == MOST_RULES
    finally:
        await controller.stop()


async def test_very_many_autoscalers_of_one_workload(registry: Registry) -> None:
    """They are told of in few words, and one more makes not all of them be looked at again."""
    changed: list[Target] = []
    contenders = Contenders(registry, changed.append)
    kind = registry.kind("autoscaling.karmada.io", "v1alpha1", "federatedhpas")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    for number in range(3 * SHOWN):
        obj: Any = {
            "apiVersion": "autoscaling.karmada.io/v1alpha1",
            "kind": "FederatedHPA",
            "metadata": {"name": f"a{number:03}", "namespace": "default"},
            "spec": {"scaleTargetRef": reference, "maxReplicas": 3},
        }
        await registry.create(kind, "default", decode_object(kind, obj, USER), USER)
    target = Target("default", "apps", "Deployment", "web")
    assert len(contenders.of(target)) == 3 * SHOWN
    assert len(changed) == SHOWN + 1
    told = contenders.rivals(Key(FEDERATED, "default", "a000"), target)
    assert told.count("FederatedHPA") == SHOWN


async def test_a_reference_that_is_none_breaks_nothing(registry: Registry) -> None:
    contenders = Contenders(registry, lambda target: None)
    kind = registry.kind("autoscaling.karmada.io", "v1alpha1", "federatedhpas")
    obj: Any = {
        "apiVersion": "autoscaling.karmada.io/v1alpha1",
        "kind": "FederatedHPA",
        "metadata": {"name": "odd", "namespace": "default"},
        "spec": {"scaleTargetRef": {"apiVersion": "a/b/c", "kind": "X", "name": "y"}, "maxReplicas": 3},
    }
    await registry.create(kind, "default", decode_object(kind, obj, USER), USER)
    assert contenders.of(Target("default", "a", "X", "y"))
