"""Python's cycle collector, told about a process that holds much for long and makes much that is short-lived.

By default it looks at the young objects after every 700 new containers (one decoded manifest has half of that), and at everything,
catalog and cache included, a few times while they are loaded: a sixth of a busy process's CPU, and pauses of the event loop.
What is there when the process is ready is not looked at again (it still goes when nothing refers to it), and the young are looked
at in larger portions.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

YOUNG = 20_000  # containers made since the last look


@final
class Collector:
    def settle(self) -> None:
        """The process is ready: what is there is there to stay."""
        gc.freeze()
        gc.enable()


@contextmanager
def collector() -> Iterator[Collector]:
    """Collects nothing until it is told to settle; as before after the end."""
    before = gc.get_threshold()
    gc.disable()
    gc.set_threshold(YOUNG, 10, 10)
    try:
        yield Collector()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
        gc.enable()
