"""The webhook backend: events in batches, sent to a server that is tried again when it gives no answer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, NamedTuple, final

from kafila.core.webhooks import Pause, Post, WebhookError, answered

from .events import Event, completed, event_list
from .metrics import lost

PLUGIN: Final = "webhook"
ATTEMPTS: Final = 5


class Batching(NamedTuple):
    """As kube-apiserver's ``--audit-webhook-batch-*``."""

    buffer_size: int = 10_000  # events
    max_size: int = 400
    max_wait: float = 30.0  # seconds
    initial_backoff: float = 10.0
    most_bytes: int = 64 << 20  # of what waits


DEFAULTS: Final = Batching()


@final
class WebhookBackend:
    """Started in a running event loop."""

    def __init__(self, post: Post, batching: Batching = DEFAULTS, pause: Pause = asyncio.sleep) -> None:
        self._post = post
        self._batching = batching
        self._pause = pause
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run())

    def put(self, event: Event) -> None:
        size = event.size
        limits = self._batching
        if self._closed or len(self._waiting) >= limits.buffer_size or self._bytes + size > limits.most_bytes:
            lost(PLUGIN, 1, "the webhook takes events more slowly than they come")
            return
        self._waiting.append(event)
        self._bytes += size
        self._arrived.set()
        if len(self._waiting) >= limits.max_size:
            self._full.set()

    async def close(self, timeout: float) -> None:
        """Waits so many seconds for what is not sent yet."""
        self._closed = True
        self._arrived.set()
        self._full.set()
        await asyncio.wait((self._task,), timeout=timeout)
        if not self._task.done():
            self._task.cancel()
            lost(PLUGIN, len(self._waiting), "the process ends")

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            if not self._waiting:
                if self._closed:
                    return
                self._arrived.clear()
                continue
            try:
                async with asyncio.timeout(self._batching.max_wait):
                    await self._full.wait()
            except TimeoutError:
                pass
            batch = [self._waiting.popleft() for _ in range(min(self._batching.max_size, len(self._waiting)))]
            self._bytes -= sum(event.size for event in batch)
            if len(self._waiting) < self._batching.max_size and not self._closed:
                self._full.clear()
            await self._send(batch)

    async def _send(self, batch: list[Event]) -> None:
        try:
            content = await asyncio.to_thread(_encoded, batch)
            first = self._batching.initial_backoff
            await answered(self._post, content, ATTEMPTS, first, self._pause, lambda: not self._closed)
        except WebhookError as error:
            lost(PLUGIN, len(batch), str(error))
        except Exception as error:  # nothing that somebody sends or answers ends the recording
            lost(PLUGIN, len(batch), f"{type(error).__name__}: {error}")


def _encoded(batch: list[Event]) -> bytes:
    documents: list[dict[str, Any]] = []
    for event in batch:
        try:
            documents.append(completed(event))
        except Exception as error:  # one that cannot be written takes no others with it
            lost(PLUGIN, 1, f"{type(error).__name__}: {error}")
    return event_list(documents)
