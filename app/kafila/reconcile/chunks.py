"""Reading everything that is stored, in chunks: thousands of objects at once would keep requests waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

Chunks = Iterator[None]


async def in_chunks(steps: Chunks) -> None:
    """Carries the steps out; others get the event loop after each."""
    for _ in steps:
        await asyncio.sleep(0)


def at_once(steps: Chunks) -> None:
    deque(steps, maxlen=0)
