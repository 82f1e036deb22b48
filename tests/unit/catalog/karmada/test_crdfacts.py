"""The models against what the CustomResourceDefinitions of Karmada 1.18 say (crdfacts.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kafila.catalog.karmada.kinds import _ROWS, kinds
from kafila.catalog.karmada.model import Model
from kafila.catalog.karmada.shapes import Shape, members
from kafila.catalog.tables import schema_of
from kafila.machinery.schema import Schema

FACTS = json.loads(Path(__file__).with_name("crdfacts.json").read_text())
ROWS = {(row.kind, row.version): row for row in _ROWS}
KINDS = {(kind.kind, kind.version): kind for kind in kinds()}
TYPES = {
    "struct": "object",
    "map": "object",
    "list": "array",
    "string": "string",
    "integer": "integer",
    "boolean": "boolean",
    "time": "string",
    "bytes": "string",
}
OURS = {  # what is open in Karmada (issue 7767): staged rollouts
    "spec: field rolloutStrategy",
    "spec: field rollout",
    "status: field rollout",
}
SINCE_1_19 = {"spec.clusters[]: field components", "spec.requiredBy[].clusters[]: field components"}
_ids = [f"{fact['kind']}-{fact['version']}" for fact in FACTS]


def differences_of_model(path: str, fact: dict[str, Any], model: type[Model]) -> list[str]:
    ours = {member.name: member for member in members(model)}
    theirs = fact.get("properties", {})
    out = [f"{path}: field {name}" for name in ours.keys() ^ theirs.keys()]
    required = {name for name, member in ours.items() if member.required}
    out += [f"{path}: required {name}" for name in required ^ set(fact.get("required", ()))]
    for name in ours.keys() & theirs.keys():
        if theirs[name].get("default") != ours[name].default:
            out.append(f"{path}.{name}: default")
        out += differences_of_shape(f"{path}.{name}", theirs[name], ours[name].shape)
    return out


def differences_of_shape(path: str, fact: dict[str, Any], shape: Shape) -> list[str]:
    if shape.kind == "ref":
        return differences_of_definition(path, fact, schema_of(shape.ref))
    if shape.kind == "int-or-string":
        same = fact.get("x-kubernetes-int-or-string") and fact["pattern"] == shape.pattern
        return [] if same else [f"{path}: quantity"]
    if shape.kind == "any":
        same = fact.get("x-kubernetes-preserve-unknown-fields") and fact.get("type", "") == shape.format
        return [] if same else [f"{path}: raw"]
    is_list = shape.kind == "list"
    limits = {
        "type": TYPES[shape.kind],
        "minimum": shape.minimum,
        "maximum": shape.maximum,
        "pattern": shape.pattern or None,
        "minItems" if is_list else "minLength": shape.shortest,
        "maxItems" if is_list else "maxLength": shape.longest,
    }
    out = [f"{path}: {name} {fact.get(name)} {value}" for name, value in limits.items() if fact.get(name) != value]
    if tuple(fact.get("enum", ())) != shape.enum:
        out.append(f"{path}: enum")
    if tuple(fact.get("x-kubernetes-list-map-keys", ())) != shape.keys:
        out.append(f"{path}: keys")
    if fact.get("format", shape.format) != shape.format:
        out.append(f"{path}: format")
    if shape.model is not None:
        return out + differences_of_model(path, fact, shape.model)
    if shape.items is not None:
        return out + differences_of_shape(
            f"{path}[]", fact["items" if is_list else "additionalProperties"], shape.items
        )
    return out


def differences_of_definition(path: str, fact: dict[str, Any], schema: Schema) -> list[str]:
    if schema.kind == "struct":
        theirs = fact.get("properties", {})
        out = [f"{path}: field {name}" for name in schema.fields.keys() ^ theirs.keys()]
        for name in schema.fields.keys() & theirs.keys():
            out += differences_of_definition(f"{path}.{name}", theirs[name], schema.fields[name])
        return out
    if schema.kind == "list" and schema.items is not None:
        out = differences_of_definition(f"{path}[]", fact["items"], schema.items)
        return out if fact.get("x-kubernetes-list-type", "atomic") == schema.list_type else [*out, f"{path}: list type"]
    if schema.kind == "map" and schema.items is not None:
        return differences_of_definition(f"{path}{{}}", fact["additionalProperties"], schema.items)
    return []


@pytest.mark.parametrize("fact", FACTS, ids=_ids)
def test_fields_are_those_of_the_definition(fact: dict[str, Any]) -> None:
    row = ROWS[fact["kind"], fact["version"]]
    found = {
        text.removeprefix(f"{fact['kind']}.") for text in differences_of_model(fact["kind"], fact["schema"], row.model)
    }
    assert found <= SINCE_1_19 | OURS
    assert not found & SINCE_1_19 or fact["version"] == "v1alpha2"


@pytest.mark.parametrize("fact", FACTS, ids=_ids)
def test_names_scope_and_columns_are_those_of_the_definition(fact: dict[str, Any]) -> None:
    row, kind = ROWS[fact["kind"], fact["version"]], KINDS[fact["kind"], fact["version"]]
    assert (kind.group, kind.plural, kind.singular) == (fact["group"], fact["plural"], fact["singular"])
    assert list(kind.short_names) == fact["shortNames"]
    assert list(kind.categories) == fact["categories"]
    assert kind.namespaced == fact["namespaced"]
    assert ("status" in kind.subresources) == fact["status"]
    assert (kind.storage_version == "") == fact["storage"]
    assert [list(column[:3]) for column in row.columns] == fact["columns"]
    shown = [c[0] for c in fact["columns"]] or ["Age"]
    assert [column.name for column in kind.columns] == ["Name", *shown]


def test_every_definition_has_a_kind() -> None:
    assert ROWS.keys() == {(fact["kind"], fact["version"]) for fact in FACTS}
    assert KINDS.keys() - ROWS.keys() == {("Cluster", "v1alpha1"), ("ResourceRegistry", "v1alpha1")}
