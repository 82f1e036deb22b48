"""Annotations that add to a placement are texts of strangers: what they cost has an end, and what they break is their own."""

from __future__ import annotations

import json

import pytest

from kafila.core.errors import StatusError
from kafila.core.feature_gates import DEFAULT_GATES
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.cluster_expression import ANNOTATION as EXPRESSION
from kafila.placement.cluster_expression import outcome
from kafila.placement.replica_bounds import ANNOTATION, LONGEST, MOST_RULES, UNLIMITED
from kafila.placement.scheduler.schedule import schedule
from kafila.registry import SYSTEM_ADMIN
from tests.unit.admission.karmada.test_policies import CPP, PP, admit, cluster_policy, create, policy
from tests.unit.placement.objects import DYNAMIC, as_map, binding, cluster

ALIASES = (
    "[&a [x,x,x,x,x,x,x,x,x]"
    + "".join(f",&{n} [{f'*{b},' * 9}]" for b, n in zip("abcdefgh", "bcdefghi", strict=True))
    + "]"
)


def annotated(made: Object, text: str) -> Object:
    made["metadata"]["annotations"] = {ANNOTATION: text}
    return made


@pytest.mark.parametrize(
    "text",
    [
        ALIASES,
        "[" * 8000,
        "[{clusterSelector: '" + "a=b," * 2000 + "=', minReplicas: 1}]",
        "[{minReplicas: " + "9" * 8_000 + "}]",
        "[{minReplicas: 1, clusterNames: [" + "'\\u0000'," * 1000 + "]}]",
        "x" * (LONGEST + 1),
        json.dumps([{"minReplicas": 1}] * (MOST_RULES + 1)),
    ],
)
@pytest.mark.parametrize(("kind", "make"), [(PP, policy), (CPP, cluster_policy)])
def test_what_means_nothing_is_refused_with_its_place(kind: object, make: object, text: str) -> None:
    with pytest.raises(StatusError) as refused:
        create(kind, annotated(make(placement={"replicaScheduling": DYNAMIC}), text))  # type: ignore[operator,arg-type]
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    causes = refused.value.details["causes"]
    assert causes[0]["field"].startswith(f"metadata.annotations[{ANNOTATION}]")
    assert sum(len(cause["message"]) for cause in causes) < 128 << 10


@pytest.mark.parametrize(
    "text",
    [
        "cluster." * 10_000,
        "(" * 900 + "true" + ")" * 900,
        "[1].exists(a, " * 100 + "true" + ")" * 100,
        "cluster.metadata.name.matches('(((a{99}){99}){99}){99}')",
        "__import__('os')",
        "optional.of(1)" + ".optMap(v, v + 1)" * 100 + ".value() == 1",
    ],
)
def test_an_expression_that_is_a_bomb_is_refused(text: str) -> None:
    made = policy(placement={})
    made["metadata"]["annotations"] = {EXPRESSION: text}
    with pytest.raises(StatusError) as refused:
        create(PP, made)
    assert (refused.value.code, refused.value.details["causes"][0]["field"]) == (
        422,
        f"metadata.annotations[{EXPRESSION}]",
    )


@pytest.mark.parametrize(
    "text",
    [
        "lists.range(1000).all(i, lists.range(1000).all(j, lists.range(1000).all(k, i + j + k >= 0)))",
        "cluster.status.apiEnablements.all(a, " * 10 + "true" + ")" * 10,
        "cluster.status.apiEnablements.map(a, cluster.status.apiEnablements.map(b, [a, b, a, b])).size() > 0",
        "lists.range(10000000).size() > 0 && cluster.metadata.name.matches('^(m|1|11)*$')",
    ],
)
def test_an_expression_that_runs_long_is_stopped(text: str) -> None:
    """By what it costs, which is counted as it goes."""
    made = cluster("m" + "1" * 60)
    made["status"]["apiEnablements"] *= 20
    found = outcome(text, made)
    assert not found.matches
    assert found.error


def test_bounds_are_of_replicas_that_are_divided() -> None:
    text = "[{minReplicas: 1}]"
    create(PP, annotated(policy(placement={"replicaScheduling": DYNAMIC}), text))
    with pytest.raises(StatusError, match="only replicas that are divided have bounds"):
        create(PP, annotated(policy(placement={}), text))


def test_what_was_stored_before_is_in_nobodys_way() -> None:
    stored = create(PP, policy(placement={"replicaScheduling": DYNAMIC}))
    stored = annotated(stored, "no bounds at all")
    labelled = {**stored, "metadata": {**stored["metadata"], "labels": {**stored["metadata"]["labels"], "a": "b"}}}
    admit(PP, "UPDATE", labelled, stored, SYSTEM_ADMIN, DEFAULT_GATES)


def test_bounds_that_are_written_into_a_binding_fail_its_decision_alone() -> None:
    fleet = [cluster("m1"), cluster("m2")]
    broken = schedule(annotated(binding(2, {"replicaScheduling": DYNAMIC}), ALIASES), fleet)
    assert broken.condition["reason"] == constants.REASON_SCHEDULER_ERROR
    assert as_map(schedule(binding(2, {"replicaScheduling": DYNAMIC}), fleet).clusters) == {"m1": 1, "m2": 1}


def test_as_many_replicas_as_there_can_be_are_divided_at_once() -> None:
    """Not one after the other: with bounds that leave a single division, and with such that leave many."""
    fleet = [cluster(f"m{number}") for number in range(50)]
    divided = {"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}}
    rules = [{"clusterNames": ["m1"], "maxReplicas": 7}, {"clusterNames": ["m2"], "minReplicas": 1000}]
    placed = as_map(schedule(annotated(binding(UNLIMITED, divided), json.dumps(rules)), fleet).clusters)
    assert (sum(placed.values()), placed["m1"]) == (UNLIMITED, 7)
