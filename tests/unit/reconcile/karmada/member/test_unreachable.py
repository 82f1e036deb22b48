"""Keys that wait for a member."""

from __future__ import annotations

import asyncio

from kafila.reconcile.karmada.member.unreachable import UnreachableKeys


class Lot:
    """A queue that notes what it is given."""

    def __init__(self) -> None:
        self.added: list[tuple[str, bool]] = []
        self.changed = asyncio.Event()
        self.unreachable: UnreachableKeys[str] = UnreachableKeys(self._add, lambda: 0.0, shortest=0.001)

    def _add(self, key: str, background: bool) -> None:
        self.added.append((key, background))
        self.changed.set()

    async def next(self) -> tuple[str, bool]:
        while not self.added:
            self.changed.clear()
            await self.changed.wait()
        return self.added.pop(0)


async def test_one_at_a_time_is_tried() -> None:
    lot = Lot()
    for key in "abc":
        lot.unreachable.add(key)
    assert len(lot.unreachable) == 3
    assert await lot.next() == ("a", False)
    lot.unreachable.add("a")  # still away
    assert await lot.next() == ("b", False)


async def test_all_go_on_when_the_member_answers() -> None:
    lot = Lot()
    for key in "abca":
        lot.unreachable.add(key)
    lot.unreachable.release()
    assert lot.added == [("a", True), ("b", True), ("c", True)]
    assert len(lot.unreachable) == 0


async def test_a_try_that_comes_to_nothing_is_followed_by_another() -> None:
    lot = Lot()
    for key in "ab":
        lot.unreachable.add(key)
    assert [await lot.next(), await lot.next()] == [("a", False), ("b", False)]


async def test_a_closed_one_gives_nothing_back() -> None:
    lot = Lot()
    lot.unreachable.add("a")
    lot.unreachable.close()
    await asyncio.sleep(0)
    assert lot.added == []
    lot.unreachable.add("b")  # and can be used again
    assert await lot.next() == ("b", False)
