"""Expressions over claims and users are checked as kube-apiserver 1.36 checks them: what it said of each stands here."""

from __future__ import annotations

import pytest

from kafila.authentication.oidc.expressions import CLAIMS, USER
from kafila.cel import CompileError

ENVIRONMENTS = {"claims": CLAIMS, "user": USER}


@pytest.mark.parametrize(
    ("over", "source"),
    [
        ("claims", "dyn(claims.n).all(a, true)"),
        ("claims", "claims.a + 'b'"),
        ("claims", "claims.a"),
        ("claims", "claims.a == 'x' ? claims.b : 'c'"),
        ("claims", "claims.a.b.c"),
        ("claims", "claims.?a.orValue('')"),
        ("claims", "'x' in claims.a"),
        ("claims", "claims.a ? 1 : 2"),
        ("claims", "claims.a && claims.b"),
        ("claims", "size(claims.a) > 1"),
        ("claims", "claims.a.split(',')"),
        ("claims", "has(claims.a.b)"),
        ("claims", "claims"),
        ("claims", "claims.a * 2"),
        ("claims", "claims.a in ['b']"),
        ("claims", "claims.?a.b"),
        ("claims", "claims.a.size()"),
        ("claims", "claims.a.startsWith('b')"),
        ("claims", "dyn(claims.roles).exists(r, r == 'a')"),
        ("claims", "claims.a[0]"),
        ("claims", "sets.contains(claims.a, ['b'])"),
        ("claims", "claims.a.join(',')"),
        ("claims", "isURL(claims.a)"),
        ("user", "user.groups.all(g, g != '')"),
        ("user", "'a' in user.extra"),
        ("user", "user.extra['a'][0] == 'b'"),
        ("user", "user.?uid.orValue('') == ''"),
        ("user", "has(user.groups)"),
        ("user", "user == user"),
    ],
)
def test_expressions_that_stand(over: str, source: str) -> None:
    ENVIRONMENTS[over].compile(source)


@pytest.mark.parametrize(
    ("over", "source", "said"),
    [
        (
            "claims",
            "claims.n.all(a, true)",
            "ERROR: <input>:1:7: expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("claims", "['a', claims.b]", "ERROR: <input>:1:13: expected type 'string' but found 'any'"),
        (
            "claims",
            "claims[1]",
            "ERROR: <input>:1:7: found no matching overload for '_[_]' applied to '(map(string, any), int)'",
        ),
        ("claims", "claim.x", "ERROR: <input>:1:1: undeclared reference to 'claim' (in container '')"),
        (
            "claims",
            "claims.a.map(x, x)",
            "ERROR: <input>:1:7: expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        (
            "claims",
            "'%s'.format([claims.a])",
            "ERROR: <input>:1:20: error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given google.protobuf.Any",
        ),
        ("claims", "{'a': claims.a, 'b': 'c'}", "ERROR: <input>:1:22: expected type 'any' but found 'string'"),
        ("claims", "cel.bind(a, claims.a, a)", "ERROR: <input>:1:1: undeclared reference to 'cel' (in container '')"),
        (
            "claims",
            "claims.roles.exists(r, r == 'a')",
            "ERROR: <input>:1:7: expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("user", "user.name == ''", "ERROR: <input>:1:5: undefined field 'name'"),
        (
            "user",
            "user.extra.a.all(x, x == 1)",
            "ERROR: <input>:1:23: found no matching overload for '_==_' applied to '(string, int)'",
        ),
        ("user", "user.username.b", "ERROR: <input>:1:14: type 'string' does not support field selection"),
    ],
)
def test_expressions_that_do_not(over: str, source: str, said: str) -> None:
    with pytest.raises(CompileError) as refused:
        ENVIRONMENTS[over].compile(source)
    assert str(refused.value).split("\n |")[0] == said
