import copy
from typing import Any

import pytest

from kafila.placement import constants
from kafila.placement.detector.attached import attach, dependencies_text, detach, is_dependency, parent_keys
from kafila.placement.detector.binding import BindingError, build_binding
from tests.unit.placement.objects import binding, policy, selector

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c", "namespace": "default", "uid": "u", "resourceVersion": "3"},
}


def parent(name: str, *clusters: str, **spec: Any) -> dict[str, Any]:
    made = binding(1, clusters=[{"name": cluster, "replicas": 1} for cluster in clusters], **spec)
    made["metadata"].update(name=name, labels={constants.RB_PERMANENT_ID: f"id-of-{name}"})
    return made


def test_a_new_binding_follows_its_parent() -> None:
    made, conflict = attach(parent("web", "m1"), CONFIG, None)
    assert conflict == ""
    meta = made["metadata"]
    assert (meta["namespace"], meta["name"]) == ("default", "c-configmap")
    assert meta["labels"][constants.depended_by_label("default", "web")] == "id-of-web"
    assert meta["ownerReferences"][0]["uid"] == "u"
    assert made["spec"] == {
        "resource": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "namespace": "default",
            "name": "c",
            "uid": "u",
            "resourceVersion": "3",
        },
        "requiredBy": [{"namespace": "default", "name": "web", "clusters": [{"name": "m1", "replicas": 1}]}],
        "conflictResolution": "Abort",
        "preserveResourcesOnDeletion": False,
    }
    assert attach(parent("web", "m1"), CONFIG, made)[0] is made


def test_two_parents_that_disagree() -> None:
    web = parent("web", "m1")
    made, _ = attach(web, CONFIG, None)
    before = copy.deepcopy(made)
    other = parent("job", "m2", conflictResolution="Overwrite", preserveResourcesOnDeletion=True)
    both, conflict = attach(other, CONFIG, made, [web])
    assert made == before
    assert conflict == (
        "Dependency policy conflict detected: ConflictResolution conflicted (Overwrite vs Abort); "
        "PreserveResourcesOnDeletion conflicted (true vs false)."
    )
    assert both["spec"]["conflictResolution"] == "Overwrite"
    assert parent_keys(both) == [("default", "web"), ("default", "job")]
    moved, _ = attach(parent("web", "m3"), CONFIG, both, [web, other])
    assert [each["clusters"][0]["name"] for each in moved["spec"]["requiredBy"]] == ["m3", "m2"]
    left = detach(both, "default", "job", [web])
    assert (left["spec"]["conflictResolution"], left["spec"]["preserveResourcesOnDeletion"]) == ("Abort", False)
    alone = detach(left, "default", "web")
    assert set(alone["spec"]) == {"resource"}
    assert list(alone["metadata"]["labels"]) == [constants.RB_PERMANENT_ID]


def test_a_binding_with_a_policy_of_its_own_keeps_what_that_says() -> None:
    own = build_binding(CONFIG, policy(resourceSelectors=[selector("ConfigMap", "v1")], conflictResolution="Overwrite"))
    made, conflict = attach(parent("web", "m1"), CONFIG, own)
    assert (made["spec"]["conflictResolution"], conflict) == ("Overwrite", "")
    assert detach(made, "default", "web")["spec"]["conflictResolution"] == "Overwrite"


def test_an_earlier_object_is_waited_for() -> None:
    made, _ = attach(parent("web"), CONFIG, None)
    again = {**CONFIG, "metadata": {**CONFIG["metadata"], "uid": "new"}}  # type: ignore[dict-item]
    with pytest.raises(BindingError, match="issues/6034"):
        attach(parent("web"), again, made)


def test_the_annotation() -> None:
    found = [
        {"kind": "Secret", "apiVersion": "v1", "name": "s"},
        {"apiVersion": "v1", "kind": "X", "namespace": "n", "labelSelector": {"matchLabels": {"a": "b"}}},
    ]
    assert dependencies_text(found) == (
        '[{"apiVersion":"v1","kind":"Secret","name":"s"},'
        '{"apiVersion":"v1","kind":"X","namespace":"n","labelSelector":{"matchLabels":{"a":"b"}}}]'
    )
    assert dependencies_text(None) == "null"
    assert dependencies_text([]) == "[]"


@pytest.mark.parametrize(
    ("named", "where", "found"),
    [
        ({"namespace": "default", "name": "c"}, "default", True),
        ({"namespace": "other", "name": "c"}, "default", False),
        ({"name": "c"}, "default", False),
        ({"name": "c"}, "", True),
        ({"namespace": "default", "name": "c"}, "", False),
        ({"labelSelector": {"matchLabels": {"a": "b"}}}, "default", True),  # looks everywhere
        ({"namespace": "other", "labelSelector": {"matchLabels": {"a": "b"}}}, "default", False),
    ],
)
def test_what_is_depended_on(named: dict[str, Any], where: str, found: bool) -> None:
    resource = {"apiVersion": "v1", "kind": "X", "name": "c", "namespace": where}
    assert is_dependency(resource, {"a": "b"}, [{"apiVersion": "v1", "kind": "X", **named}]) is found
