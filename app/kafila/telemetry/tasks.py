"""Tasks of an event loop, ended by who began them."""

from __future__ import annotations

import asyncio
from typing import Any


async def cancelled(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancels them, and returns when all are over, however they ended. None: one that was never begun."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
