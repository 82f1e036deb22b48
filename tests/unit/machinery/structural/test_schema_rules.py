from __future__ import annotations

from typing import Any

import pytest

from kafila.machinery.structural.schemarules import schema_findings

Props = dict[str, Any]
PRESERVE = "x-kubernetes-preserve-unknown-fields"


def findings(schema: Any, path: str, status: bool) -> list[Any]:
    return schema_findings(schema, path, status, lambda _props, _path, _default: [])[0]


def texts(spec: Props, **root: Any) -> list[str]:
    schema = {"type": "object", "properties": {"spec": spec}, **root}
    return [str(error) for error in findings(schema, "schema", True)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "object"}, []),
        ({PRESERVE: True}, []),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, []),
        ({}, ["schema.properties[spec].type: Required value: must not be empty for specified object fields"]),
        ({"type": "array"}, ["schema.properties[spec].items: Required value: must be specified"]),
        (
            {"type": "string", "anyOf": [{"type": "string"}]},
            ["schema.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural"],
        ),
        ({"type": "object", "oneOf": [{"properties": {"a": {"minLength": 1}}}]}, []),
        (
            {"type": "strng"},
            [
                'schema.properties[spec].type: Unsupported value: "strng": supported values: '
                '"array", "boolean", "integer", "number", "object", "string"'
            ],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            [
                "schema.properties[spec].additionalProperties: Forbidden: additionalProperties and properties are "
                "mutual exclusive"
            ],
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            [
                "schema.properties[spec].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime "
                "complexity becomes quadratic"
            ],
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}},
            [
                "schema.properties[spec].x-kubernetes-list-map-keys: Required value: must not be empty if "
                "x-kubernetes-list-type is map"
            ],
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
                "items": {"type": "object", "properties": {"a": {"type": "string"}}},
            },
            [
                "schema.properties[spec].items.properties[a].default: Required value: this property is in "
                "x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ],
        ),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True},
            [
                "schema.properties[spec].properties: Required value: must not be empty if "
                f"x-kubernetes-embedded-resource is true without {PRESERVE}"
            ],
        ),
        (
            {"type": "integer", "default": "x"},
            ['schema.properties[spec].default: Invalid value: "string":  in body must be of type integer: "string"'],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}},
            ['schema.properties[spec].default: Invalid value: {"b":1}: must not have unknown fields'],
        ),
        (
            {"type": "object", "x-kubernetes-validations": [{"rule": " "}]},
            ["schema.properties[spec].x-kubernetes-validations[0].rule: Required value: rule is not specified"],
        ),
    ],
)
def test_findings(spec: Props, expected: list[str]) -> None:
    assert texts(spec) == expected


def test_combinations_at_the_root_must_be_of_specified_fields() -> None:
    found = findings({"type": "object", "anyOf": [{"properties": {"a": {"minLength": 1}}}]}, "schema", False)
    assert [str(error) for error in found] == [
        "schema.properties[a]: Required value: because it is defined in schema.anyOf[0].properties[a]"
    ]


def test_the_root() -> None:
    assert texts({"type": "object"}, nullable=True) != []
    assert texts({"type": "object"}, oneOf=[{"required": ["spec"]}])[0].endswith(
        "fields are allowed at the root of the schema if the status subresource is enabled"
    )
    metadata = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 9}}}
    assert findings({"type": "object", "properties": {"metadata": metadata}}, "schema", True) == []
    metadata["properties"]["labels"] = {"type": "object"}
    assert [str(e) for e in findings({"type": "object", "properties": {"metadata": metadata}}, "schema", True)] == [
        "schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata "
        "is implicitly specified"
    ]
