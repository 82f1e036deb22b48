from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery import mergepatch


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
        ({"a": []}, {"a": [{"b": None}]}, {"a": [{}]}),
        ({"a": {}}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),  # the library's own oddity
        ({}, {"a": [None, 1]}, {"a": [None, 1]}),
    ],
)
def test_table(doc: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy((doc, patch))
    out = mergepatch.apply(doc, patch)
    assert out == expected
    assert (doc, patch) == before


def test_a_patch_must_be_an_object() -> None:
    with pytest.raises(ValueError, match="cannot unmarshal array into Go value of type map"):
        mergepatch.apply({}, [])


JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_the_difference_leads_from_one_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = mergepatch.diff(old, new)
    out = mergepatch.apply(old, patch)
    assert out == new
    assert mergepatch.apply(out, patch) == out
    assert mergepatch.diff(new, out) == {}


@given(OBJECTS, OBJECTS)
def test_applying_twice_is_applying_once(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    once = mergepatch.apply(doc, patch)
    assert mergepatch.apply(once, patch) == once


@given(OBJECTS, OBJECTS)
def test_the_result_shares_nothing(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((doc, patch))
    out = mergepatch.apply(doc, patch)
    _spoil(out)
    assert (doc, patch) == before


def _spoil(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _spoil(item)
        value.clear()
    elif isinstance(value, list):
        for item in value:
            _spoil(item)
        value.clear()


@given(OBJECTS, st.dictionaries(st.sampled_from("abc"), st.none() | JSON, max_size=3))
def test_what_is_shared_is_not_changed(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy(doc)
    assert mergepatch.apply(doc, patch, share=True) == mergepatch.apply(doc, patch)
    assert doc == before
