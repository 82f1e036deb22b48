"""Validation in kube-openapi's words; texts as kube-apiserver 1.36 gives them."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.machinery.structural.lists import compile_list_types
from kafila.machinery.structural.validation import compile_validation

Props = dict[str, Any]


def texts(schema: Props, value: Any) -> list[str]:
    validate, _ = compile_validation({"type": "object", "properties": {"spec": schema}})
    return [str(error) for error in validate({"spec": value})]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 1, ['spec: Invalid value: "integer": spec in body must be of type string: "integer"']),
        ({"type": "string"}, None, ['spec: Invalid value: "null": spec in body must be of type string: "null"']),
        ({"type": "string", "nullable": True}, None, []),
        ({"type": "integer"}, 1.0, []),
        (
            {"type": "integer"},
            1.5,
            [
                'spec: Invalid value: "number": spec in body must be of type integer: "number"',
                '<nil>: Invalid value: "": Checked value must be of type integer (default format) in spec',
            ],
        ),
        (
            {"type": "integer"},
            True,
            ['spec: Invalid value: "boolean": spec in body must be of type integer: "boolean"'],
        ),
        ({"type": "number"}, 3, []),
        ({"type": "object"}, [], ['spec: Invalid value: "array": spec in body must be of type object: "array"']),
        ({"x-kubernetes-int-or-string": True}, "80%", []),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            ['spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean"'],
        ),
        ({"type": "string", "maxLength": 2}, "abc", ["spec: Too long: may not be more than 2 bytes"]),
        (
            {"type": "string", "minLength": 2},
            "a",
            ['spec: Invalid value: "a": spec in body should be at least 2 chars long'],
        ),
        ({"type": "string", "pattern": "^a$"}, "b", ["spec: Invalid value: \"b\": spec in body should match '^a$'"]),
        (
            {"type": "string", "pattern": "^a$"},
            "a\n",
            ["spec: Invalid value: \"a\\n\": spec in body should match '^a$'"],
        ),
        ({"type": "string", "pattern": r"^\p{Greek}+\z"}, "αβ", []),
        (
            {"type": "string", "enum": ["b", "a"]},
            "c",
            ['spec: Unsupported value: "c": supported values: "b", "a"'],
        ),
        ({"type": "integer", "enum": [1, 2]}, 3, ['spec: Unsupported value: 3: supported values: "1", "2"']),
        (
            {"type": "integer", "minimum": 1, "multipleOf": 4},
            -1,
            [
                "spec: Invalid value: -1: spec in body should be a multiple of 4",
                "spec: Invalid value: -1: spec in body should be greater than or equal to 1",
            ],
        ),
        (
            {"type": "number", "maximum": 1000000, "exclusiveMaximum": True},
            2000000.5,
            ["spec: Invalid value: 2000000.5: spec in body should be less than 1e+06"],
        ),
        (
            {"type": "integer", "format": "int32"},
            2**31,
            ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec'],
        ),
        (
            {"type": "array", "items": {"type": "integer"}, "maxItems": 1},
            [1, "x"],
            [
                'spec[1]: Invalid value: "string": spec[1] in body must be of type integer: "string"',
                "spec: Too many: 2: must have at most 1 item",
            ],
        ),
        ({"type": "array", "minItems": 1}, [], ["spec: Invalid value: 0: spec in body should have at least 1 items"]),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, ["spec: Too many: 2: must have at most 1 item"]),
        (
            {"type": "object", "minProperties": 1},
            {},
            ["spec: Invalid value: 0: spec in body should have at least 1 properties"],
        ),
        ({"type": "object", "required": ["a", "b"]}, {"b": 1}, ["spec.a: Required value"]),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"k": 1},
            ['spec.k: Invalid value: "integer": spec.k in body must be of type string: "integer"'],
        ),
        (
            {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            ['<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)', "spec.a: Required value"],
        ),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 2},
            [
                '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives'
            ],
        ),
        (
            {"type": "string", "not": {"enum": ["a"]}},
            "a",
            ['<nil>: Invalid value: "": "spec" must not validate the schema (not)'],
        ),
        (
            {"type": "string", "allOf": [{"minLength": 2}, {"maxLength": 5}]},
            "a",
            [
                'spec: Invalid value: "a": spec in body should be at least 2 chars long',
                '<nil>: Invalid value: "": "spec" must validate all the schemas (allOf)',
            ],
        ),
        (
            {"type": "string", "format": "date-time"},
            "yesterday",
            ['spec: Invalid value: "yesterday": spec in body must be of type date-time: "yesterday"'],
        ),
        ({"type": "string", "format": "unheard-of"}, "x", []),
    ],
)
def test_words(schema: Props, value: Any, expected: list[str]) -> None:
    assert texts(schema, value) == expected


@pytest.mark.parametrize(
    ("format", "good", "bad"),
    [
        ("date", ["2026-02-28"], ["2026-02-30", "26-02-01", ""]),
        ("date-time", ["2026-02-28T23:59:59Z", "2026-02-28t01:02:03.5+01:00"], ["2026-02-28", "2026-02-28T24:00:00Z"]),
        ("duration", ["1h30m", "22 ns", "3 days"], ["", "soon"]),
        ("ipv4", ["10.0.0.1", "010.0.0.1"], ["10.0.0", "::1", "256.1.1.1"]),
        ("ipv6", ["::1", "fe80::1"], ["10.0.0.1", "g::"]),
        ("cidr", ["10.0.0.0/8", "::/0"], ["10.0.0.0", "10.0.0.0/33"]),
        ("mac", ["00:00:5e:00:53:01", "0000.5e00.5301"], ["00:00:5e"]),
        ("uuid", ["0f8fad5b-d9cb-469f-a165-70867728950e"], ["0f8fad5b"]),
        ("uri", ["https://example.com/a?b", "/path"], ["example", ""]),
        ("email", ["a@example.com"], ["a.example.com", "@b"]),
        ("hostname", ["example.com", "a"], ["-a-", ""]),
        ("byte", ["YWI=", "YWJj"], ["YW", "Y*==", ""]),
        ("hexcolor", ["#fff", "00ff00"], ["#ff"]),
        ("isbn10", ["0321751043"], ["0321751044"]),
        ("isbn13", ["978-0321751041"], ["978-0321751042"]),
        ("creditcard", ["4111 1111 1111 1111"], ["4111 1111 1111 1112"]),
        ("k8s-short-name", ["a-1"], ["A", "a.b"]),
        ("k8s-long-name", ["a.b"], ["A.b"]),
        ("password", [""], []),
    ],
)
def test_formats(format: str, good: list[str], bad: list[str]) -> None:
    schema = {"type": "string", "format": format}
    assert [value for value in good if texts(schema, value)] == []
    assert [value for value in bad if not texts(schema, value)] == []


ITEMS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer", "maximum": 5}}},
}
SPEC = {"type": "object", "required": ["must"], "properties": {"n": {"type": "integer", "maximum": 5}, "list": ITEMS}}


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ({"n": 9, "must": 1}, {"n": 9, "must": 2}, []),
        ({"n": 9, "must": 1}, {"n": 8, "must": 1}, ["spec.n"]),
        ({"n": 9}, {"n": 9}, []),
        ({"n": 1}, {"n": 2}, ["spec.must"]),  # the object that lacks something has changed
        ({"must": 1, "list": [{"name": "a", "n": 9}]}, {"must": 1, "list": [{"name": "b"}, {"name": "a", "n": 9}]}, []),
        (
            {"must": 1, "list": [{"name": "a", "n": 9}]},
            {"must": 1, "list": [{"name": "b", "n": 9}]},
            ["spec.list[0].n"],
        ),
    ],
)
def test_an_update_may_leave_wrong_what_it_does_not_touch(old: Any, new: Any, fields: list[str]) -> None:
    _, update = compile_validation({"type": "object", "properties": {"spec": SPEC}})
    assert [error.field for error in update({"spec": new}, {"spec": old})] == fields


def test_status_is_validated_by_itself() -> None:
    _, update = compile_validation({"type": "object", "properties": {"n": {"type": "integer"}}}, "status")
    assert [str(e) for e in update({"n": "x"}, {})] == [
        'status.n: Invalid value: "string": n in body must be of type integer: "string"'
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"list": [{"name": "a"}, {"name": "b"}]}, []),
        ({"list": [{"name": "a"}, {"name": "a"}]}, ['spec.list[1]: Duplicate value: {"name":"a"}']),
        ({"list": [{}, {}, {}]}, ["spec.list[1]: Duplicate value: {}"]),
        (
            {"list": ["x"]},
            ['spec.list[0]: Invalid value: "x": must be an object for an array of list-type map'],
        ),
        ({"set": [1, "1", 1]}, ["spec.set[2]: Duplicate value: 1"]),
        ({"map": {"k": [1, 1]}}, ["spec.map[k][1]: Duplicate value: 1"]),
    ],
)
def test_uniqueness(value: Any, expected: list[str]) -> None:
    unique = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}}
    known = {"list": ITEMS, "set": unique, "map": {"type": "object", "additionalProperties": unique}}
    check = compile_list_types({"type": "object", "properties": {"spec": {"type": "object", "properties": known}}})
    assert check is not None
    assert [str(error) for error in check({"spec": value})] == expected
