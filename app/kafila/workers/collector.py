"""Python's cycle collector, set up for a process that holds much for long and makes much that is short-lived.

By default it goes through the young objects after every 700 new containers (one decoded manifest has half of that), and at everything,
catalog and cache included, a few times while they are loaded: a sixth of a busy process's CPU, and pauses of the event loop.
What is there when the process is ready is not examined again (it still goes when nothing refers to it), and the young are examined
in larger batches. So it is with the kinds of a big definition that comes later: hundreds of thousands of objects that stay.

A collection holds the event loop: for about 1 µs per object that stays, since what was made in the last seconds is in no cache of the
processor any more. So the batches are small enough for a request not to notice (20,000 and ten times as many took 25 and 100 ms),
and everything is examined as rarely as with larger ones. The CPU is about the same: each object that stays is examined twice.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

YOUNG = 2_000  # containers made since the last collection
OLDER = 2  # collections of the young before one of those that were left once, too
OLDEST = 300  # collections of these before one of everything: some two million containers
NEVER = 1 << 30


@final
class Collector:
    def settle(self) -> None:
        """The process is ready: what is there is there to stay."""
        gc.freeze()
        gc.enable()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Much is made that is there to stay: nobody goes through everything meanwhile, nor at what was made later.

        Cycles that end meanwhile and were not young any more stay in memory: not for what is small and happens often.
        """
        gc.set_threshold(YOUNG, OLDER, NEVER)
        try:
            yield
        finally:
            gc.set_threshold(YOUNG, OLDER, OLDEST)
            gc.collect(1)
            gc.freeze()


@contextmanager
def collector() -> Iterator[Collector]:
    """Collects nothing until ``settle`` is called; as before after the end."""
    before = gc.get_threshold()
    gc.disable()
    gc.set_threshold(YOUNG, OLDER, OLDEST)
    try:
        yield Collector()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
        gc.enable()
