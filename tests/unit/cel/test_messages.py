"""What cel-go says of expressions within admission that cannot be read or name what is not there (from kube-apiserver 1.36.3)."""

from __future__ import annotations

import pytest

from kafila.cel import CompileError, admission
from kafila.cel.parser import STARTS
from kafila.cel.types import DYN, INT, Type


def refused(source: str, variables: dict[str, Type] | None = None) -> str:
    environment = admission.environment(params=False, authorizer=True, patches=True, variables=variables)
    try:
        environment.compile(source)
    except CompileError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize(
    "source",
    [
        "object.spec.replicas <= 5 && has(object.metadata.labels)",
        "object.items.all(x, x.a > 1) ? \"a\" : 'b'",
        "object.list.exists(i, v, v == i)",
        "[1, 2, 3, 0xff].map(y, y > 1, y * 2)[0] in {1: true, 2: false,}",
        "Object{spec: Object.spec{replicas: 1}}",
        '[JSONPatch{op: "test", path: "/a", value: object.b}]',
        "jsonpatch.escapeKey('a/b')",
        "object.?a.orValue(1) == 2",
        r"""object.metadata.name.matches(r'^a\.b') || b"x" == b'''y'''""",
        "variables.w == 1 // what else",
        "object[?'c'].hasValue()",
        "authorizer.group('apps').resource('deployments').namespace('a').check('get').allowed()",
        "authorizer.requestResource.check('get').allowed()",
        "request.userInfo.groups.exists(g, g == 'a') && request.kind.kind == 'Pod'",
        "namespaceObject.metadata.labels['a'] == 'b'",
    ],
)
def test_what_can_be_read(source: str) -> None:
    assert refused(source, {"w": INT}) == ""


@pytest.mark.parametrize(
    ("source", "variables", "why"),
    [
        ("", None, f"1:0: Syntax error: mismatched input '<EOF>' expecting {STARTS}"),
        ("Not_Valid!", None, "1:10: Syntax error: extraneous input '!' expecting <EOF>\n | Not_Valid!\n | .........^"),
        ("value", None, "1:1: undeclared reference to 'value' (in container '')\n | value\n | ^"),
        (
            "variables.v == 1",
            None,
            "1:1: undeclared reference to 'variables' (in container '')\n | variables.v == 1\n | ^",
        ),
        ("variables.v == 1", {}, "1:10: undefined field 'v'\n | variables.v == 1\n | .........^"),
        (
            "variables.v == 'a'",
            {"v": INT},
            "1:13: found no matching overload for '_==_' applied to '(int, string)'\n | variables.v == 'a'\n | ............^",
        ),
        ("request.nope", None, "1:8: undefined field 'nope'\n | request.nope\n | .......^"),
        (
            "object.a.all(x, x > y) &&\n  z",
            None,
            "1:21: undeclared reference to 'y' (in container '')\n | object.a.all(x, x > y) &&\n | ....................^\n"
            "ERROR: <input>:2:3: undeclared reference to 'z' (in container '')\n |   z\n | ..^",
        ),
    ],
)
def test_what_is_refused(source: str, variables: dict[str, Type] | None, why: str) -> None:
    assert refused(source, variables) == f"ERROR: <input>:{why}"


@pytest.mark.parametrize("source", ["(1", "a.b(", "[1", "{1: }", "'", "object.", "1 +"])
def test_what_ends_too_early_is_a_syntax_error(source: str) -> None:
    assert "Syntax error" in refused(source)


@pytest.mark.parametrize(
    "source",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "[" * 5000 + "]" * 5000,
        "size(" * 5000 + "'a'" + ")" * 5000,
        "1" + " + 1" * 5000,
        "object" + ".a" * 5000,
        "object" + "[0]" * 5000,
        "true ? 1 : " * 5000 + "2",
        "[1].map(x, " * 5000 + "x" + ")" * 5000,
        "{1: " * 5000 + "1" + "}" * 5000,
    ],
)
def test_what_is_nested_too_deeply_is_refused(source: str) -> None:
    assert refused(source) == "ERROR: <input>:-1:0: expression recursion limit exceeded: 250"


@pytest.mark.parametrize(
    "source", ["(" * 90 + "1" + ")" * 90, "1" + "+1" * 190, "object" + ".a" * 190, "-" * 5000 + "1"]
)
def test_what_is_nested_less_is_taken(source: str) -> None:
    assert refused(source) == ""


def test_what_is_too_long_is_refused() -> None:
    limit = "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000"
    assert refused("'" + "a" * 99_999 + "'") == limit
    assert refused("'" + "a" * 99_998 + "'") == ""


def test_at_most_a_hundred_findings_are_shown() -> None:
    said = refused(" + ".join(["nope"] * 150)).splitlines()
    assert said[-1] == "50 more errors were truncated"


def test_any_variable_may_be_declared_dynamic() -> None:
    assert refused("variables.v.a.b == 'a' || variables.v > 1", {"v": DYN}) == ""
