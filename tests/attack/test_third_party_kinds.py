"""Objects of kinds that nobody vouches for: any field may hold anything, here and in what members report. It is said where users
look, and nothing else is delayed."""

from __future__ import annotations

import contextlib
import copy
import re
import sys
from types import FrameType
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object
from kafila.placement.interpreter import NATIVE, InterpretError, Operation, native
from kafila.placement.interpreter.thirdparty.calls import answering
from kafila.placement.interpreter.thirdparty.table import THIRD_PARTY
from tests.integration.reconcile import third_party as parties
from tests.integration.reconcile.conftest import Lab
from tests.integration.reconcile.conftest import lab as _lab

lab = _lab
KINDS = sorted(THIRD_PARTY)
ROWS = [(kind, operation) for operation in Operation for kind in answering(THIRD_PARTY, operation)]
# fields that some kind reads, so that what is odd is found where somebody looks
FIELDS = re.findall(
    r"\w+",
    """
replicas template spec metadata labels annotations generation observedGeneration conditions type status reason message
parallelism active succeeded failed desired phase state name namespace containers initContainers env envFrom valueFrom
configMapKeyRef secretKeyRef configMapRef secretRef volumes configMap secret secretName projected sources nodeSelector
tolerations affinity nodeAffinity resources requests limits cpu memory priorityClassName suspend jobTemplate
broadcastJobTemplate tasks minAvailable taskStatusCount controlledResources runningDuration version jobManager
taskManager resource podTemplate flinkConfiguration job jobStatus error verify chart valuesFrom kind kubeConfig
decryption artifact failures rulecount ready autogen mpiReplicaSpecs pytorchReplicaSpecs tfReplicaSpecs Master Worker
Launcher replicaStatuses containerState running waiting terminated startedAt exitCode headGroupSpec workerGroupSpecs
groupName rayClusterSpec rayClusterConfig submitterPodTemplate desiredCPU desiredGPU activeServiceStatus
applicationStatuses lastUpdateTime lastTransitionTime startTime completionTime driver executor instances
memoryOverhead gpu quantity dynamicAllocation enabled applicationState executorState volumeClaimTemplates
imagePullSecrets serviceAccountName
""",
)
SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        2**63 - 1,
        -(2**63),
        0.5,
        1e308,
        -1e308,
        "",
        "7",
        "1e999",
        "x",
        "True",
        "Ready",
        "Failed",
        "1Gi",
        "Java",
    ]
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=40,
)


def _text(row: GroupVersionKind) -> str:
    return "/".join(row)


def of(kind: str, spec: Any, status: Any) -> Object:
    group, version, name = kind.split("/")
    found = parties.object_of(f"{group}/{version}" if group else version, name, spec)
    found["metadata"] |= {"generation": 1, "uid": "u"}
    return {**found, "status": status} if status is not None else found


def ask(operation: Operation, obj: Object, other: Object, items: list[Object]) -> Any:
    match operation:
        case Operation.REPLICA:
            return NATIVE.get_replicas(obj)
        case Operation.COMPONENT:
            return NATIVE.get_components(obj)
        case Operation.REVISE_REPLICA:
            return NATIVE.revise_replica(obj, 3)
        case Operation.RETAIN:
            return NATIVE.retain(obj, other)
        case Operation.AGGREGATE_STATUS:
            return NATIVE.aggregate_status(obj, items)  # type: ignore[arg-type]
        case Operation.REFLECT_STATUS:
            return NATIVE.reflect_status(obj)
        case Operation.HEALTH:
            return NATIVE.interpret_health(obj)
        case Operation.DEPENDENCY:
            return NATIVE.get_dependencies(obj)


@pytest.mark.parametrize("operation", list(Operation))
def test_whatever_is_stored_is_answered_or_refused(operation: Operation) -> None:
    kinds = [kind for kind, each in ROWS if each is operation]

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(kinds), ANYTHING, ANYTHING, ANYTHING, st.lists(ANYTHING, max_size=3))
    def try_all(kind: str, spec: Any, status: Any, other: Any, reported: list[Any]) -> None:
        items = [{"clusterName": f"m{index}", "status": each} for index, each in enumerate(reported)]
        obj, observed = of(kind, spec, status), of(kind, other, other)
        before = copy.deepcopy((obj, observed, items))
        with contextlib.suppress(InterpretError):
            orjson.dumps(ask(operation, obj, observed, items))  # it can be stored
        assert (obj, observed, items) == before

    try_all()


NATIVE_ROWS = [(row, each) for each in Operation for row in native._HOOKS[each] if (_text(row), each) not in set(ROWS)]


@pytest.mark.parametrize("operation", [each for each in Operation if each is not Operation.COMPONENT])
def test_neither_is_what_members_report_of_kubernetes_kinds(operation: Operation) -> None:
    """Who writes to our API is checked; a member's API server may be anybody's, and a policy may override a field."""
    kinds = [_text(row) for row, each in NATIVE_ROWS if each is operation]

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(kinds), ANYTHING, ANYTHING, st.lists(ANYTHING, min_size=1, max_size=3))
    def try_all(kind: str, spec: Any, status: Any, reported: list[Any]) -> None:
        items = [{"clusterName": f"m{index}", "status": each} for index, each in enumerate(reported)]
        with contextlib.suppress(InterpretError):
            orjson.dumps(ask(operation, of(kind, spec, status), of(kind, status, spec), items))

    try_all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_deep_or_huge_is_refused(kind: str) -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = {"status": deep}
    many = [{"clusterName": f"m{index}", "status": {"replicas": 2**63 - 1}} for index in range(9)]
    for operation in [each for row, each in ROWS if row == kind]:
        with pytest.raises(InterpretError, match="deeper"):
            ask(operation, of(kind, deep, deep), of(kind, deep, deep), [{"clusterName": "m", "status": deep}])
        with contextlib.suppress(InterpretError):
            orjson.dumps(ask(operation, of(kind, {}, {}), of(kind, {}, {}), many))


def steps(kind: str, size: int) -> int:
    """Lines of code that all operations of the kind take for an object and statuses with lists and maps of this size."""
    names = [f"n{index}" for index in range(size)]
    conditions = [{"type": n, "status": "False", "reason": n, "message": n, "lastTransitionTime": n} for n in names]
    pod = {
        "containers": [{"name": n, "envFrom": [{"configMapRef": {"name": n}}]} for n in names],
        "volumes": [{"name": n, "secret": {"secretName": n, "name": n}} for n in names],
    }
    groups = [{"groupName": n, "name": n, "replicas": 1, "template": {"spec": {}}} for n in names]
    cluster = {"headGroupSpec": {"template": {"spec": pod}}, "workerGroupSpecs": groups}
    roles = {n: {"template": {"spec": pod if n == "n0" else {}}} for n in (*names, "Worker", "Master")}
    spec = {
        **pod,
        "type": "Java",
        "replicas": 3,
        "template": {"spec": pod, "jobTemplate": {"spec": {"template": {"spec": pod}}}},
        "tasks": groups,
        "valuesFrom": [{"kind": "Secret", "name": n} for n in names],
        **dict.fromkeys(("rayClusterSpec", "rayClusterConfig"), cluster),
        **dict.fromkeys(("mpiReplicaSpecs", "tfReplicaSpecs", "pytorchReplicaSpecs"), roles),
        "headGroupSpec": cluster["headGroupSpec"],
        "workerGroupSpecs": groups,
    }
    status = {
        "conditions": conditions,
        "active": [{"name": n} for n in names] if kind.endswith("AdvancedCronJob") else 1,
        "taskStatusCount": {n: {"phase": {"Running": 1}} for n in names},
        "controlledResources": dict.fromkeys(names, "x"),
        "executorState": dict.fromkeys(names, "x"),
        "replicaStatuses": {n: {"active": 1} for n in names},
        "activeServiceStatus": {"applicationStatuses": {n: {"status": "RUNNING"} for n in names}},
        "containerState": {"running": {}},
    }
    items = [{"clusterName": cluster_name, "status": status} for cluster_name in ("a", "b", "c")]
    taken = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal taken
        taken += event == "line"
        return count

    obj = of(kind, spec, status)
    before = sys.gettrace()
    sys.settrace(count)
    try:
        for operation in [each for row, each in ROWS if row == kind]:
            with contextlib.suppress(InterpretError):
                ask(operation, obj, obj, items)
    finally:
        sys.settrace(before)
    return taken


@pytest.mark.parametrize("kind", KINDS)
def test_four_times_as_much_takes_four_times_as_long(kind: str) -> None:
    few, many = steps(kind, 10), steps(kind, 40)
    assert many < 5 * few


# -- in a federation -----------------------------------------------------------------------------------------------------

CLONE_SET = ("apps.kruise.io/v1alpha1", "CloneSet")


def clone_set(name: str, spec: Any) -> Object:
    return parties.object_of(*CLONE_SET, spec, name)


async def test_it_is_said_and_nothing_else_waits(lab: Lab) -> None:
    await lab.join("m1")
    await parties.know(lab, *CLONE_SET)
    api_version, kind = CLONE_SET
    await lab.create(lab.policy(select=[{"apiVersion": api_version, "kind": kind}]))
    good = {"replicas": 1, "template": {"spec": {}}}
    await parties.create(lab, clone_set("many", {**good, "replicas": {"some": "more"}}))
    await parties.create(lab, clone_set("pods", {**good, "template": {"spec": {"containers": "all"}}}))
    await parties.create(lab, clone_set("fine", good))
    fine = clone_set("fine", good)
    await lab.until(lambda: parties.stored(lab.members["m1"].registry, fine), "the one that is right is in the member")
    for name in ("many", "pods"):
        await lab.until(lambda name=name: "GetReplicasFailed" in reasons(lab, name), f"{name} is said to be wrong")
        assert not parties.stored(lab.members["m1"].registry, clone_set(name, {}))

    await parties.write_status(lab, "m1", fine, {"replicas": [1], "observedGeneration": {}})
    await lab.until(lambda: "AggregateStatusFailed" in reasons(lab, "fine"), "its status is said to be wrong")
    await parties.write_status(lab, "m1", fine, 5)
    await lab.until(lambda: "ReflectStatusFailed" in work_reasons(lab), "its status is said to be no status")

    good_status = {"replicas": 1, "availableReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1}
    await parties.write_status(lab, "m1", fine, good_status)
    await lab.until(lambda: (parties.stored(lab.registry, fine).get("status") or {}).get("replicas") == 1, "it goes on")


def reasons(lab: Lab, name: str) -> set[str]:
    return {reason for _, reason, _, _ in lab.events("CloneSet", name)}


def work_reasons(lab: Lab) -> set[str]:
    (work,) = lab.list("Work")
    return {reason for _, reason, _, _ in lab.events("Work", work["metadata"]["name"])}
