"""Who is asked, what the answers are worth, and how decisions get them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object
from kafila.placement.interpreter import NATIVE, InterpretError, Operation, scripts
from kafila.placement.interpreter.customized import CustomizedInterpreter, Unanswered
from kafila.placement.interpreter.kube import library
from kafila.placement.interpreter.sources import Hook, Script, Sources, concerns

DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
WEB: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default", "uid": "u"},
    "spec": {"replicas": 2, "selector": {}},
}


def customization(name: str, **rules: str) -> Object:
    return {
        "kind": "ResourceInterpreterCustomization",
        "metadata": {"name": name},
        "spec": {
            "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
            "customizations": {field: {"luaScript": script} for field, script in rules.items()},
        },
    }


def configuration(name: str, *webhooks: tuple[str, list[str], list[str]]) -> Object:
    return {
        "kind": "ResourceInterpreterWebhookConfiguration",
        "metadata": {"name": name, "resourceVersion": "7"},
        "webhooks": [
            {
                "name": hook,
                "rules": [{"operations": operations, "apiGroups": ["apps"], "apiVersions": ["*"], "kinds": kinds}],
            }
            for hook, operations, kinds in webhooks
        ],
    }


def test_the_first_customization_by_name_counts_and_dependencies_add_up() -> None:
    found = Sources(
        [
            customization("b", retention="b", dependencyInterpretation="b"),
            customization("a", retention="a", dependencyInterpretation="a", statusReflection=""),
        ]
    )
    assert found.find(DEPLOYMENT, Operation.RETAIN) == (Script("a", Operation.RETAIN, "a"),)
    assert [s.text for s in found.find(DEPLOYMENT, Operation.DEPENDENCY) if isinstance(s, Script)] == ["a", "b"]
    assert found.find(DEPLOYMENT, Operation.REFLECT_STATUS) == ()
    assert found.find(GroupVersionKind("apps", "v1", "StatefulSet"), Operation.RETAIN) == ()


def test_a_script_comes_before_webhooks_and_these_go_by_configuration_and_name() -> None:
    found = Sources(
        [customization("a", retention="a")],
        [
            configuration("z", ("a.example", ["*"], ["*"])),
            configuration(
                "y", ("b.example", ["Retain", "InterpretHealth"], ["Deployment"]), ("a.example", ["*"], ["X"])
            ),
        ],
    )
    assert isinstance(found.find(DEPLOYMENT, Operation.RETAIN)[0], Script)
    assert found.find(DEPLOYMENT, Operation.HEALTH) == (Hook("y", "b.example", Operation.HEALTH, "7"),)
    assert found.find(DEPLOYMENT, Operation.REPLICA) == (Hook("z", "a.example", Operation.REPLICA, "7"),)
    assert found.find(GroupVersionKind("", "v1", "Pod"), Operation.REPLICA) == ()
    assert concerns(configuration("y", ("a.example", ["*"], ["X"])), DEPLOYMENT) is False
    assert concerns(customization("a"), DEPLOYMENT)
    with pytest.raises(InterpretError):
        Sources().hook(Hook("y", "b.example", Operation.HEALTH))


def test_a_decision_names_the_answers_it_needs() -> None:
    sources = Sources([customization("a", replicaResource="r", replicaRevision="v", healthInterpretation="h")])
    asking = CustomizedInterpreter(sources, {})
    assert asking.get_replicas(WEB) == (0, None)
    assert asking.revise_replica(WEB, 3) == WEB
    assert asking.interpret_health(WEB) is True
    assert [q.source.operation for q in asking.requests] == ["InterpretReplica", "ReviseReplica", "InterpretHealth"]
    assert asking.requests[1].arguments == (WEB, 3)
    with pytest.raises(Unanswered):
        CustomizedInterpreter(sources, {}, strict=True).get_replicas(WEB)
    revised = {**WEB, "spec": {"replicas": 3}}
    replies: list[Any] = [(7, {"resourceRequest": {"cpu": "1"}}), revised, InterpretError("no")]
    told = CustomizedInterpreter(sources, {q.key: reply for q, reply in zip(asking.requests, replies, strict=True)})
    assert told.get_replicas(WEB) == (7, {"resourceRequest": {"cpu": "1"}})
    assert told.revise_replica(WEB, 3) == revised
    with pytest.raises(InterpretError, match="no"):
        told.interpret_health(WEB)
    assert told.requests == []
    assert told.get_dependencies(WEB) is None  # the native one
    assert told.reflect_status({**WEB, "status": {"replicas": 1}}) == NATIVE.reflect_status(
        {**WEB, "status": {"replicas": 1}}
    )


def test_an_object_that_became_another_one_is_refused() -> None:
    sources = Sources([customization("a", replicaRevision="v")])
    asking = CustomizedInterpreter(sources, {})
    asking.revise_replica(WEB, 3)
    for lie, text in (
        ({**WEB, "kind": "Pod"}, "ReviseReplica must not change kind, and made it 'Pod'"),
        ({**WEB, "metadata": {**WEB["metadata"], "namespace": "kube-system"}},
         "ReviseReplica must not change metadata.namespace, and made it 'kube-system'"),
        ([], "ReviseReplica is [], no object"),
        ({**WEB, "metadata": 3}, "ReviseReplica: metadata is 3"),
    ):  # fmt: skip
        with pytest.raises(InterpretError) as refused:
            CustomizedInterpreter(sources, {asking.requests[0].key: lie}).revise_replica(WEB, 3)
        assert str(refused.value) == text


@pytest.mark.parametrize(
    ("operation", "results", "expected"),
    [
        ("InterpretReplica", [("number", 3), ("nil", None)], (3, None)),
        ("InterpretReplica", [("number", 3), ("table", [])], (3, {})),
        ("InterpretReplica", [("number", 3.7), ("nil", None)], (3, None)),
        ("InterpretReplica", [("nil", None), ("nil", None)], "result type nil is not number"),
        ("InterpretReplica", [("number", 2**40), ("nil", None)], "replicas is 1099511627776, no 32-bit integer"),
        ("InterpretReplica", [("number", 1), ("string", "x")], "expect the returned requires type is table but got string"),
        ("InterpretReplica",
         [("number", 1), ("table", {"resourceRequest": {"cpu": 0.5, "memory": "1024Mi"}, "nodeClaim": {"nodeSelector": {"a": "b"}}, "x": 1})],
         (1, {"nodeClaim": {"nodeSelector": {"a": "b"}}, "resourceRequest": {"cpu": "500m", "memory": "1Gi"}})),
        ("InterpretReplica", [("number", 1), ("table", {"resourceRequest": {"cpu": "x"}})], "replicaRequirements.resourceRequest[cpu]: "),
        ("InterpretComponent", [("nil", None)], []),
        ("InterpretComponent", [("table", [])], []),
        ("InterpretComponent", [("table", [{"name": "a", "replicas": 2, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}}])],
         [{"name": "a", "replicas": 2, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}}]),
        ("InterpretComponent", [("table", {"name": "a"})], "components is {'name': 'a'}, no list"),
        ("InterpretHealth", [("boolean", False)], False),
        ("InterpretHealth", [("number", 1)], "result type number is not bool"),
        ("InterpretStatus", [("table", [])], {}),
        ("InterpretStatus", [("table", [1])], "status is [1], no object"),
        ("InterpretStatus", [("nil", None)], "expect the returned replica type is table but got nil"),
        ("AggregateStatus", [("nil", None)], "expect the returned requires type is table but got nil"),
        ("ReviseReplica", [("table", {**WEB, "spec": {"replicas": 1, "selector": []}})], {**WEB, "spec": {"replicas": 1, "selector": {}}}),
        ("InterpretDependency", [("table", [])], []),
        ("InterpretDependency", [("table", [{"apiVersion": "v1", "kind": "Secret", "name": "s"}])],
         [{"apiVersion": "v1", "kind": "Secret", "name": "s"}]),
        ("InterpretDependency", [("table", [{"kind": "Secret", "name": "s"}])],
         'dependencies[0].apiVersion: Invalid value: "": missing required apiVersion'),
        ("InterpretDependency", [("table", [{"apiVersion": "v1", "kind": "Secret"}])],
         "dependency can not leave name and labelSelector all empty"),
        ("InterpretDependency", [("table", [{"apiVersion": "v1", "kind": "Secret", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}])],
         "dependencies[0].labelSelector: "),
    ],
)  # fmt: skip
def test_what_of_a_result_is_an_answer(operation: str, results: list[Any], expected: Any) -> None:
    if not isinstance(expected, str):
        assert scripts.answer_of(Operation(operation), (WEB, 1), results) == expected
        return
    with pytest.raises(InterpretError) as refused:
        scripts.answer_of(Operation(operation), (WEB, 1), results)
    assert expected in str(refused.value)


def test_the_library_kube() -> None:
    kube = library()
    assert kube["resourceAdd"]("1", None, "500m") == "1500m"
    assert kube["resourceAdd"]() == "0"
    assert kube["getResourceQuantity"]("1500m") == 1.5
    assert kube["getResourceQuantity"](None) == 0
    template = {
        "spec": {
            "containers": [{"resources": {"limits": {"cpu": "1"}}, "envFrom": [{"secretRef": {"name": "s"}}]}],
            "volumes": [],
        }
    }
    assert kube["accuratePodRequirements"](template) == {"resourceRequest": {"cpu": "1"}}
    assert kube["accuratePodRequirements"]([]) is None
    reference = {"apiVersion": "v1", "kind": "Secret", "namespace": "default", "name": "s"}
    assert kube["getPodDependencies"](template, None) == [reference]
    assert kube["getPodDependencies"]([], "n") is None
    for called, arguments, text in (
        ("resourceAdd", (1,), "bad argument #1 (string expected, got number)"),
        ("resourceAdd", ("1", "x"), "quantities must match the regular expression"),
        ("getResourceQuantity", ("-1",), "negative value"),
        ("getResourceQuantity", (), "getResourceQuantity only accepts one argument"),
        ("accuratePodRequirements", (None,), "bad argument #1 (table expected, got nil)"),
        ("accuratePodRequirements", ({"spec": 1},), "fail to convert lua value to PodTemplateSpec"),
        ("getPodDependencies", ({},), "getPodDependencies only accepts two argument"),
        ("getPodDependencies", ({}, True), "bad argument #2 (string expected, got boolean)"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=re.escape(text)):
            kube[called](*arguments)
