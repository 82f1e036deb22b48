"""Rules of schemas: what is refused when they are declared, and what objects are told (the texts are kube-apiserver's)."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.cel.ruled import BUDGET, DefaultRules, compile_rules
from kafila.cel.rules import compiled, rule_findings
from kafila.cel.schema import declared, escaped, size_at, unescaped

Props = dict[str, Any]
TEXT: Props = {"type": "string", "maxLength": 9}


def schema(*rules: Props, **fields: Props) -> Props:
    spec = {"type": "object", "properties": fields, "x-kubernetes-validations": list(rules)}
    return {"type": "object", "properties": {"spec": spec}}


def refused(props: Props) -> list[str]:
    return [str(error) for error in rule_findings(props, "s", [])]


@pytest.mark.parametrize("name", ["a", "a-b", "a.b/c", "a__b", "if", "namespace", "_", "a_b"])
def test_names_of_fields(name: str) -> None:
    known = escaped(name)
    assert known is not None
    assert known.isidentifier()
    assert unescaped(known) == name


@pytest.mark.parametrize("name", ["", "1a", "a b", "ä", "a$"])
def test_fields_that_cannot_be_named(name: str) -> None:
    assert escaped(name) is None


def test_sizes() -> None:
    props = schema(
        a=TEXT, l={"type": "array", "maxItems": 3, "items": TEXT}, e={"type": "string", "enum": ["a", "bcd"]}
    )
    known = declared(props, True)
    assert known is not None
    found = [size_at(known, ("self", "spec", *path)) for path in (("a",), ("l",), ("l", "@items"), ("e",), ("nope",))]
    assert found == [36, 3, 36, 3, None]


def test_what_nothing_bounds_is_bounded_by_a_request() -> None:
    known = declared(schema(l={"type": "array", "items": {"type": "string"}}))
    assert known is not None
    assert size_at(known, ("self", "spec", "l")) == ((3 << 20) - 2) // 3


def test_no_rules() -> None:
    assert compile_rules({"type": "object", "properties": {"spec": {"type": "object"}}}) is None
    assert compile_rules(None) is None
    assert refused({"type": "object"}) == []


def test_rules_below_what_is_wrong_otherwise_are_not_looked_at() -> None:
    from kafila.core.errors import FieldError

    props = schema({"rule": "nope"}, a=TEXT)
    assert rule_findings(props, "s", [FieldError.required("s.properties[spec].properties[a].type")]) == []
    assert len(rule_findings(props, "s", [FieldError.required("s.properties[status].type")])) == 1


def test_a_rule_that_may_cost_too_much() -> None:
    inner = schema({"rule": "self.s.contains(self.s)"}, s={"type": "string"})["properties"]["spec"]
    (found, *_) = refused({"type": "object", "properties": {"l": {"type": "array", "items": inner}}})
    assert found.startswith(
        "s.properties[l].items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than"
        " 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are"
    )


def broken(props: Props, new: Any, old: Any = None) -> tuple[list[str], list[str]]:
    rules = compile_rules(props)
    assert rules is not None
    if old is None:
        return [str(error) for error in rules.new(new)], []
    found, warnings = rules.changed(new, old)
    return [str(error) for error in found], warnings


def test_transitions_need_what_was_before() -> None:
    props = schema({"rule": "self.a == oldSelf.a", "message": "fixed"}, a=TEXT)
    assert broken(props, {"spec": {"a": "x"}}) == ([], [])
    assert broken(props, {"spec": {"a": "x"}}, {"spec": {"a": "x"}}) == ([], [])
    assert broken(props, {"spec": {"a": "x"}}, {"spec": {"a": "y"}}) == (["spec: Invalid value: fixed"], [])


def test_optional_old() -> None:
    rule = {"rule": "oldSelf.hasValue() || self.a == 'x'", "optionalOldSelf": True}
    props = schema(rule, a=TEXT)
    assert broken(props, {"spec": {"a": "x"}}) == ([], [])
    assert broken(props, {"spec": {"a": "y"}})[0] == [f"spec: Invalid value: failed rule: {rule['rule']}"]
    assert broken(props, {"spec": {"a": "y"}}, {"spec": {"a": "x"}}) == ([], [])


def test_what_was_wrong_before_and_is_unchanged_is_a_warning() -> None:
    props = schema({"rule": "self.a == 'x'"}, a=TEXT)
    old = {"spec": {"a": "y"}}
    text = "spec: Invalid value: failed rule: self.a == 'x'"
    assert broken(props, {"spec": {"a": "y"}, "other": 1}, old) == ([], [text])
    assert broken(props, {"spec": {"a": "z"}}, old) == ([text], [])


def test_a_write_has_a_budget() -> None:
    rules = compile_rules(schema(*({"rule": f"lists.range(30).all(i, i >= -{n})"} for n in range(30))))
    assert rules is not None
    assert rules.new({"spec": {}}) == []
    said = "validation failed due to running out of cost budget, no further validation rules will be run"
    assert [str(error) for error in rules.new({"spec": {}}, 1000)] == [f'spec: Invalid value: "object": {said}']
    assert BUDGET == 10_000_000


def test_errors_are_findings() -> None:
    props = schema({"rule": "1 / (self.n - self.n) == 1"}, {"rule": "dyn(self.n) + 'a' == 'b'"}, n={"type": "integer"})
    assert broken(props, {"spec": {"n": 1}})[0] == [
        'spec: Invalid value: "object": division by zero evaluating rule: 1 / (self.n - self.n) == 1',
        "spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function or macro"
        " signature for rule: dyn(self.n) + 'a' == 'b'",
    ]


def test_defaults_are_checked_with_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafila.cel.ruled.BUDGET", 1_000_000)
    dear = {
        "type": "integer",
        "default": 1,
        "x-kubernetes-validations": [{"rule": "lists.range(1000).all(i, lists.range(90).all(j, i + j >= -self))"}],
    }
    props = {"type": "object", "properties": {f"f{n}": {**dear} for n in range(40)}}
    check = DefaultRules(props)
    found = [check(child, name, 1) for name, child in props["properties"].items()]
    assert [error.detail for errors in found for error in errors] == [
        "validation failed due to running out of cost budget, no further validation rules will be run"
    ]
    assert found[-1] == []


def test_of_nested_defaults_each_rule_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    props: dict[str, Any] = {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 3"}]}
    value: Any = 5
    for _ in range(40):
        value = {"a": value}
        props = {"type": "object", "properties": {"a": props}, "default": value}
    count = 0

    def counted(*given: Any) -> Any:
        nonlocal count
        count += 1
        return compiled(*given)

    monkeypatch.setattr("kafila.cel.ruled.compiled", counted)
    check = DefaultRules(props)
    while props.get("properties"):
        assert check(props, "x", props["default"]) == []
        props = props["properties"]["a"]
    assert count == 1
