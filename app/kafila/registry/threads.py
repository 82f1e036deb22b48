"""Work that takes long because somebody sent much: done in threads, so that the event loop serves others meanwhile.

Python gives the interpreter to another thread every few milliseconds; one thread for each class of size keeps what is merely
big from waiting for what is huge. What a thread needs of the loop's own state it asks the loop for (``on_loop``).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar, final

from kafila.catalog.kind import Kind
from kafila.core.errors import too_many_requests
from kafila.watch import Entry

from .codec import decode_entry

T = TypeVar("T")
BIG: Final = 32 << 10  # bytes: less is done sooner than a thread would get to it
HUGE: Final = 512 << 10
WAITING: Final = 64  # for one thread; whoever comes then gets 429 and tries again
TIMEOUT: Final = 60.0  # seconds until a thread gives up on a loop that has ended

_here = threading.local()


@final
class _Worker:
    """One thread, and who waits for it."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._waiting = 0

    async def run(self, work: Callable[[], T], refusable: bool) -> T:
        """Raises StatusError 429."""
        if refusable and self._waiting >= WAITING:
            raise too_many_requests("too many large requests, please try again later", 1)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, _called, loop, work)
        finally:
            self._waiting -= 1


_BIG: Final = _Worker("big")
_HUGE: Final = _Worker("huge")


def _called(loop: asyncio.AbstractEventLoop, work: Callable[[], T]) -> T:
    _here.loop = loop
    return work()


def cost(kind: Kind, size: int) -> int:
    """What a write of so many bytes costs, as bytes: some kinds are slow to check."""
    return max(size, HUGE) if kind.strategy.slow_to_check else size


async def in_thread(size: int, work: Callable[[], T], *, refusable: bool = False) -> T:
    """Does ``work``, which is about so many bytes, at once or in a thread.

    Raises what ``work`` raises, and StatusError 429 where too much waits already and this has not begun: it is ``refusable``.
    """
    if size < BIG:
        return work()
    return await (_BIG if size < HUGE else _HUGE).run(work, refusable)


async def decoded(kind: Kind, entry: Entry) -> dict[str, Any]:
    """As ``decode_entry``."""
    return await in_thread(len(entry.body), lambda: decode_entry(kind, entry))


def on_loop(look: Callable[[], T]) -> T:
    """What ``look`` finds in state that belongs to the event loop, asked from the loop or from a thread of ``in_thread``."""
    loop: asyncio.AbstractEventLoop | None = getattr(_here, "loop", None)
    if loop is None:
        return look()
    found: Future[T] = Future()
    loop.call_soon_threadsafe(_answer, found, look)
    return found.result(TIMEOUT)


def _answer(found: Future[Any], look: Callable[[], Any]) -> None:
    try:
        found.set_result(look())
    except BaseException as error:
        found.set_exception(error)
