"""Who waits for the database in vain leaves nothing behind."""

from __future__ import annotations

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
