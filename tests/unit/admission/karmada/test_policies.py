"""Rules of propagation and override policies, as a client meets them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kafila.admission.karmada import admit, mutate
from kafila.catalog.karmada.kinds import kinds
from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.feature_gates import DEFAULT_GATES as GATES
from kafila.core.values import Object
from kafila.registry import SYSTEM_ADMIN

KINDS: dict[str, Kind] = {kind.kind: kind for kind in reversed(kinds())}
PP, CPP = KINDS["PropagationPolicy"], KINDS["ClusterPropagationPolicy"]
LABEL = "propagationpolicy.karmada.io/permanent-id"


def create(kind: Kind, obj: Object) -> Object:
    """Defaults, mutates, validates and admits, in the registry's order."""
    obj = copy.deepcopy(obj)
    kind.strategy.default(obj)
    mutate(kind, "CREATE", obj, None, None, GATES)
    assert kind.strategy.validate(obj) == []
    admit(kind, "CREATE", obj, None, SYSTEM_ADMIN, GATES)
    return obj


def refusal(kind: Kind, obj: Object, old: Object | None = None, operation: str = "CREATE") -> str:
    obj = copy.deepcopy(obj)
    kind.strategy.default(obj)
    mutate(kind, operation, obj, old, None, GATES)
    with pytest.raises(StatusError) as error:
        admit(kind, operation, obj, old, SYSTEM_ADMIN, GATES)
    assert (error.value.code, error.value.reason) == (403, "Forbidden")
    webhook = kind.kind.lower()
    start = f'admission webhook "{webhook}.karmada.io" denied the request: '
    assert error.value.message.startswith(start)
    return error.value.message.removeprefix(start)


def policy(**spec: Any) -> Object:
    selector = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nginx"}
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": {"resourceSelectors": [selector], **spec}}


def placement(**fields: Any) -> Object:
    return policy(placement=fields)


def cluster_policy(**spec: Any) -> Object:
    obj = policy(**spec)
    del obj["metadata"]["namespace"]
    return obj


def test_creating_a_policy_fills_in_what_karmada_fills_in() -> None:
    obj = create(
        PP,
        policy(
            placement={"spreadConstraints": [{}], "replicaScheduling": {"replicaSchedulingType": "Divided"}},
            failover={"application": {"decisionConditions": {}}},
            propagateDeps=True,
        ),
    )
    assert obj["spec"]["resourceSelectors"][0]["namespace"] == "default"
    assert obj["spec"]["placement"]["spreadConstraints"] == [{"spreadByField": "cluster", "minGroups": 1}]
    assert obj["spec"]["placement"]["replicaScheduling"]["replicaDivisionPreference"] == "Weighted"
    assert obj["spec"]["failover"]["application"]["gracePeriodSeconds"] == 600
    assert len(obj["metadata"]["labels"][LABEL]) == 36
    assert obj["metadata"]["finalizers"] == ["karmada.io/propagation-policy-controller"]


def test_a_copied_identity_is_replaced() -> None:
    copied = policy()
    copied["metadata"]["labels"] = {LABEL: "stolen", "app": "x"}
    labels = create(PP, copied)["metadata"]["labels"]
    assert labels[LABEL] != "stolen"
    assert labels["app"] == "x"


def test_cluster_policies_keep_selectors_of_all_namespaces() -> None:
    obj = create(CPP, cluster_policy())
    assert "namespace" not in obj["spec"]["resourceSelectors"][0]
    assert obj["metadata"]["finalizers"] == ["karmada.io/cluster-propagation-policy-controller"]
    assert "clusterpropagationpolicy.karmada.io/permanent-id" in obj["metadata"]["labels"]


def test_service_imports_take_their_dependencies_along() -> None:
    selector = {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport"}
    assert create(PP, policy(resourceSelectors=[selector]))["spec"]["propagateDeps"] is True


def failover(**fields: Any) -> Object:
    behaviour = {"application": {"decisionConditions": {}, **fields}}
    return policy(propagateDeps=True, failover=behaviour)


AGGREGATED = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}
STATIC = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}
PATH = "spec.placement"
NAME = {"affinityName": "main", "clusterNames": ["m1"]}


def overflowing(*names: str, scheduling: Object = AGGREGATED, **term: Any) -> Object:
    overflow = [{"affinityName": name, "clusterNames": ["m2"]} for name in names]
    return placement(
        clusterAffinities=[{**NAME, "overflowAffinities": overflow, **term}], replicaScheduling=dict(scheduling)
    )


REFUSALS = [
    (
        placement(clusterAffinity={}, clusterAffinities=[{"affinityName": "a"}]),
        f'{PATH}: Invalid value: {{"clusterAffinity":{{}},"clusterAffinities":[{{"affinityName":"a"}}]}}: '
        "clusterAffinities cannot co-exist with clusterAffinity",
    ),
    (
        overflowing("o", scheduling=STATIC),
        f"{PATH}.clusterAffinities[0].overflowAffinities: Invalid value: "
        '[{"affinityName":"o","clusterNames":["m2"]}]: '
        "overflowAffinities can only be used together with dynamic weight or aggregated scheduling",
    ),
    (
        overflowing("o", clusterNames=[]),
        f"{PATH}.clusterAffinities[0].overflowAffinities: Invalid value: "
        '[{"affinityName":"o","clusterNames":["m2"]}]: '
        "overflowAffinities can only be used together with the inline ClusterAffinity",
    ),
    (
        overflowing("main"),
        f'{PATH}.clusterAffinities[0].overflowAffinities[0].affinityName: Invalid value: "main": '
        "overflow affinity name must be unique and must not duplicate the primary group's affinityName",
    ),
    (
        placement(clusterAffinities=[NAME, NAME]),
        f"{PATH}.clusterAffinities: Invalid value: "
        '[{"affinityName":"main","clusterNames":["m1"]},{"affinityName":"main","clusterNames":["m1"]}]: '
        "each affinity term in a policy must have a unique name",
    ),
    (
        placement(clusterAffinity={"fieldSelector": {"matchExpressions": [{"key": "name", "operator": "In"}]}}),
        f"{PATH}.clusterAffinity.fieldSelector: Invalid value: "
        '{"matchExpressions":[{"key":"name","operator":"In"}]}: '
        'unsupported key "name", must be provider, region, or zone',
    ),
    (
        placement(clusterAffinity={"fieldSelector": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}),
        f"{PATH}.clusterAffinity.fieldSelector: Invalid value: "
        '{"matchExpressions":[{"key":"zone","operator":"Exists"}]}: '
        'unsupported operator "Exists", must be In or NotIn',
    ),
    (
        placement(spreadConstraints=[{"spreadByField": "cluster", "spreadByLabel": "l", "minGroups": 1}]),
        f"{PATH}.spreadConstraints[0]: Invalid value: "
        '{"spreadByField":"cluster","spreadByLabel":"l","minGroups":1}: '
        "spreadByLabel should not co-exist with spreadByField",
    ),
    (
        placement(spreadConstraints=[{"spreadByField": "cluster", "minGroups": -1}]),
        f'{PATH}.spreadConstraints[0]: Invalid value: {{"spreadByField":"cluster","minGroups":-1}}: '
        "minGroups lower than 0 is not allowed",
    ),
    (
        placement(spreadConstraints=[{"spreadByField": "cluster", "minGroups": 3, "maxGroups": 2}]),
        f'{PATH}.spreadConstraints[0]: Invalid value: {{"spreadByField":"cluster","maxGroups":2,"minGroups":3}}: '
        "maxGroups lower than minGroups is not allowed",
    ),
    (
        placement(spreadConstraints=[{"spreadByField": "cluster", "minGroups": 1}] * 3),
        f"{PATH}.spreadConstraints: Invalid value: "
        + "["
        + ",".join(['{"spreadByField":"cluster","minGroups":1}'] * 3)
        + "]: multiple cluster spread constraints are not allowed",
    ),
    (
        placement(spreadConstraints=[{"spreadByField": "region", "minGroups": 1}]),
        f'{PATH}.spreadConstraints: Invalid value: [{{"spreadByField":"region","minGroups":1}}]: '
        "the cluster spread constraint must be enabled in one of the constraints in case of SpreadByField is enabled",
    ),
    (
        placement(workloadAffinity={"affinity": {"groupByLabelKey": "a"}, "antiAffinity": {"groupByLabelKey": "a"}}),
        f"{PATH}.workloadAffinity: Invalid value: "
        '{"affinity":{"groupByLabelKey":"a"},"antiAffinity":{"groupByLabelKey":"a"}}: '
        "affinity and antiAffinity must not use the same groupByLabelKey",
    ),
    (
        placement(clusterTolerations=[{"key": "a", "operator": "Gt", "value": "1"}]),
        f'{PATH}.clusterTolerations[0].operator: Unsupported value: "Gt": supported values: "", "Exists", "Equal"',
    ),
    (
        policy(failover={"application": {"decisionConditions": {}}}),
        "spec.propagateDeps: Invalid value: false: application failover is set, propagateDeps must be true",
    ),
    (
        failover(decisionConditions={"tolerationSeconds": -1}),
        "spec.failover.application.decisionConditions.tolerationSeconds: Invalid value: -1: "
        "must be greater than or equal to 0",
    ),
    (
        failover(purgeMode="Directly", gracePeriodSeconds=10),
        "spec.failover.application.gracePeriodSeconds: Invalid value: 10: only takes effect when purgeMode is gracefully",
    ),
    (
        failover(gracePeriodSeconds=0),
        "spec.failover.application.gracePeriodSeconds: Invalid value: 0: must be greater than 0",
    ),
    (
        policy(resourceSelectors=[{"apiVersion": "v1", "kind": "Secret", "namespace": "other"}]),
        'spec.resourceSelectors[0].namespace: Invalid value: "other": '
        "namespace of resource selector must be the same as the namespace of the policy",
    ),
    (
        policy(preemption="Always", resourceSelectors=[{"apiVersion": "v1", "kind": "Secret"}]),
        'spec.resourceSelectors[0].name: Invalid value: "": '
        "name cannot be empty if preemption is Always, the empty name may cause unexpected resources preemption",
    ),
    (
        policy(suspension={"dispatching": True, "dispatchingOnClusters": {"clusterNames": ["m"]}}),
        "spec.suspension.suspension: Invalid value: "
        '{"dispatching":true,"dispatchingOnClusters":{"clusterNames":["m"]}}: '
        "suspension dispatching cannot co-exist with dispatchingOnClusters.clusterNames",
    ),
]


@pytest.mark.parametrize(("obj", "message"), REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(obj: Object, message: str) -> None:
    assert refusal(PP, obj) == message


def test_label_keys_are_checked() -> None:
    text = refusal(PP, placement(clusterAffinities=[{"affinityName": "-"}]))
    assert text.startswith(f'{PATH}.clusterAffinities[0]: Invalid value: "-": name part must consist of')
    preserved = failover(statePreservation={"rules": [{"aliasLabelName": "-", "jsonPath": "{.a}"}]})
    path = "spec.failover.application.statePreservation.rules[0].aliasLabelName"
    assert refusal(PP, preserved).startswith(f'{path}: Invalid value: "-": name part must consist of')


def test_several_findings_are_listed() -> None:
    selectors = [{"apiVersion": "v1", "kind": "Secret", "namespace": "other"}]
    text = refusal(PP, policy(resourceSelectors=selectors, preemption="Always"))
    assert text.startswith("[spec.resourceSelectors[0].namespace: Invalid value")
    assert text.endswith("preemption]")


def test_updates() -> None:
    old = create(PP, policy())
    same = copy.deepcopy(old)
    mutate(PP, "UPDATE", same, old, None, GATES)
    admit(PP, "UPDATE", same, old, SYSTEM_ADMIN, GATES)
    assert same == old

    renamed = copy.deepcopy(old)
    renamed["spec"]["schedulerName"] = "other"
    assert refusal(PP, renamed, old, "UPDATE") == "the schedulerName should not be updated"

    relabelled = copy.deepcopy(old)
    relabelled["metadata"]["labels"][LABEL] = "x"
    immutable = f"label {LABEL} is immutable, it can only be set by the system during creation"
    assert refusal(PP, relabelled, old, "UPDATE") == immutable
    # the same when a patch of metadata shares the old spec
    relabelled["spec"] = old["spec"]
    assert refusal(PP, relabelled, old, "UPDATE") == immutable

    bare = copy.deepcopy(old)
    bare["metadata"]["labels"] = {}
    required = f"label {LABEL} is required, it should be set by the mutating admission webhook during creation"
    assert refusal(PP, bare, bare, "UPDATE") == required


OVERRIDE = KINDS["OverridePolicy"]


def override(**spec: Any) -> Object:
    return {"metadata": {"name": "o", "namespace": "default"}, "spec": spec}


def rule(**overriders: Any) -> Object:
    return override(overrideRules=[{"overriders": overriders}])


RULE = "spec.overrideRules[0].overriders"
POINTER = 'JSON pointer must be empty or start with a "/\nJSON pointer error'

OVERRIDES = [
    (
        override(overrideRules=[{}], targetCluster={}),
        "spec.targetCluster: Invalid value: {}: overrideRules and targetCluster can't co-exist",
    ),
    (
        override(overrideRules=[{}], overriders={"plaintext": [{"path": "/a", "operator": "remove"}]}),
        'spec.overriders: Invalid value: {"plaintext":[{"path":"/a","operator":"remove","value":null}]}: '
        "overrideRules and overriders can't co-exist",
    ),
    (
        rule(imageOverrider=[{"component": "Tag", "operator": "add", "predicate": {"path": "spec"}}]),
        f'{RULE}.imageOverrider[0].predicate.path: Invalid value: "spec": {POINTER}',
    ),
    (
        rule(fieldOverrider=[{"fieldPath": "/data/a"}]),
        f"{RULE}.fieldOverrider[0]: Required value: FieldOverrider must have either JSON or YAML set",
    ),
    (
        rule(fieldOverrider=[{"fieldPath": "/data/a", "json": [{"subPath": "/x", "operator": "add"}]}]),
        f"{RULE}.fieldOverrider[0].json[0].value: Invalid value: null: value is required for add or replace operation",
    ),
    (
        rule(fieldOverrider=[{"fieldPath": "/d", "yaml": [{"subPath": "/x", "operator": "remove", "value": 1}]}]),
        f"{RULE}.fieldOverrider[0].yaml[0].value: Invalid value: 1: value is not allowed for remove operation",
    ),
    (
        override(resourceSelectors=[{"apiVersion": "v1", "kind": "Secret", "namespace": "other"}]),
        'spec.resourceSelectors[0].namespace: Invalid value: "other": '
        "namespace of resource selector must be the same as the namespace of the policy",
    ),
]


@pytest.mark.parametrize(("obj", "message"), OVERRIDES, ids=range(len(OVERRIDES)))
def test_override_refusals(obj: Object, message: str) -> None:
    assert refusal(OVERRIDE, obj) == message


def test_both_forms_of_a_field_overrider() -> None:
    patch = [{"subPath": "/x", "operator": "remove"}]
    text = refusal(OVERRIDE, rule(fieldOverrider=[{"fieldPath": "/d", "yaml": patch, "json": patch}]))
    assert text.endswith("FieldOverrider has both YAML and JSON set. Only one is allowed")


def test_labels_of_overriders_are_checked() -> None:
    text = refusal(OVERRIDE, rule(labelsOverrider=[{"operator": "add", "value": {"a b": "x"}}]))
    assert text.startswith(f'{RULE}.labelsOverrider[0].value: Invalid value: "a b": name part must consist of')


def test_override_selectors_get_the_namespace() -> None:
    obj = create(OVERRIDE, override(resourceSelectors=[{"apiVersion": "v1", "kind": "Secret"}], overrideRules=[]))
    assert obj["spec"]["resourceSelectors"][0]["namespace"] == "default"
    cluster_wide = {"metadata": {"name": "o"}, "spec": override(resourceSelectors=[])["spec"]}
    create(KINDS["ClusterOverridePolicy"], cluster_wide)


SAMPLES = [
    (
        "PropagationPolicy",
        policy(
            placement={
                "clusterAffinity": {"clusterNames": ["member1", "member2"]},
                "replicaScheduling": {
                    "replicaDivisionPreference": "Weighted",
                    "replicaSchedulingType": "Divided",
                    "weightPreference": {
                        "staticWeightList": [
                            {"targetCluster": {"clusterNames": ["member1"]}, "weight": 1},
                            {"targetCluster": {"clusterNames": ["member2"]}, "weight": 1},
                        ]
                    },
                },
            }
        ),
    ),
    ("PropagationPolicy", overflowing("o")),
    ("ClusterPropagationPolicy", cluster_policy(placement={"clusterAffinity": {"clusterNames": ["member1"]}})),
    (
        "OverridePolicy",
        override(
            resourceSelectors=[{"apiVersion": "webapp.my.domain/v1", "kind": "Guestbook"}],
            overrideRules=[
                {
                    "targetCluster": {"clusterNames": ["member1"]},
                    "overriders": {
                        "plaintext": [
                            {"path": "/spec/size", "operator": "replace", "value": 4},
                            {"path": "/metadata/annotations", "operator": "add", "value": {"OverridePolicy": "test"}},
                        ]
                    },
                }
            ],
        ),
    ),
]


@pytest.mark.parametrize(("name", "obj"), SAMPLES)
def test_samples_pass(name: str, obj: Object) -> None:
    once = create(KINDS[name], obj)
    again = copy.deepcopy(once)
    mutate(KINDS[name], "UPDATE", again, once, None, GATES)
    assert again == once
