"""The order that insertion leaves, worked out without inserting: the same as doing it step by step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery.strategicpatch import _inserted


@given(st.lists(st.integers(-1, 4), max_size=12))
def test_as_if_inserted_one_by_one(ranks: list[int]) -> None:
    out: list[int] = []
    for i, rank in enumerate(ranks):
        at = len(out)
        while at and (rank < 0 or ranks[out[at - 1]] < 0 or rank < ranks[out[at - 1]]):
            at -= 1
        out.insert(at, i)
    assert _inserted(ranks) == out
