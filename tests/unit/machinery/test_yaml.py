from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery.yaml import YAMLError, load


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y", True),
        ("No", False),
        ("ON", True),
        ("off", False),
        ("yEs", "yEs"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("123", 123),
        ("0123", 83),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("09", 9),
        ("-5", -5),
        ("1.5", 1.5),
        ("1.0", 1),
        ("1e3", 1000),
        ("-.5", -0.5),
        ("1e400", "1e400"),
        ("18446744073709551615", 18446744073709551615),
        ("2020-01-01", "2020-01-01"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("1,000", "1,000"),
        ("'123'", "123"),
        ('"true"', "true"),
        ("!!str 123", "123"),
        ("!!str yes", "yes"),
        ("!!int '12'", 12),
        ("!!binary aGk=", "hi"),
        ("=", "="),
        ("|\n  a\n  b", "a\nb"),
        ("{a: 1, 1: 2, true: 3, 1.5: 4}", {"a": 1, "1": 2, "true": 3, "1.5": 4}),
        ("[1, two, 3.0]", [1, "two", 3]),
    ],
)
def test_scalars(text: str, expected: Any) -> None:
    value, duplicates = load(f"k: {text}")
    assert value == {"k": expected}
    assert type(value["k"]) is type(expected)
    assert duplicates == []


def test_documents() -> None:
    assert load("") == (None, [])
    assert load("---\na: 1\n---\nb: 2")[0] == {"a": 1}
    assert load(b'{"a": [1, {"b": null}]}')[0] == {"a": [1, {"b": None}]}
    assert load("b: &x {p: 1}\nc:\n  <<: *x\n  q: 2")[0] == {"b": {"p": 1}, "c": {"p": 1, "q": 2}}
    assert load("c:\n  <<: [{p: 1}, {p: 2, r: 3}]\n  p: 9")[0] == {"c": {"p": 9, "r": 3}}


def test_duplicates() -> None:
    assert load("a: 1\nb: 2\na: 3") == ({"a": 3, "b": 2}, ['line 3: key "a" already set in map'])
    assert load("l:\n- x: 1\n  x: 2")[1] == ['line 3: key "x" already set in map']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "did not find expected node content"),
        ("\t- x", "found character that cannot start any token"),
        ("? [a]\n: b", "invalid map key"),
        ("a: &a [*a]", "anchor contains itself"),
        ("a: *nope", "found undefined alias"),
        ("a: .inf", "unsupported value"),
        ("{null: 1}", "unsupported map key"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(YAMLError, match=message):
        load(text)


def test_a_few_bytes_cannot_become_a_billion_nodes() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(YAMLError, match="excessive aliasing"):
        load("\n".join(lines))
    with pytest.raises(YAMLError):
        load("[" * 20_000)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text("abc01:-# '\"\\{}é", max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab01", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_json_is_yaml(value: Any) -> None:
    assert load(orjson.dumps(value)) == (value, [])


@given(st.dictionaries(st.text("a<", max_size=2), st.one_of(JSON, st.floats(allow_nan=False, allow_infinity=False))))
def test_the_short_way_for_json_reads_what_yaml_reads(value: dict[str, Any]) -> None:
    body = orjson.dumps(value)
    assert repr(load(body)) == repr(load(body.decode()))  # text goes through YAML


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1.0}',
        b'{"a": [2e3]}',
        b'{"a": 99999999999999999999}',
        b'{"a": 1, "b": 2, "a": 3}',
        b'{"a": "\\/"}',
        b'{a: "x"}',
    ],
)
def test_json_that_yaml_may_read_differently(body: bytes) -> None:
    assert repr(load(body)) == repr(load(body.decode()))
