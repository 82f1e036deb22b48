"""Several bindings of one cluster-scoped object, and the one Work that they have in a member."""

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.objects import namespace
from kafila.placement.spec import existing_clusters
from kafila.placement.work.shared import ALONE, SharedWorks


def binding(where: str, *clusters: str, born: int | None = 1, evicting: str = "", **status: Any) -> Object:
    """In the namespace ``where``, or the object's own; ``born``: the second of its creation."""
    mark = constants.RB_PERMANENT_ID if where else constants.CRB_PERMANENT_ID
    metadata: Object = {"name": "reader-clusterrole", "labels": {mark: f"id-{where or 'own'}"}}
    targets = [{"name": cluster} for cluster in clusters]
    if where:
        metadata["namespace"] = where
    if born is not None:
        metadata["creationTimestamp"] = f"2026-01-01T00:00:{born:02}Z"
    spec: Object = {"requiredBy": [{"name": "web", "clusters": targets}]} if where else {"clusters": targets}
    if evicting:
        spec["gracefulEvictionTasks"] = [{"fromCluster": evicting}]
    return {"metadata": metadata, "spec": spec, "status": status}


def work(cluster: str, *owners: str) -> Object:
    marks, notes = {constants.WORK_PERMANENT_ID: "w"}, {"a": "b"}
    for owner in owners:
        marks[constants.RB_PERMANENT_ID if owner != "own" else constants.CRB_PERMANENT_ID] = f"id-{owner}"
        notes |= (
            {constants.CRB_NAME: "n"} if owner == "own" else {constants.RB_NAME: "n", constants.RB_NAMESPACE: owner}
        )
    return {"metadata": {"namespace": f"karmada-es-{cluster}", "name": "n", "labels": marks, "annotations": notes}}


def owners(obj: Object) -> set[str]:
    marks = obj["metadata"]["labels"]
    return {marks[mark] for mark in (constants.RB_PERMANENT_ID, constants.CRB_PERMANENT_ID) if mark in marks}


def left(shares: SharedWorks, *bindings: Object) -> dict[str, set[str]]:
    """Of the clusters that a binding has."""
    return {namespace(each): shares.left_to_others(each) & existing_clusters(each["spec"]) for each in bindings}


def test_the_youngest_decides() -> None:
    a, b = binding("a", "m1", "m2", born=2), binding("b", "m2", "m3", born=1)
    assert left(SharedWorks([a, b]), a, b) == {"a": set(), "b": {"m2"}}
    c = binding("c", "m2", born=3)
    assert left(SharedWorks([a, b, c]), a, b, c) == {"a": {"m2"}, "b": {"m2"}, "c": set()}


@pytest.mark.parametrize("born", [1, None])
def test_of_one_second_the_own_binding_decides(born: int | None) -> None:
    """Also while it is not stored yet."""
    a, b, own = binding("a", "m1"), binding("b", "m1"), binding("", "m1", born=born)
    assert left(SharedWorks([a, b, own]), a, b, own) == {"a": {"m1"}, "b": {"m1"}, "": set()}
    assert SharedWorks([a, b]).left_to_others(own) == set()


def test_a_binding_that_leaves_does_not_decide_but_needs() -> None:
    a, own = binding("a", "m1", born=1), binding("", "m2", born=2, evicting="m1")
    shares = SharedWorks([a, own])
    assert left(shares, a, own) == {"a": set(), "": set()}
    assert shares.needed_by_others(a) == {"m1", "m2"}
    assert shares.needed_by_others(own) == {"m1"}


def test_a_binding_that_has_changed() -> None:
    a, own = binding("a", "m1", born=1), binding("", "m1", born=2)
    shares = SharedWorks([a, own])
    assert left(shares, a) == {"a": {"m1"}}
    shares.put(binding("", "m2", born=2))
    assert left(shares, a) == {"a": set()}
    assert shares.needed_by_others(a) == {"m2"}


def test_marks_of_who_needs_a_work_stay() -> None:
    a, own = binding("a", "m1"), binding("", "m1", "m2")
    shares = SharedWorks([a, own])
    both = work("m1", "a", "own")
    assert shares.trimmed(both, own) is both
    found = shares.trimmed(work("m2", "a", "own"), own)
    assert owners(found) == {"id-own"}
    assert found["metadata"]["annotations"] == {"a": "b", constants.CRB_NAME: "n"}
    assert owners(shares.trimmed(work("m1", "gone"), own)) == set()
    # whoever is just placed there keeps its own
    new = binding("", "m3")
    assert owners(shares.trimmed(work("m3", "own"), new)) == {"id-own"}


def test_a_binding_without_others() -> None:
    a = binding("a", "m1")
    assert (ALONE.left_to_others(a), ALONE.needed_by_others(a), ALONE.items(a)) == (set(), set(), [])
    own = work("m1", "a")
    assert ALONE.trimmed(own, a) is own


def test_the_status_of_all_members() -> None:
    places = (("m2", "Healthy"), ("m2", "Unhealthy"), ("m1", "Healthy"))
    first, again, other = ({"clusterName": name, "health": health} for name, health in places)
    a = binding("a", "m2", aggregatedStatus=[first])
    b = binding("b", "m1", aggregatedStatus=[other])
    shares = SharedWorks([a, b])
    changed = binding("a", "m2", aggregatedStatus=[again])
    assert shares.items(changed) == [other, again]
