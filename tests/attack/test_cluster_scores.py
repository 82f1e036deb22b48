"""Whoever may write scores moves replicas of those who name them, and nothing else."""

from __future__ import annotations

import pytest

from kafila.catalog.cluster_scores import MOST, MOST_CLUSTERS
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement.cluster_scores import INVERSE, WEIGHT_BY
from tests.integration.reconcile.conftest import Lab, _known_queues, lab, make_lab, two
from tests.unit.placement.objects import DYNAMIC, divided

__all__ = ["_known_queues", "lab", "make_lab", "two"]
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment"}


def score(values: dict[str, int]) -> Object:
    scores = [{"cluster": name, "value": value} for name, value in values.items()]
    spec = {"ttlSeconds": 60, "scores": scores}
    return {
        "apiVersion": "placement.kafila.io/v1alpha1",
        "kind": "ClusterScore",
        "metadata": {"name": "s"},
        "spec": spec,
    }


def naming(made: Object, annotation: str, name: str) -> Object:
    return {**made, "metadata": {**made["metadata"], "annotations": {annotation: name}}}


@pytest.mark.parametrize(
    ("values", "fewer", "more"),
    [
        ({"m1": MOST, "m2": 0}, {"m1": 12}, {"m2": 12}),
        ({"m1": 0, "m2": 0}, {"m1": 6, "m2": 6}, {"m1": 6, "m2": 6}),
        ({f"x{number}": MOST for number in range(MOST_CLUSTERS)}, {"m1": 6, "m2": 6}, {"m1": 6, "m2": 6}),
    ],
)
async def test_a_score_moves_only_what_names_it(
    two: Lab, values: dict[str, int], fewer: dict[str, int], more: dict[str, int]
) -> None:
    await two.create(score(values))
    for name, annotation in (("by", WEIGHT_BY), ("inverse", INVERSE), ("free", "note")):
        select = [{**DEPLOYMENT, "name": name}]
        await two.create(naming(two.policy(name, select=select, scheduling=DYNAMIC), annotation, "s"))
        await two.create(two.deployment(name, 12))
    await two.rest()
    assert two.placed("by-deployment") == fewer
    assert two.placed("inverse-deployment") == more
    assert two.placed("free-deployment") == {"m1": 6, "m2": 6}
    assert two.events("Deployment", "free") == [
        each for each in two.events("Deployment", "free") if each[0] != "Warning"
    ]


async def test_a_score_that_there_is_not_holds_nothing_up(two: Lab) -> None:
    await two.create(naming(two.policy(scheduling=DYNAMIC), WEIGHT_BY, "none"))
    await two.create(two.deployment(replicas=4))
    await two.until(lambda: two.placed("web-deployment") == {"m1": 2, "m2": 2})
    said = [(reason, message) for _, reason, message, _ in two.events("Deployment", "web")]
    assert ("ClusterScoreNotUsed", "Not used: none: there is no such ClusterScore") in said


async def test_names_that_are_none_are_refused(two: Lab) -> None:
    for annotation, name, strategy in (
        (WEIGHT_BY, "x" * 100_000, DYNAMIC),
        (INVERSE, "../../secrets", DYNAMIC),
        (WEIGHT_BY, "s", divided()),
    ):
        with pytest.raises(StatusError) as refused:
            await two.create(naming(two.policy(scheduling=strategy), annotation, name))
        assert (refused.value.code, refused.value.details["causes"][0]["field"]) == (
            422,
            f"metadata.annotations[{annotation}]",
        )
