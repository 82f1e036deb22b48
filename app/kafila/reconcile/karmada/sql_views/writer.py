"""How rows get into the tables: one object that the database does not hold keeps no other away."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, final

from prometheus_client import Counter

from kafila.store.fleet import FleetTables, Followed, Progress, Replacement

from .projection import FORMAT

T = TypeVar("T")
CHUNK: Final = 200  # objects in one transaction
_SHAPES: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)  # what strange content comes to
PROJECTED: Final = Counter("kafila_sql_views_objects_total", "Objects and Events written into the views of kafila sql.")
REFUSED: Final = Counter(
    "kafila_sql_views_refused_total", "Objects and Events that the database cannot hold in the views of kafila sql."
)


@final
class Writer:
    """All raise StoreUnavailable, and NotTheProjector when another process has begun."""

    def __init__(self, tables: FleetTables, on_refused: Callable[[Any, str], None] = lambda what, why: None) -> None:
        """``on_refused``: called with the object that was left out, and why."""
        self.tables = tables
        self._on_refused = on_refused
        self._number = 0

    async def take_over(self, sealed: str) -> Progress:
        """``sealed``: what is encrypted at rest; of what was written when that was something else nothing is left: it may lie in clear."""
        self._number = random.getrandbits(62) + 1
        format = FORMAT if not sealed else zlib.crc32(f"{FORMAT} {sealed}".encode()) >> 1
        return await self.tables.take_over(self._number, format)

    async def put(self, objects: Sequence[T], make: Callable[[Sequence[T]], list[Replacement]]) -> None:
        """In portions."""
        for start in range(0, len(objects), CHUNK):
            await self._put(objects[start : start + CHUNK], make)

    async def reached(
        self, revision: int | None = None, events: int | None = None, followed: Sequence[Followed] = ()
    ) -> None:
        await self.tables.write(self._number, [], revision=revision, events=events, followed=followed)

    async def _put(self, objects: Sequence[T], make: Callable[[Sequence[T]], list[Replacement]]) -> None:
        """Halved until what cannot be held is alone."""
        try:
            await self.tables.write(self._number, await asyncio.to_thread(make, objects))
            PROJECTED.inc(len(objects))
        except _SHAPES as error:
            if len(objects) > 1:
                half = len(objects) // 2
                await self._put(objects[:half], make)
                await self._put(objects[half:], make)
                return
            REFUSED.inc()
            self._on_refused(objects[0], str(error) or type(error).__name__)
