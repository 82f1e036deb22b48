"""When a ClusterScore says that its values were found."""

from __future__ import annotations

import copy

import pytest

from kafila.catalog.cluster_scores import LONGEST_TTL, MOST, MOST_CLUSTERS, kinds
from kafila.core.values import Object

(KIND,) = kinds()
LONG_AGO = "2020-01-01T00:00:00Z"
LATER = "2021-01-01T00:00:00Z"


def score(value: int = 1, **spec: object) -> Object:
    scores = [{"cluster": "m1", "value": value}]
    return {"metadata": {"name": "cost"}, "spec": {"ttlSeconds": 60, "scores": scores, **spec}}


def test_a_new_one_is_of_now_unless_it_says_otherwise() -> None:
    made, told = score(), score(renewTime=LONG_AGO)
    for each in (made, told):
        KIND.strategy.prepare_for_create(each)
    assert made["spec"]["renewTime"] > LONG_AGO
    assert told["spec"]["renewTime"] == LONG_AGO


@pytest.mark.parametrize(
    ("new", "renewed"),
    [
        (score(renewTime=LONG_AGO), LONG_AGO),  # the same again, as of a label that changes
        (score(renewTime=LATER), LATER),
        (score(2, renewTime=LATER), LATER),
        (score(2, renewTime=LONG_AGO), ""),  # other values in an object that was read before, or a patch of them
        (score(1), ""),  # written anew
    ],
)
def test_a_changed_one_is_of_now_unless_it_says_otherwise(new: Object, renewed: str) -> None:
    changed = copy.deepcopy(new)
    KIND.strategy.prepare_for_update(changed, score(renewTime=LONG_AGO))
    assert changed["spec"]["renewTime"] == renewed or (not renewed and changed["spec"]["renewTime"] > LATER)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (score(-1), "spec.scores[0].value"),
        (score(MOST + 1), "spec.scores[0].value"),
        (score(ttlSeconds=0), "spec.ttlSeconds"),
        (score(ttlSeconds=LONGEST_TTL + 1), "spec.ttlSeconds"),
        (score(renewTime="yesterday"), "spec.renewTime"),
        (score(scores=[{"cluster": "m1", "value": 1}] * 2), "spec.scores[1]"),
        (score(scores=[{"cluster": f"m{n}", "value": 1} for n in range(MOST_CLUSTERS + 1)]), "spec.scores"),
        (score(scores=[{"cluster": "", "value": 1}]), "spec.scores[0].cluster"),
        ({"metadata": {"name": "cost"}, "spec": []}, "spec"),
        ({"metadata": {"name": "cost"}}, "spec"),
    ],
)
def test_what_is_refused(wrong: Object, field: str) -> None:
    KIND.strategy.prepare_for_create(wrong)
    assert field in [each.field for each in KIND.strategy.validate(wrong)]
