"""Answers that are kept as a whole until they are read: so many bytes at once, over all connections."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, final

from kafila.core.errors import too_many_requests

MOST: Final = 128 << 20  # bytes
TIMEOUT: Final = 30.0  # seconds


@final
class Outgoing:
    """Whoever finds no room waits, in turn; one that is larger than everything has it alone."""

    def __init__(self) -> None:
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Raises StatusError 429."""
        if not self._waiting and self._fits(size):
            self._held += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(TIMEOUT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it came just then
                self._held -= size
            self._go_on()
            if isinstance(error, TimeoutError):
                why = "too many large lists are being read, please try again later"
                raise too_many_requests(why) from None
            raise

    def give(self, size: int) -> None:
        if size:
            self._held -= size
            self._go_on()

    def _fits(self, size: int) -> bool:
        return not self._held or self._held + size <= MOST

    def _go_on(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(size):
                    return
                self._held += size
                turn.set_result(None)
            self._waiting.popleft()


OUTGOING: Final = Outgoing()
