"""The rooms of members: what lives in one ends with it, whenever that is."""

from __future__ import annotations

import asyncio
from typing import final

from .conftest import Lab


@final
class Slow:
    """A tenant whose first end takes for ever."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def start(self) -> None:
        pass

    async def stop(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            await asyncio.Event().wait()


async def test_a_room_that_is_being_left_when_everything_stops_is_closed(two: Lab) -> None:
    room = two.controllers.rooms.get("m1")
    assert room is not None
    status, slow = room.tenants[0], Slow()
    room.tenants.append(slow)
    await two.change("Cluster", "m1", lambda obj: obj["spec"].update(apiEndpoint="https://elsewhere.internal"))
    await asyncio.wait_for(slow.asked.wait(), 10)
    await two.controllers.stop()
    assert status._task.done()  # type: ignore[attr-defined]
