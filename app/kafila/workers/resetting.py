"""The database went back in time: everything known is dropped and read again."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog

from kafila.store.interface import StoreUnavailable
from kafila.watch import Cache

log = structlog.get_logger(__name__)


async def reload_after_reset(cache: Cache) -> NoReturn:
    """Goes on until it is cancelled."""
    while True:
        await cache.reset.wait()
        cache.reset.clear()
        log.warning("history changed under us, loading everything again")
        while True:
            try:
                await cache.load()
                break
            except (StoreUnavailable, OSError) as error:
                log.warning("not loaded yet", error=str(error))
                await asyncio.sleep(1.0)
