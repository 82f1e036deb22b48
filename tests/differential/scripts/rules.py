"""Rules of custom kinds (x-kubernetes-validations): how definitions with them are refused, and what objects that break them are told.

The expressions are those of tests/unit/cel/answers.jsonl as far as they can be asked of an object's fields, many in one
definition: each is a cause of its own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from differential.steps import MERGE, Case

ANSWERS: Final = Path(__file__).parents[2] / "unit" / "cel" / "answers.jsonl"
GROUP: Final = "rules.diff.example.com"
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TOGETHER: Final = 20  # rules in one definition
_FIELDS: Final[dict[str, Any]] = {
    "n": {"type": "integer"},
    "d": {"type": "number"},
    "s": {"type": "string", "maxLength": 25},
    "b": {"type": "boolean"},
    "by": {"type": "string", "format": "byte", "maxLength": 20},
    "l": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
    "ls": {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 10}},
    "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer"}},
    "ts": {"type": "string", "format": "date-time"},
    "du": {"type": "string", "format": "duration"},
}
_VALUES: Final[dict[str, Any]] = {
    "n": 7,
    "d": 2.5,
    "s": "hello wörld",
    "b": True,
    "by": "YWJj",
    "l": [1, 2, 3],
    "ls": ["a", "bb", "ccc"],
    "m": {"one": 1},
    "ts": "2024-02-29T12:30:45.123456789Z",
    "du": "90m",
}
_LITERAL: Final = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<![.\w`])(n|d|s|b|by|l|ls|m|ts|du)(?![\w('"])"""
)
_ELSEWHERE: Final = re.compile(r"(?<![.\w'\"])(?:x|u|missing)(?!\w)")  # fields that no schema can say


def expressions() -> tuple[list[str], list[str]]:
    """As rules about ``self``: those that compile, and those that do not."""
    good: list[str] = []
    bad: list[str] = []
    for line in ANSWERS.read_text().splitlines():
        answer = json.loads(line)
        text = answer["expression"]
        if _ELSEWHERE.search(text) or "\n" in text or not text.isprintable() or len(text) > 200 or "\t" in text:
            continue
        if (
            re.search(r"\b(?:all|map|filter|exists)\(n,", text) or "//" in text
        ):  # a variable that is called as the field
            continue
        asked = _LITERAL.sub(lambda found: found[1] or f"self.{found[2]}", text)
        if "compile" in answer or "plan" in answer:
            bad.append(asked)
        elif answer["max"] > 1_000_000:  # such a definition is refused whole
            continue
        elif answer["type"] == "bool":
            good.append(asked)
        else:
            good.append(f"[{asked}].size() == 2")  # false, where it has a value
    return good, bad


def _batches(all_of_them: list[str]) -> list[list[str]]:
    return [all_of_them[at : at + TOGETHER] for at in range(0, len(all_of_them), TOGETHER)]


def definition(name: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **more}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}s.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": f"{name}s", "singular": name, "kind": name.capitalize()},
            "versions": [version],
        },
    }


def with_rules(rules: list[dict[str, Any]], fields: dict[str, Any] = _FIELDS) -> dict[str, Any]:
    spec = {"type": "object", "properties": fields, "x-kubernetes-validations": rules}
    return {"type": "object", "properties": {"spec": spec}}


def _objects(name: str) -> str:
    return f"/apis/{GROUP}/v1/namespaces/{{ns}}/{name}s"


def _object(name: str, spec: Any, called: str = "one", **more: Any) -> dict[str, Any]:
    kind = name.capitalize()
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": called}, "spec": spec, **more}


def _define(case: Case, name: str, schema: dict[str, Any], **more: Any) -> None:
    case.ask(f"define {name}", "POST", DEFINITIONS, definition(name, schema, **more))


def _wait(case: Case) -> None:
    """Until what was defined is served."""
    nothing = "/api/v1/namespaces/{ns}/configmaps?watch=1&timeoutSeconds=4&resourceVersion=0"
    case.ask("wait", "GET", f"{nothing}&fieldSelector=metadata.name%3Dnone")


def cases() -> list[Case]:
    kind = "CustomResourceDefinition.apiextensions.k8s.io"
    out = []
    for name, fill in (
        ("refused", _refused),
        ("evaluated", _evaluated),
        ("declared", _declared),
        ("defaults", _defaults),
        ("costs", _costs),
        ("kept", _kept),
        ("lists", _lists),
        ("selected", _selected),
    ):
        case = Case("rules", name, kind, f"rules-{name}")
        fill(case)
        out.append(case)
    return out


def _refused(case: Case) -> None:
    for index, batch in enumerate(_batches(expressions()[1])):
        rules = [{"rule": text} for text in batch]
        case.ask(f"refused {index}", "POST", f"{DEFINITIONS}?dryRun=All", definition("bad", with_rules(rules)))


def _evaluated(case: Case) -> None:
    batches = _batches(expressions()[0])
    for index, batch in enumerate(batches):
        _define(case, f"ev{index}x", with_rules([{"rule": text} for text in batch]))
    _wait(case)
    for index in range(len(batches)):
        name = f"ev{index}x"
        case.ask(f"create {name}", "POST", f"{_objects(name)}?dryRun=All", _object(name, _VALUES))


_PLAIN: Final = {"a": {"type": "string", "maxLength": 9}, "n": {"type": "integer"}}
# what is wrong with a rule, or is not
_RULES: Final[dict[str, dict[str, Any]]] = {
    "not bool": {"rule": "self.n"},
    "empty": {"rule": ""},
    "blank": {"rule": "  "},
    "message": {"rule": "true", "message": "m", "reason": "FieldValueRequired", "fieldPath": ".a"},
    "message blank": {"rule": "true", "message": "  "},
    "message of two lines": {"rule": "true", "message": "a\nb"},
    "rule of two lines": {"rule": "true &&\ntrue"},
    "rule of two lines with message": {"rule": "true &&\ntrue", "message": "m"},
    "reason": {"rule": "true", "reason": "Nope"},
    "field path": {"rule": "true", "fieldPath": ".nope"},
    "field path without dot": {"rule": "true", "fieldPath": "a"},
    "field path in brackets": {"rule": "true", "fieldPath": "['a']"},
    "field path open": {"rule": "true", "fieldPath": "['a'"},
    "field path blank": {"rule": "true", "fieldPath": " "},
    "field path below a scalar": {"rule": "true", "fieldPath": ".a.b"},
    "message expression": {"rule": "true", "messageExpression": "'a' + self.a"},
    "message expression no text": {"rule": "true", "messageExpression": "self.n"},
    "message expression wrong": {"rule": "true", "messageExpression": "self.nope"},
    "message expression blank": {"rule": "true", "messageExpression": "  "},
    "old": {"rule": "self.n == oldSelf.n"},
    "old optional": {"rule": "!oldSelf.hasValue() || oldSelf.value().n == self.n", "optionalOldSelf": True},
    "old optional unused": {"rule": "true", "optionalOldSelf": True},
    "old optional false": {"rule": "true", "optionalOldSelf": False},
    "old optional used as itself": {"rule": "oldSelf.n == 1", "optionalOldSelf": True},
    "unknown function": {"rule": "nope(self.a)"},
    "unknown field": {"rule": "self.nope == 1"},
    "regex": {"rule": "self.a.matches('[')"},
    "find regex": {"rule": "self.a.find('[') == ''"},
    "duration": {"rule": "duration('x') == duration('1s')"},
    "constant that fails": {"rule": "int('x') == 1"},
    "two": {"rule": "self.nope == foo(1)"},
}


def _declared(case: Case) -> None:
    url = f"{DEFINITIONS}?dryRun=All"
    for name, rule in _RULES.items():
        case.ask(name, "POST", url, definition("bad", with_rules([rule], _PLAIN)))
    rule = [{"rule": "self == oldSelf"}]
    for kind, more in (("atomic", {}), ("set", {}), ("map", {"x-kubernetes-list-map-keys": ["a"]})):
        element: dict[str, Any] = {"type": "object", "properties": _PLAIN, "required": ["a"]}
        if kind == "set":
            element["x-kubernetes-map-type"] = "atomic"
        inner = {**element, "x-kubernetes-validations": rule}
        listed = {"type": "array", "maxItems": 3, "x-kubernetes-list-type": kind, "items": inner, **more}
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"l": listed}}}}
        case.ask(f"old in a list of kind {kind}", "POST", url, definition("bad", schema))
    for name, field, text in (
        ("escaped", {"a-b": {"type": "string"}, "if": {"type": "integer"}, "a__b": {"type": "string"}},
         "self.a__dash__b == 'a' && self.__if__ == 1 && self.a__underscores__b == ''"),
        ("not escaped", {"a-b": {"type": "string"}}, "self.a-b == 'a'"),
        ("cannot be named", {"a b": {"type": "string"}}, "self.a b == 'a'"),
        ("preserved", {"p": {"x-kubernetes-preserve-unknown-fields": True}}, "self.p == 1"),
        ("int or string", {"p": {"x-kubernetes-int-or-string": True}}, "self.p == 1 || self.p == 'a'"),
        ("embedded", {"p": {"type": "object", "x-kubernetes-embedded-resource": True,
                            "x-kubernetes-preserve-unknown-fields": True}}, "self.p.metadata.name == 'a' && self.p.kind == 'b'"),
        ("embedded unknown", {"p": {"type": "object", "x-kubernetes-embedded-resource": True,
                                    "x-kubernetes-preserve-unknown-fields": True}}, "self.p.spec == 1"),
        ("nullable", {"p": {"type": "string", "nullable": True}}, "self.p == null || self.p == 'a'"),
    ):  # fmt: skip
        case.ask(name, "POST", url, definition("bad", with_rules([{"rule": text}], field)))
    root = {"type": "object", "properties": {"spec": {"type": "object"}}}
    for name, text in (
        ("root metadata", "self.metadata.name.startsWith('a') && self.kind != ''"),
        ("root labels", "self.metadata.labels == {}"),
    ):
        case.ask(name, "POST", url, definition("bad", {**root, "x-kubernetes-validations": [{"rule": text}]}))


def _defaults(case: Case) -> None:
    """Rules about the defaults of a schema, which is refused where it breaks them itself."""
    integer, ruled = {"type": "integer"}, "x-kubernetes-validations"
    inner = {"type": "object", "properties": {"n": {**integer, ruled: [{"rule": "self > 3"}]}}}
    listed = {"type": "array", "maxItems": 3, "items": {**integer, ruled: [{"rule": "self > 3", "message": "small"}]}}
    costly = "[1, 2, 3, 4, 5, 6, 7, 8, 9].all(a, self.all(b, self.all(c, self.all(d, b + c + d + a != 0))))"
    for name, field in {
        "kept": {**integer, "default": 4, ruled: [{"rule": "self > 3"}]},
        "broken": {**integer, "default": 3, ruled: [{"rule": "self > 3"}]},
        "broken and not compiled": {**integer, "default": 3, ruled: [{"rule": "self > 3"}, {"rule": "self.nope"}]},
        "invalid too": {**integer, "default": 3, "minimum": 4, ruled: [{"rule": "self > 3"}]},
        "below": {**inner, "default": {"n": 2}},
        "in a list": {**listed, "default": [1, 5, 2]},
        "unknown field": {**inner, "default": {"n": 2, "x": 1}},
        "old": {**integer, "default": 3, ruled: [{"rule": "self > oldSelf"}]},
        "old optional": {
            **integer,
            "default": 3,
            ruled: [{"rule": "oldSelf.hasValue()", "optionalOldSelf": True, "message": "is new"}],
        },
        "reason and path": {
            **inner,
            "default": {"n": 7},
            ruled: [{"rule": "self.n > 8", "fieldPath": ".n", "reason": "FieldValueForbidden"}],
        },
        "message expression": {
            **integer,
            "default": 3,
            ruled: [{"rule": "self > 3", "messageExpression": "'%d is small'.format([self])"}],
        },
        "error": {**integer, "default": 0, ruled: [{"rule": "1 / self == 1"}]},
        "cost": {
            "type": "array",
            "maxItems": 500,
            "items": integer,
            "default": list(range(1, 60)),
            ruled: [{"rule": costly}, {"rule": "self.size() > 100"}],
        },
    }.items():
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"f": field}}}}
        case.ask(name, "POST", f"{DEFINITIONS}?dryRun=All", definition("bad", schema))
    broken = {"f": {**integer, "default": 3, ruled: [{"rule": "self > 3"}]}, "g": {**integer, ruled: [{"rule": "1"}]}}
    case.ask("and another rule", "POST", f"{DEFINITIONS}?dryRun=All", definition("bad", with_rules([], broken)))
    wrong = {"f": {**integer, "default": "a"}, "g": {**integer, ruled: [{"rule": "1"}]}}
    case.ask("not of its type", "POST", f"{DEFINITIONS}?dryRun=All", definition("bad", with_rules([], wrong)))


# fields without bounds
_OPEN: Final[dict[str, Any]] = {
    "s": {"type": "string"},
    "l": {"type": "array", "items": {"type": "string"}},
    "i": {"type": "array", "items": {"type": "integer"}},
    "m": {"type": "object", "additionalProperties": {"type": "string"}},
    "e": {"type": "string", "enum": ["a", "bcd"]},
    "o": {"type": "array", "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}},
}
_EXPENSIVE: Final = (
    "self.s.contains(self.s)",
    "self.s.matches('a+b+c+')",
    "self.s.matches(self.s)",
    "self.s == 'a'",
    "self.s.startsWith(self.s)",
    "self.s.size() < 10",
    "self.l.all(x, x == 'a')",
    "self.l.all(x, x.contains('a'))",
    "self.l.all(x, self.l.all(y, x == y))",
    "self.i.all(x, x > 0)",
    "self.i.all(x, self.i.exists(y, x == y))",
    "self.i.all(x, self.i.all(y, self.i.all(z, x + y + z > 0)))",
    "self.i.map(x, x * 2).filter(x, x > 1).size() < 3",
    "self.m.all(k, k.startsWith('a') && self.m[k] == 'b')",
    "self.m.size() < 3 && 'a' in self.m",
    "self.o.all(x, x.k.matches('a') && self.o.exists_one(y, y.k == x.k))",
    "self.e == 'a' && self.e.size() < 9",
    "self.i.isSorted() && self.i.sum() > 1 && self.l.max() == 'a'",
    "self.l.join(',').size() < 9",
    "self.s.split(',').all(x, x.size() < 3)",
    "self.s.replace('a', 'bb').size() < 9",
    "self.s.lowerAscii() == self.s.upperAscii()",
    "sets.contains(self.l, ['a'])",
    "sets.equivalent(self.l, self.l)",
    "self.i.sort() == self.i && self.i.distinct().size() == 1",
    "self.l.map(x, x + x).exists(x, x == 'aa')",
    "self.l.transformList(i, v, v.size() + i).sum() > 3",
    "self.m.transformMap(k, v, v + k).size() > 1",
    "quantity(self.s).isGreaterThan(quantity('1'))",
    "self.l.all(x, isIP(x) || isCIDR(x) || isURL(x) || isQuantity(x))",
    "self.l.all(x, !format.dns1123Label().validate(x).hasValue())",
    "self.s.find('a+') == '' && self.s.findAll('b+').size() < 3",
    "'%s %s'.format([self.s, self.l]) == ''",
    "self.l[0].contains('a') || self.?l[0].orValue('') == 'a'",
)


def _costs(case: Case) -> None:
    url = f"{DEFINITIONS}?dryRun=All"
    for text in _EXPENSIVE:
        case.ask(text, "POST", url, definition("bad", with_rules([{"rule": text}], _OPEN)))
    inner = {"type": "object", "properties": _OPEN, "x-kubernetes-validations": [{"rule": "self.s == 'a'"}]}
    for name, bounds in (("unbounded", {}), ("bounded", {"maxItems": 3}), ("wide", {"maxItems": 100})):
        listed = {"type": "array", "items": inner, **bounds}
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"l": listed}}}}
        case.ask(f"in a list: {name}", "POST", url, definition("bad", schema))
        mapped = {"type": "object", "additionalProperties": inner, **({"maxProperties": 3} if bounds else {})}
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"m": mapped}}}}
        case.ask(f"in a map: {name}", "POST", url, definition("bad", schema))
    rules = [{"rule": f"self.l.all(x, x == 'a{index}')"} for index in range(30)]
    case.ask("in all", "POST", url, definition("bad", with_rules(rules, _OPEN)))
    message = {"rule": "true", "messageExpression": "self.l.map(x, self.l.map(y, x + y).join()).join()"}
    case.ask("of a message", "POST", url, definition("bad", with_rules([message], _OPEN)))
    _define(case, "dear", with_rules([
        {"rule": "lists.range(self.n).all(i, lists.range(200).all(j, i + j >= 0))"},
        {"rule": "self.n < 100000000"},
    ], {"n": {"type": "integer"}}))  # fmt: skip
    _define(case, "sum", with_rules(
        [{"rule": f"lists.range(200).all(i, lists.range(100).all(j, i + j + self.n >= {index}))"} for index in range(3)],
        {"n": {"type": "integer"}},
    ))  # fmt: skip
    _wait(case)
    for name in ("dear", "sum"):
        for count in (1, 10, 20000):
            url = f"{_objects(name)}?dryRun=All"
            case.ask(f"{name} {count}", "POST", url, _object(name, {"n": count}))


def _kept(case: Case) -> None:
    fields = {
        "a": {"type": "string", "maxLength": 9},
        "n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0", "message": "n must be positive"}]},
        "t": {
            "type": "integer",
            "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "t must not fall"}],
        },
        "o": {
            "type": "integer",
            "x-kubernetes-validations": [
                {"rule": "oldSelf.hasValue() || self == 1", "optionalOldSelf": True, "message": "begins at one"}
            ],
        },
        "l": {
            "type": "array",
            "maxItems": 5,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": {
                "type": "object",
                "required": ["k"],
                "properties": {"k": {"type": "string", "maxLength": 5}, "v": {"type": "integer"}},
                "x-kubernetes-validations": [
                    {"rule": "self.v == oldSelf.v", "messageExpression": "'v of ' + self.k + ' is fixed'"},
                    {"rule": "self.v < 100"},
                ],
            },
        },
        "m": {
            "type": "object",
            "maxProperties": 3,
            "additionalProperties": {"type": "integer", "x-kubernetes-validations": [{"rule": "self != 13"}]},
        },
    }
    reasons = [
        {"rule": "self.a != 'invalid'", "reason": "FieldValueInvalid", "fieldPath": ".a", "message": " spaced "},
        {"rule": "self.a != 'forbid'", "reason": "FieldValueForbidden", "fieldPath": ".a"},
        {"rule": "self.a != 'require'", "reason": "FieldValueRequired", "fieldPath": ".n"},
        {"rule": "self.a != 'twice'", "reason": "FieldValueDuplicate"},
        {"rule": "self.a != 'said'", "messageExpression": "'it is ' + self.a", "message": "m"},
        {"rule": "self.a != 'fails'", "messageExpression": "string(1 / (self.n - self.n))", "message": "m"},
        {"rule": "self.a != 'lines'", "messageExpression": "'a\\nb'"},
        {"rule": "self.a != 'silent'", "messageExpression": "' '"},
        {"rule": "self.a != 'error' || 1 / (self.n - self.n) == 1"},
    ]
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": fields, "x-kubernetes-validations": reasons},
            "status": {
                "type": "object",
                "properties": {"c": {"type": "integer"}},
                "x-kubernetes-validations": [{"rule": "self.c < 5", "fieldPath": ".c"}],
            },
        },
        "x-kubernetes-validations": [{"rule": "self.metadata.name != 'nobody'", "message": "not this name"}],
    }
    _define(case, "keep", schema, subresources={"status": {}})
    _wait(case)
    objects = _objects("keep")
    good = {"a": "x", "n": 1, "t": 5, "o": 1, "l": [{"k": "a", "v": 1}, {"k": "b", "v": 2}], "m": {"x": 1}}
    case.ask("good", "POST", objects, _object("keep", good))
    case.ask("nobody", "POST", objects, _object("keep", good, "nobody"))
    for text in ("invalid", "forbid", "require", "twice", "said", "fails", "lines", "silent", "error"):
        case.ask(f"broken: {text}", "POST", objects, _object("keep", {**good, "a": text}, "other"))
    for name, changed in (
        ("n", {"n": 0}),
        ("o", {"o": 2}),
        ("l", {"l": [{"k": "a", "v": 100}]}),
        ("m", {"m": {"x": 13}}),
        ("many", {"n": 0, "a": "said"}),  # of several fields kube-apiserver tells in the order of a Go map
        ("wrong type", {"n": "x", "a": "said"}),
        ("too long", {"a": "1234567890", "n": 0}),
    ):
        case.ask(f"new: {name}", "POST", objects, _object("keep", {**good, **changed}, "other"))
    one = f"{objects}/one"
    for name, changed in (
        ("t falls", {"t": 4}),
        ("t rises", {"t": 6}),
        ("o", {"o": 3}),
        ("l", {"l": [{"k": "a", "v": 3}, {"k": "c", "v": 9}]}),
        ("m", {"m": {"y": 13}}),
    ):
        case.ask(f"patched: {name}", "PATCH", one, {"spec": changed}, content=MERGE)
    case.ask("status broken", "PATCH", f"{one}/status", {"status": {"c": 7}}, content=MERGE)
    case.ask("status", "PATCH", f"{one}/status", {"status": {"c": 3}}, content=MERGE)
    _ratchet(case, schema)


def _ratchet(case: Case, schema: dict[str, Any]) -> None:
    """What was wrong before the rule came may stay, and is a warning."""
    loose = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 9}, "n": {"type": "integer"}}}}}  # fmt: skip
    _define(case, "loose", loose)
    case.ask(
        "wait for loose",
        "GET",
        "/api/v1/namespaces/{ns}/configmaps?watch=1&timeoutSeconds=3&resourceVersion=0&fieldSelector=metadata.name%3Dnone",
    )
    objects = _objects("loose")
    case.ask("loose", "POST", objects, _object("loose", {"a": "x", "n": 0}))
    strict = json.loads(json.dumps(loose))
    strict["properties"]["spec"]["properties"]["n"]["x-kubernetes-validations"] = [{"rule": "self > 0"}]
    strict["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": "self.a != 'x'", "message": "no x"}]
    tighter = definition("loose", strict)["spec"]["versions"]
    case.ask("tighten", "PATCH", f"{DEFINITIONS}/looses.{GROUP}", {"spec": {"versions": tighter}}, content=MERGE)
    case.ask(
        "wait until it is tight",
        "GET",
        "/api/v1/namespaces/{ns}/configmaps?watch=1&timeoutSeconds=5&resourceVersion=0&fieldSelector=metadata.name%3Dnone",
    )
    case.ask("label", "PATCH", f"{objects}/one", {"metadata": {"labels": {"l": "1"}}}, content=MERGE)
    case.ask("a", "PATCH", f"{objects}/one", {"spec": {"a": "y"}}, content=MERGE)
    case.ask("n", "PATCH", f"{objects}/one", {"spec": {"n": -1}}, content=MERGE)
    case.ask("n well", "PATCH", f"{objects}/one", {"spec": {"n": 1}}, content=MERGE)


def _lists(case: Case) -> None:
    """Lists that are sets or maps, and values with formats."""
    text = {"type": "string", "maxLength": 9}
    element = {"type": "object", "required": ["k"], "properties": {"k": text, "v": {"type": "integer"}}}
    fields = {
        "set": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set", "items": text},
        "set2": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set", "items": text},
        "map": {
            "type": "array",
            "maxItems": 5,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": element,
        },
        "map2": {
            "type": "array",
            "maxItems": 5,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": element,
        },
        "plain": {"type": "array", "maxItems": 5, "items": text},
        "date": {"type": "string", "format": "date"},
        "any": {"x-kubernetes-int-or-string": True},
        "nil": {"type": "string", "nullable": True},
        "o": {"type": "object", "properties": {"a-b": text, "if": {"type": "integer"}}},
        "e": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    }
    rules = (
        "self.set == self.set2",
        "self.set + self.set2 == ['a', 'b', 'c']",
        "(self.set + self.set2).size() == 9",
        "dyn(self.map) == dyn(self.map2)",
        "(dyn(self.map) + dyn(self.map2)).size() == 9",
        "(dyn(self.map) + dyn(self.map2))[0].v == 9",
        "self.plain == self.set",
        "self.set == self.plain",
        "self.plain + self.set == []",
        "self.date.getFullYear() == 9",
        "self.any == 9",
        "self.any + 1 == 9",
        "self.any.startsWith('x')",
        "self.nil == null",
        "self.nil == 'x'",
        "has(self.nil)",
        "has(self.o.a__dash__b) && self.o.__if__ == 9",
        "dyn(self.o).all(k, k == '')",
        "dyn(self.o).map(k, k).size() == 9",
        "self.e.metadata.name == ''",
        "self.e.kind == '' || self.e.apiVersion == ''",
        "self.o == self.o && self.o != self.o",
        "self.map.exists(x, dyn(x) == dyn(self.map2[0]))",
        "'a' in self.set && 'z' in self.set",
        "self.map.map(x, x.k).join() == ''",
        "self.map[5].v == 1",
        "self.map[0].nope == 1 || true",
        "dyn(self.o).nope == 1",
        "self.set.all(x, dyn(x) == 1)",
    )
    known = [{"rule": text} for text in rules if "nope == 1 ||" not in text]
    _define(case, "form", with_rules(known, fields))
    _wait(case)
    spec = {
        "set": ["a", "b"],
        "set2": ["b", "a"],
        "map": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
        "map2": [{"k": "b", "v": 2}, {"k": "a", "v": 1}],
        "plain": ["b", "a"],
        "date": "2024-05-06",
        "any": "text",
        "nil": None,
        "o": {"a-b": "x", "if": 3},
        "e": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "more": {"x": 1}},
    }
    url = f"{_objects('form')}?dryRun=All"
    case.ask("all", "POST", url, _object("form", spec))
    case.ask("other", "POST", url, _object("form", {**spec, "any": 3, "set2": ["c"], "map2": [{"k": "a", "v": 5}]}))
    case.ask("nothing", "POST", url, _object("form", {}))


def _selected(case: Case) -> None:
    fields = {
        "a": {"type": "string"},
        "n": {"type": "integer"},
        "b": {"type": "boolean"},
        "f": {"type": "number"},
        "o": {"type": "object", "properties": {"x": {"type": "string"}}},
        "l": {"type": "array", "items": {"type": "string"}},
    }
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    url = f"{DEFINITIONS}?dryRun=All"
    for paths in (
        [".spec.a"], [""], ["spec.a"], [".spec.nope"], [".spec.f"], [".spec.o"], [".spec.o.x"], [".spec.l"], [".spec.l[0]"],
        [".spec['a']"], [".metadata.name"], [".spec.a", ".spec.a"], [".spec"], ["."], [".spec.a."],
    ):  # fmt: skip
        selectable = [{"jsonPath": path} for path in paths]
        case.ask(f"by {' '.join(paths)}", "POST", url, definition("bad", schema, selectableFields=selectable))
    many = {f"x{index}": {"type": "string"} for index in range(9)}
    wide = {"type": "object", "properties": {"spec": {"type": "object", "properties": many}}}
    nine = [{"jsonPath": f".spec.x{index}"} for index in range(9)]
    case.ask("by nine", "POST", url, definition("bad", wide, selectableFields=nine))
    selectable = [{"jsonPath": path} for path in (".spec.a", ".spec.n", ".spec.b", ".spec.o.x")]
    _define(case, "pick", schema, selectableFields=selectable)
    _wait(case)
    objects = _objects("pick")
    for name, spec in (("one", {"a": "x", "n": 1, "b": True}), ("two", {"a": "y", "o": {"x": "z"}}), ("none", {})):
        case.ask(f"create {name}", "POST", objects, _object("pick", spec, name))
    for selector in (
        "spec.a=x", "spec.a!=x", "spec.n=1", "spec.b=true", "spec.o.x=z", "spec.a=", "spec.n=", "spec.f=1", ".spec.a=x",
        "spec.a=x,spec.n=1", "spec.a=x,metadata.name=two", "status.x=1",
    ):  # fmt: skip
        case.ask(f"list {selector}", "GET", objects, fieldSelector=selector)
        case.ask(f"watch {selector}", "GET", objects, fieldSelector=selector, watch="1", timeoutSeconds="1")
    case.ask("change", "PATCH", f"{objects}/one", {"spec": {"a": "y"}}, content=MERGE)
    case.ask("list after the change", "GET", objects, fieldSelector="spec.a=y")
    case.ask("delete by field", "DELETE", objects, fieldSelector="spec.a=y")
    case.ask("what is left", "GET", objects)
