"""Who has a place among the slices of a member."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.reconcile.karmada.services import taken
from kafila.reconcile.karmada.services.taken import TakenSlices


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(taken, "MOST", 2)
        yield


def work(name: str, cluster: str = "m1") -> Key:
    return Key("works.work.karmada.io", f"karmada-es-{cluster}", name)


def test_the_first_have_a_place_and_whoever_comes_later_waits_for_one() -> None:
    slices = TakenSlices()
    assert [slices.admit(work(name)) for name in "abca"] == [True, True, False, True]
    assert slices.admit(work("c", "m2"))  # each member has its own
    assert slices.release(work("other")) is None
    assert slices.release(work("a")) == work("c")
    assert slices.admit(work("c"))
    assert not slices.admit(work("a"))


def test_who_waited_and_wants_none_any_more_lets_the_next_have_it() -> None:
    slices = TakenSlices()
    for name in "abcd":
        slices.admit(work(name))
    assert slices.release(work("b")) == work("c")
    assert slices.release(work("c")) == work("d")
    assert slices.admit(work("d"))


def test_it_is_told_once_until_all_have_a_place() -> None:
    slices, export = TakenSlices(), Key("serviceexports", "default", "web")
    for name in "abc":
        slices.admit(work(name))
    assert [slices.is_news(work("c"), export) for _ in range(2)] == [True, False]
    slices.release(work("a"))
    assert slices.admit(work("c"))
    assert not slices.admit(work("d"))
    assert slices.is_news(work("d"), export)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"))))
def test_nobody_waits_while_there_is_room(steps: list[tuple[bool, str]]) -> None:
    slices, wanted, placed = TakenSlices(), set(), set()
    for wants, name in steps:
        todo: list[tuple[bool, Key]] = [(wants, work(name))]
        while todo:  # as the controllers do
            wants, key = todo.pop()
            if wants:
                wanted.add(key)
                if slices.admit(key):
                    placed.add(key)
            else:
                wanted.discard(key)
                placed.discard(key)
                if (other := slices.release(key)) is not None:
                    todo.append((other in wanted, other))
        assert placed <= wanted
        assert len(placed) == min(2, len(wanted))
