"""What one change takes out of clusters, and whether it is approved."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.placement.cluster_expression import ANNOTATION
from kafila.placement.withdrawal import (
    ALWAYS,
    APPROVED,
    HELD,
    LABELS,
    LONGEST,
    Limits,
    Withdrawal,
    approval,
    edition,
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


def test_clusters_that_an_expression_means_or_knows_nothing_of() -> None:
    clusters = {**CLUSTERS, "m2": cluster("m2", provider="aws"), "m3": cluster("m3", provider="own")}
    assert fitting({}, clusters, "cluster.spec.provider == 'own'") == {"m1", "m3"}
    assert fitting({"clusterAffinity": {"exclude": ["m3"]}}, clusters, "cluster.spec.provider == 'own'") == {"m1"}


def test_what_leaves() -> None:
    new: Any = {"metadata": {}, "spec": {"placement": {"clusterAffinity": {"clusterNames": ["m1"]}}}}
    before: Any = {"metadata": {}, "spec": {"clusters": [{"name": "m1"}, {"name": "m2"}], "placement": {}}}
    assert leaving(before, new, frozenset({"m1"})) == {"m2"}
    done: Any = {"metadata": {}, "spec": {**before["spec"], **new["spec"]}}
    assert leaving(done, new, frozenset({"m1"})) == frozenset(), "it has been carried out"
    expressed = {**new, "metadata": {"annotations": {ANNOTATION: "cluster.metadata.name == 'm1'"}}}
    assert leaving(done, expressed, frozenset({"m1"})) == {"m2"}
    assert leaving({**done, "metadata": expressed["metadata"]}, expressed, frozenset({"m1"})) == frozenset()


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


def test_an_approval_is_of_one_expression() -> None:
    text = "cluster.metadata.name == 'm1'"
    approved = edition(policy(**{ANNOTATION: text}))
    assert approved.startswith("3-")
    assert is_approved(policy(**{ANNOTATION: text, APPROVED: approved}))
    for other in (policy(**{ANNOTATION: "false", APPROVED: approved}), policy(**{ANNOTATION: text, APPROVED: "3"})):
        assert not is_approved(other)


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


def test_what_waits_of_a_clusters_labels_is_a_question_of_its_own() -> None:
    obj = {"metadata": {"generation": 3, "labels": {"env": "prod"}, "annotations": {}}}

    def with_annotations(**said: str) -> Any:
        return {"metadata": {**obj["metadata"], "annotations": said}}

    both = {HELD: mark(obj, "taints"), LABELS.annotation: mark(obj, "labels", LABELS)}
    held = with_annotations(**both)
    assert waiting(held) == "taints; labels"
    assert waiting(with_annotations(**both, **{APPROVED: approval(held)})) == ""
    assert waiting(with_annotations(**both, **{APPROVED: "3"})) == "labels"
    assert waiting(with_annotations(**both, **{APPROVED: ALWAYS})) == ""
    relabelled: Any = {"metadata": {**held["metadata"], "labels": {"env": "test"}}}
    assert waiting(relabelled) == "taints"
    assert approval(relabelled) == edition(relabelled) == "3"
