"""Where bindings, Works and members do not agree."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.disagreements import Disagreement, of_member, of_works

RB, WORK = "resourcebinding.karmada.io/permanent-id", "work.karmada.io"
CLUSTERS = [{"metadata": {"name": name}} for name in ("m1", "m2")]
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "a", "name": "config", "uid": "u"}}


def binding(*clusters: str, **more: Any) -> Object:
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "a", "name": "config"}
    spec = {"resource": resource, "clusters": [{"name": each} for each in clusters], **more}
    return {"kind": "ResourceBinding", "metadata": {"namespace": "a", "name": "b", "labels": {RB: "1"}}, "spec": spec}


def waiting(cluster: str) -> Object:
    rows = [{"name": "m1", "phase": "Progressing", "revision": "a1"}, {"name": cluster, "phase": "Pending"}]
    rollout = {"revision": "a1", "stableRevision": "a0", "phase": "Progressing", "clusters": rows}
    return {**binding("m1", "m2"), "status": {"rollout": rollout}}


def work(cluster: str, of: str = "1", applied: bool = True, *manifests: Object) -> Object:
    return {
        "kind": "Work",
        "metadata": {"namespace": f"karmada-es-{cluster}", "name": "w", "labels": {RB: of} if of else {}},
        "spec": {"workload": {"manifests": list(manifests or (CONFIG,))}},
        "status": {"conditions": [{"type": "Applied", "status": str(applied)}]},
    }


def held(namespace: str = "karmada-es-m1", name: str = "w", obj: Object = CONFIG) -> Object:
    notes = {f"{WORK}/namespace": namespace, f"{WORK}/name": name}
    return {**obj, "metadata": {**obj["metadata"], "annotations": notes}}


def ending(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "2026-11-30T00:00:00Z"}}


def made_by_a_controller(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [{"controller": True}]}}


@pytest.mark.parametrize(
    ("bindings", "works", "said"),
    [
        ([binding("m1", "m2")], [work("m1"), work("m2")], []),
        ([binding("m1", "m2")], [work("m1")], ["b WorkMissing there is no Work of it for cluster m2"]),
        ([waiting("m2")], [work("m1")], []),  # its turn has not come
        ([waiting("m3")], [work("m1")], ["b WorkMissing there is no Work of it for cluster m2"]),
        ([binding("m1", "gone")], [work("m1")], []),  # it is being taken out of the binding
        ([ending(binding("m1"))], [], []),
        ([], [work("m1")], ["w WorkWithoutBinding its binding is not there"]),
        ([], [ending(work("m1"))], []),
        ([], [work("m1", of="")], []),  # made by hand, or of a namespace
        ([binding("m1")], [work("m1"), work("m9")], ["w WorkWithoutCluster there is no cluster m9"]),
        (
            [binding("m1")],
            [work("m1"), work("m2")],
            ["w WorkNotWanted ResourceBinding/a/b does not place anything in m2"],
        ),
        ([binding("m1", gracefulEvictionTasks=[{"fromCluster": "m2"}])], [work("m1"), work("m2")], []),
        ([binding(requiredBy=[{"clusters": [{"name": "m1"}]}])], [work("m1")], []),
        ([binding("m1")], [work("m1", of="2")], ["w WorkWithoutBinding its binding is not there"]),
    ],
)
def test_bindings_and_works(bindings: list[Object], works: list[Object], said: list[str]) -> None:
    assert [f"{each.name} {each.reason} {each.message}" for each in of_works(bindings, works, CLUSTERS)] == said


@pytest.mark.parametrize(
    ("works", "objects", "said"),
    [
        ([work("m1")], [held()], []),
        ([], [held()], ["ObjectWithoutWork there is no Work karmada-es-m1/w with it"]),
        ([work("m2")], [held()], ["ObjectWithoutWork there is no Work karmada-es-m1/w with it"]),
        (
            [work("m1", "1", True, {**CONFIG, "kind": "Secret"})],
            [held()],
            ["ObjectWithoutWork there is no Work karmada-es-m1/w with it"],
        ),
        ([], [held("karmada-es-other")], ["ObjectOfOtherWork it says that it is of Work karmada-es-other/w"]),
        ([], [held("", "")], []),  # as Endpoints, which get the labels of their Service
        ([], [made_by_a_controller(held())], []),  # as EndpointSlices, which get more
        ([work("m1")], [held(), held(obj={**CONFIG, "kind": "Project"})], []),  # the same object under another kind
        ([work("m1")], [], ["ObjectMissing Work w says that it is applied"]),
        ([work("m1", applied=False)], [], []),
        ([ending(work("m1"))], [], []),
    ],
)
def test_works_and_a_member(works: list[Object], objects: list[Object], said: list[str]) -> None:
    found = list(of_member("m1", works, objects, {("", "ConfigMap")}))
    assert [f"{each.reason} {each.message}" for each in found] == said
    assert {each[:4] for each in found} <= {("m1", "ConfigMap", "a", "config")}


def test_what_was_not_asked_for_is_not_missing() -> None:
    assert list(of_member("m1", [work("m1")], [], set())) == []


def test_they_can_be_compared() -> None:
    one = list(of_works([], [work("m1")], CLUSTERS))
    assert one == [Disagreement("", "Work", "karmada-es-m1", "w", "WorkWithoutBinding", "its binding is not there")]
    assert set(one) & set(of_works([], [work("m1")], CLUSTERS)) == set(one)
