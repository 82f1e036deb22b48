"""What one change takes out of clusters, and whether it is approved."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.placement.withdrawal import (
    APPROVED,
    HELD,
    LONGEST,
    Limits,
    Withdrawal,
    fitting,
    is_approved,
    leaving,
    mark,
    waiting,
)
from tests.unit.placement.objects import cluster

CLUSTERS = {name: cluster(name) for name in ("m1", "m2", "m3")}


@pytest.mark.parametrize(
    ("placement", "fits"),
    [
        ({}, {"m1", "m2", "m3"}),
        ({"clusterAffinity": {"clusterNames": ["m1", "gone"]}}, {"m1"}),
        ({"clusterAffinity": {"exclude": ["m1"]}}, {"m2", "m3"}),
        ({"clusterAffinities": [{"affinityName": "a", "clusterNames": ["m1"]}, {"affinityName": "b", "clusterNames": ["m2"]}]}, {"m1", "m2"}),
    ],
)  # fmt: skip
def test_clusters_that_are_meant(placement: Any, fits: set[str]) -> None:
    assert fitting(placement, CLUSTERS) == fits


def test_what_leaves() -> None:
    new = {"clusterAffinity": {"clusterNames": ["m1"]}}
    spec: Any = {"clusters": [{"name": "m1"}, {"name": "m2"}], "placement": {}}
    assert leaving(spec, new, frozenset({"m1"})) == {"m2"}
    assert leaving({**spec, "placement": new}, new, frozenset({"m1"})) == frozenset(), "it has been carried out"


@pytest.mark.parametrize(
    ("limits", "exceeded"),
    [(Limits(1, 9), True), (Limits(2, 9), False), (Limits(9, 1), True), (Limits(9, 2), False), (Limits(0, 0), False)],
)
def test_limits(limits: Limits, exceeded: bool) -> None:
    found = Withdrawal()
    for names in (["m1", "m2"], ["m1"], []):
        found.add(names)
    assert found.exceeds(limits) is exceeded
    assert str(found) == "2 objects leave 2 clusters: m1 (2), m2 (1)"


def policy(generation: int = 3, **annotations: str) -> Any:
    return {"metadata": {"name": "p", "generation": generation, "annotations": annotations}}


def test_an_approval_is_of_one_generation_or_of_all() -> None:
    assert is_approved(policy(**{APPROVED: "3"}))
    assert is_approved(policy(**{APPROVED: "always"}))
    for other in ("2", "4", "", "yes", "03"):
        assert not is_approved(policy(**{APPROVED: other})), other


def test_what_waits() -> None:
    held = mark(policy(), "much")
    assert waiting(policy(**{HELD: held})) == "much"
    assert waiting(policy(4, **{HELD: held})) == "", "it was changed again"
    assert waiting(policy(**{HELD: held, APPROVED: "3"})) == ""
    assert waiting(policy()) == ""
    assert waiting(policy(**{HELD: "nonsense"})) == ""
    shown = waiting(policy(**{HELD: "3: \x1b[31m" + "x" * 10**6}))
    assert shown.isprintable()
    assert len(shown) == LONGEST
