"""Keys that wait for a member."""

from __future__ import annotations

import asyncio

from kafila.reconcile.karmada.member.unreachable import Parking


class Lot:
    """A queue that notes what it is given."""

    def __init__(self) -> None:
        self.added: list[tuple[str, bool]] = []
        self.changed = asyncio.Event()
        self.parking: Parking[str] = Parking(self._add, lambda: 0.0, shortest=0.001)

    def _add(self, key: str, background: bool) -> None:
        self.added.append((key, background))
        self.changed.set()

    async def next(self) -> tuple[str, bool]:
        while not self.added:
            self.changed.clear()
            await self.changed.wait()
        return self.added.pop(0)


async def test_one_at_a_time_looks() -> None:
    lot = Lot()
    for key in "abc":
        lot.parking.park(key)
    assert len(lot.parking) == 3
    assert await lot.next() == ("a", False)
    lot.parking.park("a")  # still away
    assert await lot.next() == ("b", False)


async def test_all_go_on_when_the_member_answers() -> None:
    lot = Lot()
    for key in "abca":
        lot.parking.park(key)
    lot.parking.release()
    assert lot.added == [("a", True), ("b", True), ("c", True)]
    assert len(lot.parking) == 0


async def test_a_look_that_comes_to_nothing_is_followed_by_another() -> None:
    lot = Lot()
    for key in "ab":
        lot.parking.park(key)
    assert [await lot.next(), await lot.next()] == [("a", False), ("b", False)]


async def test_a_closed_one_gives_nothing_back() -> None:
    lot = Lot()
    lot.parking.park("a")
    lot.parking.close()
    await asyncio.sleep(0)
    assert lot.added == []
    lot.parking.park("b")  # and can be used again
    assert await lot.next() == ("b", False)
