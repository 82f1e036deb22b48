"""What follows from a CustomResourceDefinition alone: names, conditions, kinds."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.catalog import Catalog
from kafila.catalog.custom.conditions import api_approval, non_structural_schema
from kafila.catalog.custom.definition import deprecation_warning, unevaluated
from kafila.catalog.custom.kinds import kinds_of
from kafila.catalog.custom.naming import accept_names

Object = dict[str, Any]


def crd(plural: str = "foos", kind: str = "Foo", accepted: Object | None = None, **names: Any) -> Object:
    given = {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List", **names}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    return {
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": given, "versions": [version]},
        "status": {} if accepted is None else {"acceptedNames": accepted},
    }


def accepted(made: Object) -> Object:
    names, _ = accept_names(made, [])
    return {**made, "status": {"acceptedNames": names}}


def test_free_names_are_accepted() -> None:
    names, condition = accept_names(crd(shortNames=["fo"], categories=["all"]), [accepted(crd("bars", "Bar"))])
    assert names == {
        "plural": "foos",
        "singular": "foo",
        "shortNames": ["fo"],
        "kind": "Foo",
        "listKind": "FooList",
        "categories": ["all"],
    }
    assert (condition["status"], condition["reason"], condition["message"]) == (
        "True",
        "NoConflicts",
        "no conflicts found",
    )


@pytest.mark.parametrize(
    ("names", "reason", "message"),
    [
        ({"plural": "foo", "kind": "Bar"}, "PluralConflict", '"foo" is already in use'),
        ({"plural": "bars", "kind": "Bar", "singular": "fo"}, "SingularConflict", '"fo" is already in use'),
        ({"plural": "bars", "kind": "Bar", "shortNames": ["fo", "b"]}, "ShortNamesConflict", '"fo" is already in use'),
        (
            {"plural": "bars", "kind": "Bar", "shortNames": ["fo", "foos"]},
            "ShortNamesConflict",
            '["fo" is already in use, "foos" is already in use]',
        ),
        ({"plural": "bars", "kind": "FooList", "listKind": "L"}, "KindConflict", '"FooList" is already in use'),
        ({"plural": "bars", "kind": "Bar", "listKind": "Foo"}, "ListKindConflict", '"Foo" is already in use'),
    ],
)
def test_names_in_use(names: Object, reason: str, message: str) -> None:
    got, condition = accept_names(crd(**names), [accepted(crd(shortNames=["fo"]))])
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", reason, message)
    assert len(got) >= 3  # the others are accepted


def test_a_conflict_keeps_what_was_accepted_before() -> None:
    mine = accepted(crd())
    mine["spec"]["names"]["kind"] = "Bar"
    names, condition = accept_names(mine, [accepted(crd("bars", "Bar"))])
    assert names["kind"] == "Foo"
    assert condition["reason"] == "KindConflict"


def test_the_catalog_changes_with_the_definition() -> None:
    made = accepted(crd(shortNames=["fo"]))
    catalog = Catalog(kinds_of(made))
    kind = catalog.get("example.com", "v1", "foos")
    assert kind is not None
    assert (kind.kind, kind.list_name, kind.namespaced, kind.subresources) == ("Foo", "FooList", True, ())
    made["spec"]["versions"][0]["subresources"] = {
        "status": {},
        "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
    }
    catalog.add(kinds_of(made))
    changed = catalog.get("example.com", "v1", "foos")
    assert changed is not None
    assert changed.subresources == ("scale", "status")
    catalog.remove([changed])
    assert len(catalog) == 0


def test_a_stored_version_that_is_not_served() -> None:
    made = accepted(crd())
    other = {**made["spec"]["versions"][0], "name": "v2", "storage": False}
    made["spec"]["versions"] = [{**made["spec"]["versions"][0], "served": False}, other]
    catalog = Catalog(kinds_of(made))
    assert [kind.version for kind in catalog] == ["v2"]
    stored = catalog.storage_kind("foos.example.com")
    assert stored is not None
    assert (stored.version, stored.storage_version) == ("v2", "v1")


def test_deprecation() -> None:
    made = crd()
    made["spec"]["versions"] = [
        {"name": "v1beta1", "served": True, "deprecated": True},
        {"name": "v1", "served": True},
        {"name": "v2alpha1", "served": True},
    ]
    assert deprecation_warning(made, made["spec"]["versions"][0]) == (
        "example.com/v1beta1 Foo is deprecated; use example.com/v1 Foo"
    )
    assert deprecation_warning(made, made["spec"]["versions"][1]) == ""
    made["spec"]["versions"][0]["deprecationWarning"] = "go away"
    assert deprecation_warning(made, made["spec"]["versions"][0]) == "go away"


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        ("", "False", "MissingAnnotation"),
        ("unapproved, for tests", "False", "UnapprovedAnnotation"),
        ("https://github.com/kubernetes/kubernetes/pull/1", "True", "ApprovedAnnotation"),
        ("me", "False", "InvalidAnnotation"),
    ],
)
def test_approval_of_protected_groups(value: str, status: str, reason: str) -> None:
    made = crd()
    assert api_approval(made) is None
    made["spec"]["group"] = "x.k8s.io"
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": value}
    condition = api_approval(made)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == (status, reason)


def test_non_structural_schema() -> None:
    made = crd()
    assert non_structural_schema(made) is None
    made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = {"a": {}}
    condition = non_structural_schema(made)
    assert condition is not None
    assert condition["reason"] == "Violations"
    assert condition["message"].endswith("Required value: must not be empty for specified object fields")


def test_what_is_not_acted_on_is_said() -> None:
    made = crd()
    assert unevaluated(made) == []
    version = made["spec"]["versions"][0]
    version["selectableFields"] = [{"jsonPath": ".spec.a"}]
    version["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] = [{"rule": "true"}]
    made["spec"]["conversion"] = {"strategy": "Webhook"}
    assert len(unevaluated(made)) == 3
