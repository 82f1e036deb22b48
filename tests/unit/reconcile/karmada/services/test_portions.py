"""Writes for many clusters are committed in portions, none of which is large."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.reconcile.karmada.services.portions import PORTION, TOGETHER, Portions
from kafila.registry import sizes
from kafila.registry.context import Change
from kafila.store.interface import Write


def change(name: str, size: int) -> Change:
    return Change((), (Write(Key("works", "", name), bytes(size)),), b"")


def committed(found: Sequence[int]) -> tuple[list[list[int]], list[str]]:
    """Sizes of each transaction, and the clusters that are told of."""
    done: list[list[int]] = []
    told: list[str] = []

    async def commit(changes: Sequence[Change]) -> None:
        done.append([sizes.size_of(each) for each in changes])

    async def all_of_them() -> None:
        portions = Portions(commit, told.append)
        for number, size in enumerate(found):
            await portions.add(f"m{number}", change(f"m{number}", size))
        await portions.finish()

    asyncio.run(all_of_them())
    return done, told


@given(st.lists(st.sampled_from([0, 10, PORTION // 3, PORTION - 10, PORTION, PORTION + 1]), max_size=8))
def test_all_are_committed_in_their_order_and_no_portion_is_larger_than_one(found: list[int]) -> None:
    done, told = committed(found)
    assert [size for portion in done for size in portion] == found
    assert told == [f"m{number}" for number in range(len(found))]
    assert all(portion and (len(portion) == 1 or sum(portion) <= PORTION) for portion in done)


def test_many_small_ones_are_not_kept_waiting_for_each_other() -> None:
    done, _ = committed([1] * (2 * TOGETHER + 1))
    assert [len(portion) for portion in done] == [TOGETHER, TOGETHER, 1]
    assert committed([]) == ([], [])


async def test_of_a_portion_that_fails_nobody_is_told() -> None:
    told: list[str] = []

    async def commit(changes: Sequence[Change]) -> None:
        if changes[0].writes[0].key.name == "m1":
            raise ValueError("refused")

    portions = Portions(commit, told.append)
    await portions.add("m0", change("m0", PORTION))
    await portions.add("m1", change("m1", PORTION))
    with pytest.raises(ValueError, match="refused"):
        await portions.finish()
    assert told == ["m0"]
