"""Who waits for the database in vain leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from kafila.store.connect import Timeouts
from kafila.store.interface import StoreUnavailable
from kafila.store.log_tailer import LogTailer
from kafila.store.packing import Packing


async def test_nobody_is_kept_who_gave_up() -> None:
    follower = LogTailer("postgresql://127.0.0.1:1/none", Timeouts(send=0.001), Packing())
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await follower.wait_for_consistent_read()
    assert not follower._waiting


async def test_each_of_those_who_wait_together_gives_up() -> None:
    follower = LogTailer("postgresql://127.0.0.1:1/none", Timeouts(send=0.01), Packing())
    first = [asyncio.create_task(follower.wait_for_consistent_read()) for _ in range(3)]
    await asyncio.sleep(0)
    first[1].cancel()
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    later = asyncio.create_task(follower.wait_for_consistent_read())
    found = await asyncio.gather(*first, later, return_exceptions=True)
    assert [type(each) for each in found] == [
        StoreUnavailable,
        asyncio.CancelledError,
        StoreUnavailable,
        StoreUnavailable,
    ]
    assert not follower._waiting
    assert not follower._patience
