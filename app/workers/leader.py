"""Leadership by a lease in the database: controllers run in one process at a time, and move when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import final

import structlog

from app.store.interface import Lease, Store, StoreUnavailable

log = structlog.get_logger(__name__)
DURATION = 15.0  # seconds, as Kubernetes' leader election
RENEW = 5.0
DEADLINE = 10.0  # without a renewal for so long the work stops, before anybody else may begin


@final
class Leader:
    def __init__(
        self, store: Store, name: str, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._name = name
        self._start = start
        self._stop = stop
        self.identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self.leading = False
        self._task: asyncio.Task[None] | None = None
        self._lease: Lease | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._resign()
        if self._lease is not None:
            with contextlib.suppress(StoreUnavailable, OSError):
                await self._store.release_lease(self._lease)

    async def _run(self) -> None:
        renewed = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(DEADLINE):
                    lease = await self._store.acquire_lease(self._name, self.identity, DURATION)
            except (StoreUnavailable, OSError, TimeoutError) as error:
                log.warning("lease not renewed", lease=self._name, error=str(error))
                if self.leading and time.monotonic() - renewed > DEADLINE:
                    await self._resign()
                await asyncio.sleep(1.0)
                continue
            if lease is not None:
                renewed = time.monotonic()
                self._lease = lease
                if not self.leading:
                    self.leading = True
                    log.info("leading", lease=self._name, identity=self.identity)
                    await self._start()
            else:
                self._lease = None
                await self._resign()
            await asyncio.sleep(RENEW if lease is not None else 2.0)

    async def _resign(self) -> None:
        if self.leading:
            self.leading = False
            log.info("not leading any more", lease=self._name)
            await self._stop()
