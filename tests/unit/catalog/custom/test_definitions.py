"""What follows from a CustomResourceDefinition alone: names, conditions, kinds."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from kafila.catalog.catalog import Catalog
from kafila.catalog.custom.conditions import api_approval, non_structural_schema
from kafila.catalog.custom.definition import deprecation_warning
from kafila.catalog.custom.kinds import kinds_of
from kafila.catalog.custom.naming import accept_names
from kafila.core.values import Object


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


TEXT: Object = {"type": "string"}
PARTS: Object = {
    "text": {"type": "string", "pattern": "^[a-z]{1,20}$", "format": "date-time", "default": "x"},
    "object": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    "anything": {"x-kubernetes-preserve-unknown-fields": True},
    "either": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
    "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": TEXT}}},
    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
    "keyed": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["a"],
        "items": {"type": "object", "required": ["a"], "properties": {"a": TEXT}},
    },
    "rules": {"type": "object", "properties": {"a": TEXT}, "x-kubernetes-validations": [{"rule": "self.a == 'x'"}]},
    "choice": {
        "type": "object",
        "properties": {"a": TEXT},
        "oneOf": [{"required": ["a"]}],
        "not": {"minProperties": 9},
    },
}


def test_what_was_compiled_goes_with_its_last_user() -> None:
    """It is nothing that the collector of cycles would have to look for."""
    made = accepted(crd())
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": PARTS}}}
    version = {**made["spec"]["versions"][0], "schema": {"openAPIV3Schema": schema}}
    version["subresources"] = {
        "status": {},
        "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
    }
    version["additionalPrinterColumns"] = [{"name": "A", "type": "string", "jsonPath": ".spec.text"}]
    made["spec"]["versions"] = [version, {**version, "name": "v2", "storage": False}]
    kinds_of(made)  # what all share
    gc.collect()
    gc.disable()
    try:
        kinds = kinds_of(made)
        gone = [weakref.ref(kind.decode) for kind in kinds]
        del kinds
        assert [left for left in gone if left() is not None] == []
        assert gc.collect() == 0
    finally:
        gc.enable()
