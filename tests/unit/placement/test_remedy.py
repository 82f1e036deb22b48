"""Which actions remedies ask for in a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.placement.remedy import LONGEST_ACTION, MOST_ACTIONS, Actions, actions_for, clusters_named
from tests.unit.placement.objects import cluster


def in_state(**conditions: str) -> Any:
    made = cluster("m1")
    made["status"] = {"conditions": [{"type": name, "status": status} for name, status in conditions.items()]}
    return made


def remedy(*matches: tuple[str, str, str], actions: tuple[str, ...] = ("TrafficControl",), **spec: Any) -> Any:
    if matches:
        fields = ("conditionType", "operator", "conditionStatus")
        spec["decisionMatches"] = [{"clusterConditionMatch": dict(zip(fields, each, strict=True))} for each in matches]
    return {"metadata": {"name": "r"}, "spec": {"actions": list(actions), **spec}}


RESOLVES = "ServiceDomainNameResolutionReady"


@pytest.mark.parametrize(
    ("matches", "conditions", "asked"),
    [
        ((), {}, True),  # no matches at all: at once
        (((RESOLVES, "Equal", "False"),), {RESOLVES: "False"}, True),
        (((RESOLVES, "Equal", "False"),), {RESOLVES: "True"}, False),
        (((RESOLVES, "NotEqual", "True"),), {RESOLVES: "Unknown"}, True),
        (((RESOLVES, "NotEqual", "True"),), {RESOLVES: "True"}, False),
        (((RESOLVES, "NotEqual", "True"),), {"Ready": "True"}, False),  # a condition that is not there
        (((RESOLVES, "Equal", "False"), ("Ready", "Equal", "False")), {RESOLVES: "True", "Ready": "False"}, True),
    ],
)
def test_conditions(matches: Any, conditions: dict[str, str], asked: bool) -> None:
    found = actions_for(in_state(**conditions), [remedy(*matches)])
    assert found == Actions(["TrafficControl"] if asked else [], 0)


def test_the_actions_of_all_that_match() -> None:
    found = actions_for(
        in_state(Ready="False"),
        [
            remedy(("Ready", "Equal", "False"), actions=("b", "a")),
            remedy(actions=("a", "c")),
            remedy(("Ready", "Equal", "True"), actions=("z",)),
            remedy(actions=()),
            {"metadata": {"name": "r"}, "spec": {}},
        ],
    )
    assert found == Actions(["a", "b", "c"], 0)


def test_an_empty_list_of_matches_never_matches() -> None:
    assert actions_for(in_state(Ready="True"), [remedy(decisionMatches=[])]) == Actions([], 0)
    assert actions_for(in_state(Ready="True"), [remedy(decisionMatches=[{}])]) == Actions([], 0)


def test_which_clusters() -> None:
    assert clusters_named(remedy()) is None
    assert clusters_named(remedy(clusterAffinity={"clusterNames": ["m1"]})) == ["m1"]
    assert clusters_named(remedy(clusterAffinity={})) == []


def test_too_many_and_too_long() -> None:
    many = tuple(f"a{number:04}" for number in range(MOST_ACTIONS + 5))
    found = actions_for(in_state(), [remedy(actions=(*many, "x" * (LONGEST_ACTION + 1)))])
    assert found == Actions(list(many[:MOST_ACTIONS]), 6)
