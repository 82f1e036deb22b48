"""Versions and tokens of several clusters, as Karmada writes them."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.search.versions import Continue, MultiVersion, encode, own_version, parse, parse_continue

CLUSTERS = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=63), st.integers(1, 10**17), max_size=20
)


def test_as_karmada_writes_it() -> None:
    """The example of its own tests: sorted, without padding."""
    assert encode({"cluster2": "2", "cluster1": "1"}) == "eyJjbHVzdGVyMSI6IjEiLCJjbHVzdGVyMiI6IjIifQ"
    assert encode({}) == ""
    assert parse("eyJjbHVzdGVyMSI6IjEiLCJjbHVzdGVyMiI6IjIifQ").of == {"cluster1": "1", "cluster2": "2"}


@given(CLUSTERS)
def test_what_is_written_is_read(found: dict[str, int]) -> None:
    text = encode(found)
    read = parse(text)
    assert {cluster: read.number(cluster) for cluster in read.of} == found
    assert encode(dict(reversed(found.items()))) == text
    if found:
        assert json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) == {
            c: str(v) for c, v in found.items()
        }
        assert list(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))) == sorted(found)


@given(st.text(max_size=200))
def test_nothing_raises(text: str) -> None:
    parse(text).number("m1")
    own_version(text, "m1")


def test_zero_and_none() -> None:
    assert parse("0") == MultiVersion({}, True)
    assert parse("0").get("any") == "0"
    assert parse("").get("any") == ""
    assert parse("12345").get("any") == ""  # of one cluster: it says nothing here


@given(CLUSTERS, st.text("abc-", min_size=1, max_size=9), st.text("abc-", max_size=9), st.text("abc-", max_size=9))
def test_tokens(found: dict[str, int], cluster: str, namespace: str, name: str) -> None:
    token = Continue(encode(found), cluster, namespace if name else "", name)
    assert parse_continue(str(token)) == token


def test_a_token_without_a_cluster_is_none() -> None:
    assert str(Continue("abc")) == ""


@pytest.mark.parametrize(
    ("text", "own"), [("", None), ("0", None), ("77", None), (encode({"m1": 5}), "5"), (encode({"m2": 5}), "")]
)
def test_a_members_own_part(text: str, own: str | None) -> None:
    assert own_version(text, "m1") == own
