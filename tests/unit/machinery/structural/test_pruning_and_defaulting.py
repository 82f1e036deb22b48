"""What a schema drops and fills in. The tables follow apiextensions-apiserver's own tests; the laws hold for any schema."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafila.machinery.schema import Schema
from kafila.machinery.structural.defaulting import compile_defaulting
from kafila.machinery.structural.pruning import compile_pruning
from kafila.machinery.structural.shape import schema_of

Props = dict[str, Any]
ANY: Props = {"x-kubernetes-preserve-unknown-fields": True}
STRING: Props = {"type": "string"}


def obj(**properties: Props) -> Props:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("spec", "given_", "kept", "dropped"),
    [
        (obj(a=STRING), {"a": "1", "b": 2}, {"a": "1"}, ["spec.b"]),
        (obj(a=obj(b=STRING)), {"a": {"b": "1", "c": {"d": 1}}}, {"a": {"b": "1"}}, ["spec.a.c"]),
        (
            obj(l={"type": "array", "items": obj(a=STRING)}),
            {"l": [{"a": "1"}, {"b": 1}, "x"]},
            {"l": [{"a": "1"}, {}, "x"]},
            ["spec.l[1].b"],
        ),
        ({**obj(a=obj()), **ANY}, {"a": {"x": 1}, "b": {"y": [1]}}, {"a": {}, "b": {"y": [1]}}, ["spec.a.x"]),
        ({"type": "object", "additionalProperties": STRING}, {"x": "1", "y": 2}, {"x": "1", "y": 2}, []),
        (
            {"type": "object", "additionalProperties": obj(a=STRING)},
            {"x": {"a": "1", "b": 2}},
            {"x": {"a": "1"}},
            ["spec.x.b"],
        ),
        ({"type": "object", "additionalProperties": True}, {"x": {"a": 1}}, {"x": {}}, ["spec.x.a"]),
        (obj(l={"type": "array"}), {"l": [{"a": 1}, 2]}, {"l": [{}, 2]}, ["spec.l[0].a"]),
        # an element of a list that keeps everything keeps everything too, its declared members are looked at
        (
            {**ANY, "type": "array", "items": obj(a=obj())},
            [{"a": {"x": 1}, "b": 1}],
            [{"a": {}, "b": 1}],
            ["spec[0].a.x"],
        ),
        (obj(e={**obj(), **ANY, "x-kubernetes-embedded-resource": True}), {"e": {"kind": "K", "x": 1}}, None, []),
        (
            obj(e={**obj(spec=obj()), "x-kubernetes-embedded-resource": True}),
            {"e": {"kind": "K", "metadata": {"labels": {}}, "spec": {"x": 1}, "y": 1}},
            {"e": {"kind": "K", "metadata": {"labels": {}}, "spec": {}}},
            ["spec.e.spec.x", "spec.e.y"],
        ),
        # the type is not the pruner's business
        (obj(a=obj()), {"a": "text"}, {"a": "text"}, []),
        # nulls
        (obj(a=STRING), {"a": None}, {}, []),
        (obj(a={**STRING, "nullable": True}), {"a": None}, {"a": None}, []),
        (obj(a={**STRING, "default": "x"}), {"a": None}, {"a": None}, []),
        ({**obj(), **ANY}, {"a": None}, {"a": None}, []),
        (obj(a=STRING), {"a": 1.0}, {"a": 1}, []),
    ],
)
def test_what_is_dropped(spec: Props, given_: Any, kept: Any, dropped: list[str]) -> None:
    prune = compile_pruning(obj(spec=spec))
    whole = {"apiVersion": "g/v1", "kind": "K", "metadata": {"free": 1}, "spec": given_}
    before = copy.deepcopy(whole)
    out, paths = prune(whole)
    assert out == {**whole, "spec": given_ if kept is None else kept}
    assert paths == dropped
    assert whole == before
    assert prune(out) == (out, [])


def test_without_a_schema_only_what_every_object_has_is_kept() -> None:
    assert compile_pruning(None)({"kind": "K", "metadata": {"name": "a"}, "spec": 1}) == (
        {"kind": "K", "metadata": {"name": "a"}},
        ["spec"],
    )


@pytest.mark.parametrize(
    ("schema", "given_", "filled"),
    [
        (obj(a={**STRING, "default": "x"}), {}, {"a": "x"}),
        (obj(a={**STRING, "default": "x"}), {"a": "y"}, {"a": "y"}),
        (obj(a={**STRING, "default": "x"}), {"a": None}, {"a": "x"}),
        (obj(a={**STRING, "default": "x", "nullable": True}), {"a": None}, {"a": None}),
        (obj(a=obj(b={**STRING, "default": "x"})), {}, {}),
        (obj(a=obj(b={**STRING, "default": "x"})), {"a": {}}, {"a": {"b": "x"}}),
        (obj(a={**obj(b={**STRING, "default": "x"}), "default": {}}), {}, {"a": {"b": "x"}}),
        (obj(a={"type": "array", "items": obj(b={**STRING, "default": "x"})}), {"a": [{}, {"b": "y"}]}, None),
        ({"type": "object", "additionalProperties": obj(b={**STRING, "default": "x"})}, {"k": {}}, {"k": {"b": "x"}}),
        ({"type": "object", "additionalProperties": {**STRING, "default": "x"}}, {"k": None}, {"k": "x"}),
        (obj(a={"type": "array", "items": {**STRING, "default": "x"}}), {"a": [None]}, {"a": ["x"]}),
        (obj(a=obj(b={**STRING, "default": "x"})), {"a": "text"}, {"a": "text"}),
    ],
)
def test_what_is_filled_in(schema: Props, given_: Any, filled: Any) -> None:
    fill = compile_defaulting(schema)
    assert fill is not None
    fill(given_)
    assert given_ == ({"a": [{"b": "x"}, {"b": "y"}]} if filled is None else filled)


def test_a_schema_without_defaults_costs_nothing() -> None:
    assert compile_defaulting(obj(a=obj(b=STRING))) is None


def test_defaults_are_not_shared() -> None:
    fill = compile_defaulting(obj(a={"type": "array", "items": STRING, "default": []}))
    assert fill is not None
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    fill(one)
    fill(other)
    one["a"].append("x")
    assert other == {"a": []}


# -- laws ----------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "x", "yy"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=10,
)


def _nodes(inner: st.SearchStrategy[Props]) -> st.SearchStrategy[Props]:
    flags = st.fixed_dictionaries(
        {}, optional={"nullable": st.booleans(), "x-kubernetes-preserve-unknown-fields": st.just(True)}
    )
    structs = st.builds(
        lambda p, f: {"type": "object", "properties": p, **f}, st.dictionaries(NAMES, inner, max_size=3), flags
    )
    maps = st.builds(lambda i: {"type": "object", "additionalProperties": i}, inner)
    lists = st.builds(lambda i, f: {"type": "array", "items": i, **f}, inner, flags)
    return st.one_of(structs, maps, lists)


LEAVES = st.builds(
    lambda kind, default, nullable: {"type": kind, **({"default": default} if default is not None else {}), **nullable},
    st.sampled_from(["string", "integer", "boolean"]),
    st.one_of(st.none(), st.sampled_from(["x", 1, True])),
    st.fixed_dictionaries({}, optional={"nullable": st.booleans()}),
)
SCHEMAS = st.recursive(LEAVES, _nodes, max_leaves=8)


def _within(small: Any, big: Any) -> bool:
    """Whether ``small`` is ``big`` with members left out."""
    if isinstance(small, dict) and isinstance(big, dict):
        return all(name in big and _within(value, big[name]) for name, value in small.items())
    if isinstance(small, list) and isinstance(big, list):
        return len(small) == len(big) and all(map(_within, small, big))
    return bool(small == big)


@settings(deadline=None, max_examples=100)
@given(SCHEMAS, VALUES)
def test_pruning_only_takes_away_and_only_once(schema: Props, value: Any) -> None:
    prune = compile_pruning(obj(spec=schema))
    out, paths = prune({"spec": value})
    assert _within(out, {"spec": value})
    again, none = prune(out)
    assert again == out
    assert none == []
    assert (paths == []) == (prune({"spec": value})[0] == out and not paths)


@settings(deadline=None, max_examples=100)
@given(SCHEMAS, VALUES)
def test_defaulting_only_adds_and_only_once(schema: Props, value: Any) -> None:
    fill = compile_defaulting(obj(spec=schema))
    out = compile_pruning(obj(spec=schema))({"spec": value})[0]
    before = copy.deepcopy(out)
    if fill is not None:
        fill(out)
    again = copy.deepcopy(out)
    if fill is not None:
        fill(again)
    assert again == out
    assert _covers(out, before)


def _covers(filled: Any, before: Any) -> bool:
    """Nothing but null has been replaced."""
    if before is None:
        return True
    if isinstance(before, dict):
        return isinstance(filled, dict) and all(_covers(filled[name], value) for name, value in before.items())
    if isinstance(before, list):
        return len(filled) == len(before) and all(map(_covers, filled, before))
    return bool(filled == before)


@settings(deadline=None, max_examples=100)
@given(SCHEMAS, VALUES)
def test_what_is_kept_is_what_apply_knows(schema: Props, value: Any) -> None:
    """Every member that pruning leaves has a place in the schema that server-side apply goes by."""
    kept = compile_pruning(obj(spec=schema))({"spec": value})[0]
    assert _known(schema_of(obj(spec=schema), Schema("struct")).fields["spec"], kept.get("spec"))


def _known(schema: Schema, value: Any) -> bool:
    if schema.kind == "struct" and isinstance(value, dict):
        return all(
            _known(schema.fields[name], item) if name in schema.fields else schema.preserve_unknown
            for name, item in value.items()
        )
    if schema.kind == "map" and isinstance(value, dict) and schema.items is not None:
        return all(_known(schema.items, item) for item in value.values())
    if schema.kind == "list" and isinstance(value, list) and schema.items is not None:
        return all(_known(schema.items, item) for item in value) or schema.items.kind == "struct"
    return True
