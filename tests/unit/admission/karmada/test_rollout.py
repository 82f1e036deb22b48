"""What cannot be meant by a rollout strategy is refused, with a cause for each thing."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from kafila.admission.karmada.context import AdmissionContext
from kafila.admission.karmada.rollout import admit_rollout
from kafila.catalog.karmada.kinds import kinds
from kafila.core.errors import StatusError
from kafila.core.values import Object

POLICY = next(kind for kind in kinds() if kind.kind == "PropagationPolicy")
AROUND = AdmissionContext(has_cluster=lambda name: name in ("m1", "m2"))


def policy(strategy: Object | None) -> Object:
    selector = {"apiVersion": "apps/v1", "kind": "Deployment"}
    obj: Object = {"metadata": {"name": "p"}, "spec": {"resourceSelectors": [selector], "rolloutStrategy": strategy}}
    POLICY.strategy.default(obj)
    return obj


def staged(**fields: Any) -> Object:
    return {"type": "Staged", "staged": fields}


def stage(name: str, **target: Any) -> Object:
    return {"name": name, "targetClusters": target}


def check(strategy: Object, found: list[str], old: Object | None = None) -> None:
    before = policy(old) if old is not None else None
    with pytest.raises(StatusError) if found else contextlib.nullcontext() as refusal:
        admit_rollout(POLICY, policy(strategy), before, AROUND)
    if refusal is not None:
        assert (refusal.value.code, refusal.value.reason) == (422, "Invalid")
        causes = (refusal.value.details or {})["causes"]
        prefix = "spec.rolloutStrategy."
        assert [f"{each['field'].removeprefix(prefix)}: {each['message']}" for each in causes] == found


@pytest.mark.parametrize(
    "strategy",
    [
        {"type": "AllAtOnce"},
        staged(),
        staged(order=["m2", "m1"], timeout="1h30m", gate={"minSuccessTime": "60s"}),
        staged(stages=[stage("canary", clusterNames=["m1"]), stage("rest", labelSelector={})]),
        staged(gate={"requiredConditions": [{"type": "Available"}, {"type": "Failed", "status": "False"}]}),
        staged(onFailure={"action": "Rollback"}),
        staged(maxConcurrency=2, stages=[{**stage("rest"), "maxConcurrency": 5}]),
    ],
)
def test_what_is_taken(strategy: Object) -> None:
    assert POLICY.strategy.validate(policy(strategy)) == []
    check(strategy, [])


@pytest.mark.parametrize(
    ("strategy", "found"),
    [
        ({"type": "Staged"}, ["staged: Required value: has to be set with type Staged"]),
        ({"staged": {}}, ["staged: Forbidden: may only be set with type Staged"]),
        (staged(order=["m1", "m9"]), ['staged.order[1]: Not found: "m9"']),
        (staged(order=["m1", "m1"]), ['staged.order[1]: Duplicate value: "m1"']),
        (
            staged(order=["m1"], stages=[stage("a", clusterNames=["m2"])]),
            ["staged.order: Forbidden: may not be set together with stages"],
        ),
        (
            staged(stages=[stage("a", clusterNames=["m1"]), stage("a", clusterNames=["m1", "m9"])]),
            [
                'staged.stages[1].name: Duplicate value: "a"',
                'staged.stages[1].targetClusters.clusterNames[0]: Invalid value: "m1": it is in stage a already',
                'staged.stages[1].targetClusters.clusterNames[1]: Not found: "m9"',
            ],
        ),
        (
            staged(stages=[stage("all"), stage("rest", clusterNames=["m1"])]),
            ['staged.stages[1].name: Invalid value: "rest": stage all has every cluster already: nothing is left for this one'],
        ),
        (staged(timeout="0s"), ['staged.timeout: Invalid value: "0s": must be greater than 0 and at most a year']),
        (staged(timeout="9000h"), ['staged.timeout: Invalid value: "9000h": must be greater than 0 and at most a year']),
        (
            staged(timeout="1m", gate={"minSuccessTime": "60s"}),
            ['staged.gate.minSuccessTime: Invalid value: "60s": must be less than the timeout, which is 1m'],
        ),
        (
            staged(gate={"requiredConditions": [{"type": "A"}, {"type": "A", "status": "False"}]}),
            ['staged.gate.requiredConditions[1].type: Duplicate value: "A"'],
        ),
    ],
)  # fmt: skip
def test_what_is_refused(strategy: Object, found: list[str]) -> None:
    check(strategy, found)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"timeout": "-5m"}, "staged.timeout"),
        ({"timeout": "soon"}, "staged.timeout"),
        ({"maxConcurrency": 0}, "staged.maxConcurrency"),
        ({"stages": [{**stage("all"), "maxConcurrency": "25%"}]}, "staged.stages[0].maxConcurrency"),
        ({"gate": {"minSuccessTime": "-1s"}}, "staged.gate.minSuccessTime"),
        ({"onFailure": {"action": "Panic"}}, "staged.onFailure.action"),
        ({"stages": [stage("No name")]}, "staged.stages[0].name"),
        ({"order": [f"m{number}" for number in range(1001)]}, "staged.order"),
        ({"stages": [stage(f"s{number}") for number in range(101)]}, "staged.stages"),
    ],
)
def test_what_the_schema_refuses(fields: Object, path: str) -> None:
    found = POLICY.strategy.validate(policy(staged(**fields)))
    assert [finding.field for finding in found] == [f"spec.rolloutStrategy.{path}"]


def test_a_cluster_that_has_left_since_keeps_nobody_from_changing_the_policy() -> None:
    check(staged(order=["m9", "m1"], timeout="5m"), [], staged(order=["m9", "m1"]))
    check(staged(order=["m9", "m8"]), ['staged.order[1]: Not found: "m8"'], staged(order=["m9"]))
