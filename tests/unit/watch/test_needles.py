from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.watch import Entry, needles


def entry(obj: Any) -> Entry:
    return Entry(Key("things", "", "x"), 1, orjson.dumps({"metadata": {"name": "x"}, "value": obj}))


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        ({"spec": {"propagateDeps": True}}, True),
        ({"spec": {"propagateDeps": False}}, False),
        ({"spec": {}}, False),
        ({"note": '{"propagateDeps":true}'}, False),  # a text of somebody's
        ({"note": '"propagateDeps":true'}, False),
    ],
)
def test_a_field_with_a_value(obj: Any, found: bool) -> None:
    assert entry(obj).mentions(needles.field("propagateDeps", True)) is found


TEXTS = st.text('ab"\\:é\n', max_size=4)
NAMES = st.text("ab.é", min_size=1, max_size=3)  # names of quotes and colons may be found elsewhere
VALUES = st.recursive(
    TEXTS, lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3), max_leaves=6
)


def fields(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for item in value.values() for name in fields(item)}
    return {name for item in value for name in fields(item)} if isinstance(value, list) else set()


def texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return {found for part in parts for found in texts(part)}


@given(VALUES, NAMES)
def test_a_field_that_is_there_is_found_and_texts_are_no_fields(value: Any, name: str) -> None:
    assert entry(value).mentions(needles.field(name)) is (name in fields(value))


@given(VALUES, TEXTS)
def test_whole_texts_are_found(value: Any, text: str) -> None:
    assert text not in texts(value) or entry(value).mentions(needles.text(text))
