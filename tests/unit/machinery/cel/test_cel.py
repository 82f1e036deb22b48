"""What cel-go says of expressions that cannot be read or name what is not there (taken from kube-apiserver 1.36.3)."""

from __future__ import annotations

import pytest

from kafila.machinery.cel.names import compile_error
from kafila.machinery.cel.syntax import STARTS

KNOWN = ("object", "oldObject", "request")


@pytest.mark.parametrize(
    "source",
    [
        "object.spec.replicas <= 5 && has(object.metadata.labels)",
        "object.items.all(x, x.a > 1) ? \"a\" : 'b'",
        "object.list.exists(i, v, v == i)",
        '[1, 2u, 3.5, 0xff].map(y, y > 1, y * 2)[0] in {"a": 1, "b": [null, true,],}',
        "cel.bind(x, 1, x + 1) > 0 || !(-1 < object.a)",
        "Object{spec: Object.spec{replicas: 1}}",
        '[JSONPatch{op: "test", path: "/a", value: object.b}]',
        "object.?a.orValue(1) == 2",
        r"""object.metadata.name.matches(r'^a\.b') || b"x" == b'''y'''""",
        "variables.w == 1 // what else",
        "(" * 5000 + "1" + ")" * 5000,
        "1" + " + 1" * 5000,
        "object" + ".a" * 5000,
        "object.`a-b` == 1 && object[?'c'].hasValue()",
    ],
)
def test_what_can_be_read(source: str) -> None:
    assert compile_error(source, KNOWN, ["w"]) == ""


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
        ("variables.v == 1", [], "1:10: undefined field 'v'\n | variables.v == 1\n | .........^"),
        (
            "object.a.all(x, x > y) &&\n  z",
            None,
            "1:21: undeclared reference to 'y' (in container '')\n | object.a.all(x, x > y) &&\n | ....................^\n"
            "ERROR: <input>:2:3: undeclared reference to 'z' (in container '')\n |   z\n | ..^",
        ),
    ],
)
def test_what_is_refused(source: str, variables: list[str] | None, why: str) -> None:
    assert compile_error(source, KNOWN, variables) == f"ERROR: <input>:{why}"


@pytest.mark.parametrize("source", ["(1", "a.b(", "[1", "{1: }", "'", "object.", "1 +"])
def test_what_ends_too_early_is_a_syntax_error(source: str) -> None:
    assert "Syntax error" in compile_error(source, KNOWN)
