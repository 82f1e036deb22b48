"""What Karmada 1.18.2 was seen to store and refuse (tests/differential/karmada, scenarios refused-*)."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.admission.karmada.gostructs import FEDERATED_HPA, OVERRIDE, PROPAGATION, pass_through
from kafila.admission.karmada.rules import mutate
from kafila.catalog.karmada.kinds import kinds
from kafila.catalog.karmada.validation import NULL
from kafila.core.values import Object

POLICY = next(kind for kind in kinds() if kind.kind == "PropagationPolicy")


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, {"placement": {}, "resourceSelectors": "null"}),
        (
            {"resourceSelectors": [{"kind": "ConfigMap"}], "dependentOverrides": []},
            {"placement": {}, "resourceSelectors": [{"apiVersion": "", "kind": "ConfigMap"}]},
        ),
        (
            {"resourceSelectors": [], "failover": {"application": {}}, "schedulePriority": {}},
            {
                "placement": {},
                "resourceSelectors": [],  # what is required stays empty
                "failover": {"application": {"decisionConditions": {"tolerationSeconds": 300}}},
                "schedulePriority": {"priorityClassSource": "", "priorityClassName": ""},
            },
        ),
    ],
)  # fmt: skip
def test_policies(given: Object, left: Object) -> None:
    pass_through(given, PROPAGATION)
    if given["resourceSelectors"] is NULL:
        given["resourceSelectors"] = "null"
    assert given == left


def test_what_may_be_left_out_is_left_out_when_it_says_nothing() -> None:
    spec: Object = {
        "resourceSelectors": [],
        "propagateDeps": False,
        "schedulerName": "",
        "preserveResourcesOnDeletion": False,
    }
    pass_through(spec, PROPAGATION)
    assert spec == {"resourceSelectors": [], "placement": {}, "preserveResourcesOnDeletion": False}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Work", {"workload": {}}),
        ("ResourceBinding", {"resource": {"apiVersion": "", "kind": "", "name": ""}, "conflictResolution": "Abort"}),
        ("ClusterResourceBinding", {"resource": {"apiVersion": "", "kind": "", "name": ""}, "conflictResolution": "Abort"}),
    ],
)  # fmt: skip
def test_a_spec_that_was_left_out_comes_back_empty(kind: str, spec: Object) -> None:
    found = next(each for each in kinds() if each.kind == kind and not each.storage_version)
    obj: Object = {"metadata": {"name": "it"}}
    mutate(found, "CREATE", obj, None, None, {})
    assert obj["spec"] == spec
    assert not found.strategy.validate(obj)


def test_overrides() -> None:
    spec: Object = {"overrideRules": [{}, {"overriders": {"plaintext": [], "commandOverrider": [{"operator": "add"}]}}]}
    pass_through(spec, OVERRIDE)
    assert spec == {
        "overriders": {},
        "overrideRules": [
            {"overriders": {}},
            {"overriders": {"commandOverrider": [{"operator": "add", "containerName": ""}]}},
        ],
    }


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, {"maxReplicas": 0, "scaleTargetRef": {"kind": "", "name": ""}}),
        (
            {
                "maxReplicas": 1,
                "scaleTargetRef": {"kind": "Deployment"},
                "metrics": [{"resource": {"target": {"averageValue": "0.5"}}}, {"type": "Pods", "pods": {}}],
                "behavior": {"scaleUp": {"policies": [{}], "tolerance": "lots"}, "scaleDown": {"policies": []}},
            },
            {
                "maxReplicas": 1,
                "scaleTargetRef": {"kind": "Deployment", "name": ""},
                "metrics": [
                    {"type": "", "resource": {"name": "", "target": {"type": "", "averageValue": "500m"}}},
                    {"type": "Pods", "pods": {"metric": {"name": ""}, "target": {"type": ""}}},
                ],
                "behavior": {
                    "scaleUp": {"policies": [{"type": "", "value": 0, "periodSeconds": 0}], "tolerance": "lots"},
                    "scaleDown": {},
                },
            },
        ),
    ],
)
def test_autoscalers(given: Object, left: Object) -> None:
    pass_through(given, FEDERATED_HPA)
    assert given == left


@pytest.mark.parametrize("odd", ["text", 3, [1, None, "x"], {"a": 1}])
def test_what_is_no_policy_is_left_to_validation(odd: Any) -> None:
    pass_through({"placement": odd, "resourceSelectors": odd}, PROPAGATION)


def test_a_required_list_that_was_left_out_is_null() -> None:
    obj: Object = {"metadata": {"name": "p", "namespace": "default"}}
    mutate(POLICY, "CREATE", obj, None, None, {})
    assert [str(error) for error in POLICY.strategy.validate(obj)] == [
        'spec.resourceSelectors: Invalid value: "null": spec.resourceSelectors in body must be of type array: "null"'
    ]
