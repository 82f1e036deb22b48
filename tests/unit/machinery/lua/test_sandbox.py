"""What scripts can and cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery.lua import LuaError, Sandbox, restore_empty, syntax_error


def run(script: str, *arguments: Any, returns: int = 1, seconds: float = 1.0, **modules: Any) -> list[Any]:
    return [tuple(a) for a in Sandbox(script, modules).call("F", *arguments, returns=returns, seconds=seconds)]


def test_a_call() -> None:
    script = "local n = 1\nfunction F(obj, more)\n  n = n + 1\n  obj.spec.replicas = more\n  return obj, n, nil, 'x', true\nend"
    sandbox = Sandbox(script)
    for _ in range(2):  # nothing is left of an earlier call
        answers = sandbox.call("F", {"spec": {"a": {}, "b": [1, 2.5]}, "ü": 'é"\n\\\u0001'}, 3, returns=5)
        assert [tuple(a) for a in answers] == [
            ("table", {"spec": {"a": [], "b": [1, 2.5], "replicas": 3}, "ü": 'é"\n\\\u0001'}),
            ("number", 2),
            ("nil", None),
            ("string", "x"),
            ("boolean", True),
        ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("obj.a.b = 1", "<string>:1: attempt to index field 'a' (a nil value)"),
        ("error('this is why')", "<string>:1: this is why"),
        ("error({})", "error object is a table"),
        ("return {1, nil, 3}", "encode lua result to json failed: cannot encode sparse array"),
        ("return {1, a = 2}", "encode lua result to json failed: cannot encode mixed or invalid key types"),
        ("return {[true] = 2}", "encode lua result to json failed: cannot encode mixed or invalid key types"),
        ("obj.a = obj return obj", "encode lua result to json failed: cannot encode recursively nested tables to JSON"),
        ("return {print}", "encode lua result to json failed: cannot encode function to JSON"),
        ("return {1 / 0}", "encode lua result to json failed: json: unsupported value: inf"),
        ("return {'\\255'}", "encode lua result to json failed: a string is not UTF-8"),
        ("require('nothing')", "<string>:1: module nothing not found"),
        ("setmetatable({}, {})",
         "<string>:1: call function setmetatable is not supported in karmada customized resourceinterpreter."),
        ("local s = ('x'):rep(3)",
         "<string>:1: The Lua function string.rep is not supported by Karmada. If you believe this function is essential for "
         "your use case, please submit an issue to let us know why you need it."),
        ("local s = 'x' while true do s = s .. s end", "<string>: the script needs more than 64 MiB"),
        ("local t = {} while true do t[#t + 1] = {{{}}} end", "<string>: the script needs more than 64 MiB"),
        ("kube.fail(1, {})", "<string>:1: no, not [1, []]"),
    ],
)  # fmt: skip
def test_what_fails_says_why(body: str, error: str) -> None:
    def fail(*arguments: Any) -> None:
        raise ValueError(f"no, not {list(arguments)}")

    with pytest.raises(LuaError) as failed:
        run(f"local kube = require('kube') function F(obj) {body} end", {}, kube={"fail": fail})
    assert str(failed.value) == error


@pytest.mark.parametrize(
    "body",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "xpcall(function() while true do end end, function() while true do end end)",
    ],
)
def test_a_script_that_runs_forever_is_stopped(body: str) -> None:
    with pytest.raises(LuaError, match="ran longer than"):
        run(f"function F() {body} end", seconds=0.05)
    with pytest.raises(LuaError, match="<string>:2: the script ran longer than"):
        run("\nwhile true do end", seconds=0.05)


@pytest.mark.parametrize("name", ["python", "io", "debug", "coroutine", "os.execute", "os.getenv", "package"])
def test_what_is_not_there(name: str) -> None:
    assert run(f"function F() return {name} end") == [("nil", None)]


def test_nulls_are_left_out_as_in_karmada() -> None:
    """Also in lists: gopher-lua appends none."""
    script = "function F(obj) return obj, #obj.list, obj.none end"
    obj = {"list": [1, None, {"a": [None, 2]}], "none": None, "deep": {"b": None}}
    assert run(script, obj, returns=3) == [
        ("table", {"list": [1, {"a": [2]}], "deep": []}),
        ("number", 2),
        ("nil", None),
    ]
    assert obj["list"] == [1, None, {"a": [None, 2]}]


def test_functions_of_the_host() -> None:
    script = "local kube = require('kube') function F() return kube.add(1, {a = 2}), pcall(kube.add, 1, nil) end"
    assert run(script, returns=3, kube={"add": lambda *a: list(a)}) == [
        ("table", [1, {"a": 2}]),
        ("boolean", True),
        ("table", [1]),  # a nil at the end of a list is none
    ]


def test_scripts_that_do_not_compile() -> None:
    assert syntax_error("function F() return 1 end") is None
    assert syntax_error("x = = 1") == "<string>:1: unexpected symbol near '='"
    assert syntax_error("\x1bLua") == "<string>: compiled scripts are not accepted"
    with pytest.raises(LuaError, match="not found function F"):
        run("function G() end")
    with pytest.raises(LuaError, match="F is not a function: number"):
        run("F = 1")


def test_empty_tables() -> None:
    reference = {"spec": {"aa": {}, "bb": [], "rules": [{"names": {}}], "a.b/c": {"d:e": {}}}}
    answer = {"spec": {"aa": [], "bb": [], "cc": [], "rules": [{"names": []}], "a.b/c": {"d:e": []}}}
    assert restore_empty(answer, [reference]) == reference
    assert restore_empty([]) == {}
    assert restore_empty([], is_object=False) == []
    assert restore_empty({"a": [[], 1, []]}) == {"a": [1]}


LEAVES = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
# empty lists and objects are what cannot be told apart; see above
FLAT = st.lists(LEAVES, min_size=1, max_size=4) | st.dictionaries(st.text(), LEAVES, min_size=1, max_size=4)
VALUES = (
    LEAVES | FLAT | st.lists(FLAT, min_size=1, max_size=3) | st.dictionaries(st.text(), FLAT, min_size=1, max_size=3)
)


ECHO = Sandbox("function F(obj) return obj end")


@given(st.dictionaries(st.text(), VALUES, min_size=1))
def test_what_goes_through_a_script_stays_the_same(value: dict[str, Any]) -> None:
    (answer,) = ECHO.call("F", value)
    assert answer.value == value
