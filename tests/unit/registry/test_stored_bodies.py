"""Between objects and the bytes that are stored."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.catalog.kind import Kind, Strategy
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.machinery.schema import Schema
from kafila.registry.codec import decode_entry, encode_body, same_object, served_body, wire_bytes
from kafila.registry.continuation import decode_token, encode_token
from kafila.watch import Entry

KIND = Kind("g.io", "v1", "Thing", "things", "thing", True, ("get",), Schema("struct"), Strategy())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(spec=VALUES, labels=st.dictionaries(st.text(), st.text(), max_size=3), revision=st.integers(1, 2**60))
def test_nothing_is_lost(spec: Any, labels: dict[str, str], revision: int) -> None:
    obj = {"apiVersion": "g.io/v1", "spec": spec, "kind": "Thing", "metadata": {"labels": labels, "name": "a"}}
    before = orjson.dumps(obj)
    body = encode_body(obj)
    assert orjson.dumps(obj) == before
    assert body.startswith(b'{"metadata":{"name":"a",')
    entry = Entry(Key("things.g.io", "", "a"), revision, body)
    obj["metadata"]["resourceVersion"] = str(revision)
    assert decode_entry(KIND, entry) == obj
    assert orjson.loads(wire_bytes(KIND, entry)) == obj
    assert entry.meta.name == "a"


def test_metadata_is_stored_in_order() -> None:
    metadata = {"labels": {"a": "b"}, "resourceVersion": "5", "uid": "u", "name": "n", "namespace": "s"}
    assert (
        encode_body({"metadata": metadata}) == b'{"metadata":{"name":"n","namespace":"s","uid":"u","labels":{"a":"b"}}}'
    )


def test_what_cannot_be_read_again_is_not_written() -> None:
    deep: Any = 1
    for _ in range(260):
        deep = [deep]
    with pytest.raises(StatusError) as refused:
        encode_body({"metadata": {}, "spec": deep})
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({}, {"a": None}, False),
    ],
)
def test_sameness(one: dict, other: dict, same: bool) -> None:
    assert same_object(one, other) is same


_NAMES = st.from_regex(r"[a-z0-9]+([.-][a-z0-9]+)*", fullmatch=True)


@given(st.just(-1) | st.integers(1, 2**60), st.lists(_NAMES, min_size=1, max_size=2).map("/".join))
def test_tokens(revision: int, path: str) -> None:
    assert decode_token(encode_token(revision, path)) == (revision, path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("bogus", ": illegal base64 data at input byte 4"),
        ("bo!us", ": illegal base64 data at input byte 2"),
        ("e30", ": server does not recognize this encoded version "),
        (b"x", ": invalid character 'x' looking for beginning of value"),
        (b'{"v":"meta.k8s.io/v1"}', ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (b'{"v":"meta.k8s.io/v1","rv":1}', ": encoded start key empty (version meta.k8s.io/v1)"),
        (b'{"v":"meta.k8s.io/v1","rv":1,"start":"../a"}', ": ../a"),
    ],
)
def test_what_is_wrong_with_a_token_is_said_as_kubernetes_does(content: str | bytes, why: str) -> None:
    token = content if isinstance(content, str) else base64.urlsafe_b64encode(content).decode().rstrip("=")
    with pytest.raises(StatusError) as refused:
        decode_token(token)
    assert refused.value.message == f"invalid continue token: continue key is not valid{why}"


@given(st.text(max_size=40))
def test_foreign_tokens_are_refused_or_read(token: str) -> None:
    try:
        decode_token(token)
    except StatusError as error:
        assert error.code == 400  # noqa: PT017


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_is_kept_of_a_converted_object_takes_no_more_room_than_it_needs() -> None:
    kind = dataclasses.replace(KIND, from_storage=lambda stored: {**stored, "spec": {"filled": True}})
    body = encode_body({"metadata": {"name": "a"}})
    entries = [Entry(Key("things.g.io", "", "a"), revision, body) for revision in range(1, 8001)]
    before = resident()
    assert all(b'"filled":true' in served_body(kind, entry) for entry in entries)
    assert resident() - before < len(entries) * 2048
