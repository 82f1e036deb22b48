from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery import jsonpatch
from kafila.machinery.jsonpatch import BadPatch, PatchFailed, TooManyOperations

DOC: dict[str, Any] = {"a": 1, "l": [1, 2, 3], "m": {"x": {"y": 1}, "a/b": 1, "m~n": 2}, "n": None}


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        (op("add", "/b", value=2), "b", 2),
        (op("add", "/a", value={"x": 1}), "a", {"x": 1}),
        (op("add", "/l/0", value=0), "l", [0, 1, 2, 3]),
        (op("add", "/l/3", value=4), "l", [1, 2, 3, 4]),
        (op("add", "/l/-", value=4), "l", [1, 2, 3, 4]),
        (op("add", "/l/-1", value=4), "l", [1, 2, 3, 4]),
        (op("add", "/b", value=None), "b", None),
        (op("remove", "/l/1"), "l", [1, 3]),
        (op("remove", "/l/-1"), "l", [1, 2]),
        (op("replace", "/a", value="z"), "a", "z"),
        (op("replace", "/new", value="z"), "new", "z"),
        (op("replace", "/l/2", value=9), "l", [1, 2, 9]),
        (op("move", "/l/0", **{"from": "/l/2"}), "l", [3, 1, 2]),
        (op("copy", "/b", **{"from": "/m/x"}), "b", {"y": 1}),
        (op("add", "/m/a~1b", value=5), "m", {"x": {"y": 1}, "a/b": 5, "m~n": 2}),
        (op("add", "/m/m~0n", value=5), "m", {"x": {"y": 1}, "a/b": 1, "m~n": 5}),
    ],
)
def test_operations(operation: dict[str, Any], path: str, expected: Any) -> None:
    before = copy.deepcopy(DOC)
    assert jsonpatch.apply(DOC, [operation])[path] == expected
    assert before == DOC


def test_the_whole_document_can_be_replaced() -> None:
    assert jsonpatch.apply(DOC, [op("replace", "", value={"x": 1}), op("test", "", value={"x": 1})]) == {"x": 1}


@pytest.mark.parametrize(
    "operation",
    [
        op("test", "/a", value=1),
        op("test", "/l", value=[1, 2, 3]),
        op("test", "/n", value=None),
        op("test", "/missing", value=None),
        op("test", "/m/x", value={"y": 1}),
    ],
)
def test_tests_that_hold(operation: dict[str, Any]) -> None:
    assert jsonpatch.apply(DOC, [operation]) == DOC


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (op("test", "/a", value=2), "testing value /a failed: test failed"),
        (op("test", "/a", value=True), "testing value /a failed: test failed"),
        (op("test", "/no/where", value=1), "test operation does not apply: is missing path: /no/where: missing value"),
        (op("remove", "/zz"), "error in remove for path: '/zz': Unable to remove nonexistent key: zz: missing value"),
        (op("remove", "/l/9"), "error in remove for path: '/l/9': Unable to access invalid index: 9: invalid index referenced"),
        (op("remove", "/no/where"), 'remove operation does not apply: doc is missing path: "/no/where": missing value'),
        (op("add", "/no/where", value=1), 'add operation does not apply: doc is missing path: "/no/where": missing value'),
        (op("add", "/a/b", value=1), 'add operation does not apply: doc is missing path: "/a/b": missing value'),
        (op("add", "/l/x", value=1), "error in add for path: '/l/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": invalid syntax"),
        (op("add", "/l/5", value=1), "error in add for path: '/l/5': Unable to access invalid index: 5: invalid index referenced"),
        (op("replace", "/no/where", value=1), "replace operation does not apply: doc is missing path: /no/where: missing value"),
        (op("replace", "/l/7", value=1), "replace operation does not apply: doc is missing key: /l/7: missing value"),
        (op("move", "/b", **{"from": "/zz"}), "error in move for path: 'zz': Unable to remove nonexistent key: zz: missing value"),
        (op("copy", "/no/where", **{"from": "/a"}), "copy operation does not apply: doc is missing destination path: /no/where: missing value"),
        (op("bogus", "/a"), "Unexpected kind: bogus"),
        ({"path": "/a"}, "Unexpected kind: unknown"),
        ({"op": "add", "value": 1}, "add operation failed to decode path: missing value"),
        ({"op": "test", "value": 1}, "test operation failed to decode path: operation missing path field: missing value"),
        (op("move", "/a"), "move operation failed to decode from: operation, missing from field: missing value"),
    ],
)  # fmt: skip
def test_failures_are_in_the_librarys_words(operation: dict[str, Any], message: str) -> None:
    before = copy.deepcopy(DOC)
    with pytest.raises(PatchFailed) as caught:
        jsonpatch.apply(DOC, [op("add", "/m/x/z", value=1), operation])
    assert str(caught.value) == message
    assert before == DOC


def test_limits() -> None:
    with pytest.raises(TooManyOperations, match="The allowed maximum operations in a JSON patch is 10000, got 10001"):
        jsonpatch.apply({}, [op("test", "", value={})] * 10_001)
    doubling = [op("add", "/x", value=["y" * 1000])]
    doubling += [op("copy", "/x/-", **{"from": "/x"})] * 20
    with pytest.raises(PatchFailed, match="Unable to complete the copy, the accumulated size increase of copy is"):
        jsonpatch.apply({}, doubling)


def test_no_patch_at_all() -> None:
    with pytest.raises(BadPatch):
        jsonpatch.apply({}, {"op": "add"})
    with pytest.raises(BadPatch):
        jsonpatch.apply({}, [["add"]])


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.text(max_size=3), JSON)
def test_what_was_added_is_there_and_can_be_taken_away(doc: dict[str, Any], key: str, value: Any) -> None:
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    added = jsonpatch.apply(doc, [op("add", path, value=value), op("test", path, value=value)])
    assert added == {**doc, key: value}
    assert jsonpatch.apply(added, [op("remove", path)]) == {k: v for k, v in doc.items() if k != key}
