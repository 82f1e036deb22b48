"""Paths into objects (JSONPath) that multiply what they find: in columns of definitions, and in what a policy keeps of a status."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from kafila.machinery.jsonpath import MOST_LOOKS, JSONPath, JSONPathError, compile_path
from kafila.placement.failover.eviction import EvictionRefused, preserved_state

DEPTH = 40
DEEP: Any = functools.reduce(lambda inner, _: {"a": inner, "b": inner}, range(DEPTH), {"a": "end"})  # one dict a level
CHAIN: Any = functools.reduce(lambda inner, _: {"a": inner}, range(DEPTH), {"a": "end"})
WIDE: Any = {"a": list(range(200_000))}
BOMBS = [
    (DEEP, ".." * 2),
    (CHAIN, "..a" * 10),
    (DEEP, "['a','b']" * 30),
    (DEEP, ".*" * 30),
    (CHAIN, "['a','a']" * 30),
    (WIDE, "['a','a','a','a','a','a','a','a'][*]"),
    (WIDE, "['a','a','a','a','a','a','a','a'][0:200000]"),
    ({"a": [{"b": list(range(1000))}] * 1000}, ".a[?(@.b[*])]" + ".b[*]"),
]


@pytest.mark.parametrize(("value", "path"), BOMBS)
def test_a_path_that_multiplies_ends(value: Any, path: str) -> None:
    found: JSONPath = compile_path(path)
    with pytest.raises(JSONPathError, match="too many values would have to be looked at"):
        found.find(value)
    assert found.first(value) is None  # a column is empty then


def test_as_many_values_as_an_object_may_have_are_looked_at() -> None:
    assert len(compile_path("..").find(WIDE)) == 2
    assert compile_path(".a[*]").find(WIDE) == WIDE["a"]


def test_very_many_rules_of_a_policy_share_what_may_be_looked_at() -> None:
    rules = [{"aliasLabelName": f"l{number}", "jsonPath": "{.a[199999]}-{..a[0]}"} for number in range(MOST_LOOKS)]
    status: Any = {"aggregatedStatus": [{"clusterName": "m1", "status": WIDE}]}
    with pytest.raises(EvictionRefused, match="too many values would have to be looked at"):
        preserved_state({"statePreservation": {"rules": rules}}, status, "m1")


def test_of_what_is_no_label_no_more_is_made_than_is_shown() -> None:
    """A container again and again is each time all that is in it."""
    rule = {"aliasLabelName": "x", "jsonPath": f"[{','.join(['0'] * 1000)}]"}
    status: Any = {"aggregatedStatus": [{"clusterName": "m1", "status": [WIDE]}]}
    with pytest.raises(EvictionRefused, match="which is no value of a label") as error:
        preserved_state({"statePreservation": {"rules": [rule]}}, status, "m1")
    assert len(str(error.value)) < 5000
