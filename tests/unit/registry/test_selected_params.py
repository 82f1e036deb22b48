"""What selectors of bindings choose is what a look at all objects would choose, and is looked for once."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafila.core import selectors
from kafila.core.resources import Key
from kafila.core.selectors import Selector
from kafila.registry import selected_params
from kafila.registry.selected_params import MOST_KEPT, SelectedParams, TooManyParams
from kafila.store.interface import Row, Unreadable
from kafila.store.memory import MemoryStore
from kafila.watch import Cache
from kafila.watch.resource import CHUNK

CHOSEN = selectors.parse("chosen=yes")


class Objects:
    """A cache that is told of changes."""

    def __init__(self) -> None:
        self.cache = Cache(MemoryStore())
        self.revision = 0

    def put(self, name: str, labels: dict[str, str], *, namespace: str = "n", deleted: bool = False) -> None:
        body = orjson.dumps({"metadata": {"name": name, "namespace": namespace, "labels": labels}})
        self._row(namespace, name, body, deleted)

    def spoil(self, name: str) -> None:
        """It cannot be read any more."""
        self._row("n", name, Unreadable("unknown key"), False)

    def _row(self, namespace: str, name: str, body: Any, deleted: bool) -> None:
        self.revision += 1
        self.cache._on_rows([Row(self.revision, Key("things", namespace, name), body, deleted, self.revision - 1)])

    def wanted(self, namespace: str, selector: Selector) -> list[str]:
        found = self.cache.resource("things").entries(namespace)
        return [entry.key.name for entry in found if selector.matches(entry.meta.labels)]


async def names(of: SelectedParams, namespace: str = "n", selector: Selector = CHOSEN) -> list[str] | None:
    """None: too many."""
    try:
        return [entry.key.name for entry in await of.chosen("things", namespace, selector)]
    except TooManyParams:
        return None


SELECTORS = tuple(map(selectors.parse, ("", "chosen=yes", "chosen!=yes", "chosen")))
CHANGE = st.tuples(
    st.sampled_from(["put", "put", "delete", "spoil"]),
    st.sampled_from("abcdefg"),
    st.sampled_from([{}, {"chosen": "yes"}, {"chosen": "no"}]),
    st.booleans(),
)


# of too many, one that could not be read, and so is nobody's old one, is not selected any more
SPOILED = [("put", name, {}, False) for name in "abcd"] + [("put", "e", {}, True), ("spoil", "a", {}, False)]


@given(st.lists(CHANGE, max_size=40))
@example([*SPOILED, ("put", "a", {"chosen": "yes"}, True)])
def test_changes_are_followed(changes: list[tuple[str, str, dict[str, str], bool]]) -> None:
    async def follow() -> None:
        objects = Objects()
        of = SelectedParams(objects.cache)
        for what, name, labels, looks in changes:
            if what == "spoil":
                objects.spoil(name)
            else:
                objects.put(name, labels, deleted=what == "delete")
            for selector in SELECTORS if looks else ():
                wanted = objects.wanted("n", selector)
                assert await names(of, selector=selector) == (wanted if len(wanted) <= 3 else None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selected_params, "MOST_PARAMS", 3)
        asyncio.run(follow())


async def test_what_changes_while_it_is_looked_for() -> None:
    objects = Objects()
    for number in range(3 * CHUNK):
        objects.put(f"o{number:04}", {"chosen": "yes"} if number % 100 == 0 else {})
    of = SelectedParams(objects.cache)
    looks = [asyncio.create_task(names(of)) for _ in range(2)]
    await asyncio.sleep(0)
    objects.put("o0000", {})
    objects.put("o0001", {"chosen": "yes"})
    objects.put("o0100", {}, deleted=True)
    objects.put("o0500", {})
    objects.put("o0501", {"chosen": "yes"})
    wanted = objects.wanted("n", CHOSEN)
    assert wanted == ["o0001", "o0200", "o0300", "o0400", "o0501"]
    assert await asyncio.gather(*looks) == [wanted] * 2


async def test_who_leaves_does_not_keep_others_waiting() -> None:
    objects = Objects()
    for number in range(3 * CHUNK):
        objects.put(f"o{number:04}", {"chosen": "yes"} if number == 500 else {})
    of = SelectedParams(objects.cache)
    leaves, stays = asyncio.create_task(names(of)), asyncio.create_task(names(of))
    await asyncio.sleep(0)
    leaves.cancel()
    assert await stays == ["o0500"]
    assert leaves.cancelled()


async def test_a_history_that_is_over_is_forgotten() -> None:
    objects = Objects()
    objects.put("a", {"chosen": "yes"})
    of = SelectedParams(objects.cache)
    assert await names(of) == ["a"]
    await objects.cache.store.open()
    await objects.cache.load()
    assert await names(of) == []


async def test_namespaces_are_apart_and_few_are_kept() -> None:
    objects = Objects()
    of = SelectedParams(objects.cache)
    for number in range(2 * MOST_KEPT):
        objects.put("a", {"chosen": "yes"}, namespace=f"n{number}")
        assert await names(of, f"n{number}") == ["a"]
        assert await names(of, f"m{number}") == []
    assert len(of._choices) == MOST_KEPT
    assert sum(map(len, of._near.values())) == MOST_KEPT


@pytest.mark.parametrize("selected", [5, 2_000])
async def test_how_often_objects_are_looked_at(selected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for the first write, in turns with others, and not at all for those after it; of what is too much no more than shows it."""
    calls = 0
    real = Selector.matches

    def matches(selector: Selector, labels: Any) -> bool:
        nonlocal calls
        calls += 1
        return real(selector, labels)

    monkeypatch.setattr(Selector, "matches", matches)
    found = []
    for count in (2_000, 4_000, 8_000):
        objects = Objects()
        for number in range(count):
            objects.put(f"o{number:05}", {"chosen": "yes"} if number < selected else {})
        of, seen = SelectedParams(objects.cache), []
        for _ in range(3):
            calls = 0
            await names(of)
            seen.append(calls)
        calls = 0
        objects.put("o00000", {"chosen": "yes", "other": "x"})
        found.append((*seen, calls))
    first = [2_000, 4_000, 8_000] if selected == 5 else [1_001] * 3
    assert found == [(looked, 0, 0, 1) for looked in first]
