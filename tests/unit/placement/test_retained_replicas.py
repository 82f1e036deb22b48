"""When a template's replicas follow its members."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import copy_json
from kafila.placement.retained_replicas import is_collected, replicas_to_follow

DEPLOYMENT: dict[str, Any] = {"spec": {"replicas": 4}, "status": {"replicas": 7}}
BINDING: dict[str, Any] = {
    "metadata": {"generation": 3},
    "spec": {
        "replicas": 4,
        "placement": {"replicaScheduling": {"replicaSchedulingType": "Divided"}},
        "clusters": [{"name": "m1", "replicas": 2}, {"name": "m2", "replicas": 2}],
    },
    "status": {
        "schedulerObservedGeneration": 3,
        "aggregatedStatus": [
            {"clusterName": "m1", "status": {"replicas": 3}},
            {"clusterName": "m2", "status": {"replicas": 4}},
        ],
    },
}


def test_what_the_members_have_come_to() -> None:
    assert replicas_to_follow(DEPLOYMENT, BINDING) == 7  # type: ignore[arg-type]
    assert is_collected(DEPLOYMENT, BINDING)  # type: ignore[arg-type]


def test_equal_or_duplicated_ones_stay() -> None:
    same = {**DEPLOYMENT, "status": {"replicas": 4}}
    assert replicas_to_follow(same, BINDING) is None  # type: ignore[arg-type]
    duplicated: Any = {**BINDING, "spec": {**BINDING["spec"], "placement": {}}}
    assert replicas_to_follow(DEPLOYMENT, duplicated) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "replicas"), 5),  # the user's change has not come to the binding
        (("metadata", "generation"), 4),  # nor to the scheduler
        (("spec", "clusters"), [{"name": "m1"}]),
        (("status", "aggregatedStatus", 0), {"clusterName": "m1"}),
        (("status", "aggregatedStatus", 0, "status", "replicas"), 0),
        (("status", "aggregatedStatus", 0, "status", "replicas"), "3"),
        (("status", "aggregatedStatus", 0, "status", "replicas"), 9),  # the template's sum is older
    ],
)
def test_a_status_that_is_on_its_way_is_waited_for(path: tuple[Any, ...], value: Any) -> None:
    binding = copy_json(BINDING)
    parent: Any = binding
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    assert not is_collected(DEPLOYMENT, binding)  # type: ignore[arg-type]
