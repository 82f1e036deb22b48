from __future__ import annotations

from typing import Any

import pytest

from kafila.machinery import jsonpath
from kafila.machinery.jsonpath import JSONPathError, compile_path

OBJ: dict[str, Any] = {
    "a": {"b": 1, "c.d": 2, "list": [1, 2, 3, 4], "f": 1000000.5, "t": True, "n": None, "m": {"x": 1}},
    "items": [{"type": "Ready", "status": "True", "n": 1}, {"type": "Sync", "status": "False", "n": 2}, {"n": 3}],
    "at": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", [OBJ]),
        (".a.b", [1]),
        ("{.a.b}", [1]),
        ("$.a.b", [1]),
        ("@.a['b']", [1]),
        (".a.c\\.d", [2]),
        (".a['c\\.d']", [2]),
        (".a['m.x']", [1]),
        (".a.list[0]", [1]),
        (".a.list[-1]", [4]),
        (".a.list[1:3]", [2, 3]),
        (".a.list[:2]", [1, 2]),
        (".a.list[-2:]", [3, 4]),
        (".a.list[0:-1]", [1, 2, 3]),
        (".a.list[::2]", [1, 3]),
        (".a.list[0:0]", []),
        (".a.list[*]", [1, 2, 3, 4]),
        (".a.list[0,2]", [1, 3]),
        (".a['b','t']", [1, True]),
        (".a.m.*", [1]),
        (".items[*].n", [1, 2, 3]),
        ("..n", [None, 1, 2, 3]),
        ('.items[?(@.type=="Ready")].status', ["True"]),
        (".items[?( @.type == 'Sync' )].n", [2]),
        (".items[?(@.n>1)].n", [2, 3]),
        (".items[?(@.n<=2)].n", [1, 2]),
        ('.items[?(@.type!="Ready")].n', [2]),
        (".items[?(@.type)].n", [1, 2]),
        (".zz", []),
        (".a.zz.y", []),
        (".a.b.c", []),
        (".a.n", [None]),
    ],
)
def test_find(path: str, expected: list[Any]) -> None:
    assert compile_path(path).find(OBJ) == expected


@pytest.mark.parametrize(
    "path", [".a[", ".a[x]", ".items[?(@.n", '.items[?(@.type=="a")', ".a[?(@.n=~1)]", "#", "a.b", '.a["b"]']
)
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(JSONPathError):
        compile_path(path)


@pytest.mark.parametrize(
    "path",
    [".a.list[9]", ".a.list[1:9]", ".a.list[2:1]", ".a.list[::-1]", ".a[0]", ".a[?(@.x)]", '.items[?(@.n=="x")]'],
)
def test_paths_that_do_not_apply(path: str) -> None:
    with pytest.raises(JSONPathError):
        compile_path(path).find(OBJ)
    assert compile_path(path).first(OBJ) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (True, "true"),
        (5, "5"),
        (1.5, "1.5"),
        (1000000.5, "1.0000005e+06"),
        (100000.0, "100000"),
        (1e6, "1e+06"),
        (0.00001, "1e-05"),
        (0.0, "0"),
        (None, "null"),
        ({"b": 1, "a": [1, "x"]}, '{"a":[1,"x"],"b":1}'),
    ],
)
def test_text(value: Any, text: str) -> None:
    assert jsonpath.text_of(value) == text


@pytest.mark.parametrize(
    ("path", "type", "expected"),
    [
        (".a.b", "integer", 1),
        (".a.f", "integer", 1000000),
        (".a.b", "number", 1.0),
        (".a.b", "string", "1"),
        (".a.t", "boolean", True),
        (".a.t", "integer", None),
        (".a.m", "string", '{"x":1}'),
        (".at", "date", "2m"),
        (".a.b", "date", None),
        (".items[0].type", "date", "<invalid>"),
        (".zz", "string", None),
        (".a.list[9]", "integer", None),
    ],
)
def test_cells(path: str, type: str, expected: Any) -> None:
    midnight = 1767225600
    assert jsonpath.cell(compile_path(path), type, OBJ, midnight + 120) == expected
