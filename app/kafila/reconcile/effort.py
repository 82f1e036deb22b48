"""How long something keeps the processor busy, without what others do on the same thread while it waits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, final


@final
class Effort:
    """To be awaited once, in place of what ``begin`` returns; ``seconds`` of processor time that its own steps took so far.

    What it leaves to threads and to tasks of their own is not counted. ``step``: is told of each what it took.
    """

    def __init__(
        self, begin: Callable[[], Awaitable[None]], step: Callable[[float], None] = lambda seconds: None
    ) -> None:
        self.seconds = 0.0
        self._begin = begin
        self._step = step

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._begin().__await__()
        outcome: BaseException | None = None  # of what was waited for, when it failed or was cancelled
        while True:
            began = time.thread_time()
            try:
                waits_for = steps.send(None) if outcome is None else steps.throw(outcome)
            except StopIteration:
                return
            finally:
                took = time.thread_time() - began
                self.seconds += took
                self._step(took)
            try:
                yield waits_for
            except BaseException as error:
                outcome = error
            else:
                outcome = None
