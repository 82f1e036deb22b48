"""What a workload depends on in each cluster while these have different revisions of it."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.placement.rollout.dependents import all_of, needing, revisions_somewhere

OLD, NEW = {"kind": "ConfigMap", "name": "old"}, {"kind": "ConfigMap", "name": "new"}
NEEDS: Any = {"b": [NEW], "a": [OLD]}
PARENT: Any = {"spec": {"clusters": [{"name": "m1", "replicas": 2}, {"name": "m2"}, {"name": "m3"}]}}


def rollout(*rows: tuple[str, str, str], phase: str = "Progressing", stable: str = "a") -> Any:
    clusters = [{"name": name, "phase": of, **({"revision": has} if has else {})} for name, of, has in rows]
    found = {"revision": "b", "phase": phase, "clusters": clusters}
    return {**found, "stableRevision": stable} if stable else found


HALF = (("m1", "Progressing", "b"), ("m2", "Pending", "a"), ("m3", "Pending", "a"))
FIRST = (("m1", "Progressing", "b"), ("m2", "Pending", ""), ("m3", "Pending", ""))


def where(name: Any, of: Any, needs: Any = NEEDS, before: tuple[str, ...] = ()) -> list[str]:
    found = needing(PARENT, of, needs, lambda dependencies: name in dependencies, before)
    return [target["name"] for target in found]


@pytest.mark.parametrize(
    ("of", "old", "new"),
    [
        (rollout(*HALF), ["m1", "m2", "m3"], ["m1"]),
        (rollout(*HALF, phase="Paused"), ["m1", "m2", "m3"], ["m1"]),
        (rollout(*HALF, phase="Succeeded"), [], ["m1", "m2", "m3"]),
        (rollout(("m1", "RolledBack", "a"), *HALF[1:], phase="RolledBack"), ["m1", "m2", "m3"], []),
        (rollout(*FIRST, stable=""), [], ["m1"]),
        (rollout(*HALF[:2]), ["m1", "m2", "m3"], ["m1"]),  # m3 has come meanwhile
        (rollout(("m1", "Failed", "b"), *HALF[1:], phase="Failed"), ["m1", "m2", "m3"], ["m1"]),
    ],
)
def test_where_it_is_needed(of: Any, old: list[str], new: list[str]) -> None:
    assert (where(OLD, of), where(NEW, of)) == (old, new)


def test_what_nobody_knows_stays_where_it_is() -> None:
    unknown = {"b": [NEW], "a": None}
    assert where(OLD, rollout(*HALF), unknown, before=("m2", "gone")) == ["m2"]
    assert where(NEW, rollout(*HALF), unknown) == ["m1"]
    assert where(OLD, rollout(*HALF, phase="Succeeded"), unknown, before=("m1", "m2")) == []


def test_a_target_goes_on_as_it_is() -> None:
    assert needing(PARENT, rollout(*HALF), NEEDS, lambda found: NEW in found, ()) == [{"name": "m1", "replicas": 2}]


def test_all_that_is_depended_on() -> None:
    assert revisions_somewhere(PARENT, rollout(*HALF)) == ["b", "a"]
    assert revisions_somewhere({"spec": {}}, rollout(*HALF)) == ["b"]  # type: ignore[typeddict-item]
    assert all_of({"b": [NEW, OLD], "a": [OLD], "c": None}) == [NEW, OLD]
