"""Keeps the catalog's custom kinds current: in every process, from the CustomResourceDefinitions in its cache."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final, NamedTuple, final

import orjson
import structlog

from kafila.catalog.catalog import Catalog
from kafila.catalog.custom.definition import RESOURCE, accepted_names, is_served, is_terminating
from kafila.catalog.custom.kinds import kinds_of
from kafila.catalog.kind import Kind
from kafila.telemetry.tasks import cancelled

from .cache import Cache
from .entry import Entry, Event

log = structlog.get_logger(__name__)
# what a definition's kinds depend on; its other changes need no new ones
Signature = tuple[Any, ...]
BIG: Final = 64 << 10  # bytes of a definition


class _Served(NamedTuple):
    signature: Signature
    terminating: bool
    kinds: list[Kind]


@final
class _Lane:
    """Definitions that wait for each other, by name. One that is in a lane stays there until it is done: in order."""

    def __init__(self) -> None:
        self.pending: dict[str, None] = {}
        self.working: list[str] = []
        self.wake = asyncio.Event()

    def __contains__(self, name: str) -> bool:
        return name in self.pending or name in self.working

    def __bool__(self) -> bool:
        return bool(self.pending or self.working)


@final
class Definitions:
    """Kinds are compiled in a thread: a big schema takes longer than the event loop may be held.

    Big definitions are compiled one by one, the smallest first, and nobody but them waits for that.
    """

    def __init__(
        self, catalog: Catalog, cache: Cache, keeping: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Big definitions, and each time small ones have added up to one, are compiled within ``keeping()``: into much that stays."""
        self._catalog = catalog
        self._cache = cache
        self._keeping = keeping
        self._unkept = 0  # bytes of definitions
        self._served: dict[str, _Served] = {}  # by name of the definition
        self._small, self._big = _Lane(), _Lane()
        self._progress = asyncio.Event()  # set, and replaced, whenever some of them are done
        self._listeners: list[Callable[[str], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        cache.listen(RESOURCE, self._observe)
        cache.on_reset(self._resync)

    async def start(self) -> None:
        """Returns when the kinds of all definitions that the cache knows are in the catalog."""
        self._resync()
        self._tasks = [asyncio.create_task(self._run(lane), name="custom-kinds") for lane in (self._small, self._big)]
        await self.settled()

    async def stop(self) -> None:
        await cancelled(*self._tasks)
        self._tasks = []
        self._small.working, self._big.working = [], []
        self._log_progress()

    async def settled(self, name: str = "") -> None:
        """Returns when the catalog has the kinds of everything that the cache has seen, or of the definition ``name``."""
        while not self.is_settled(name):
            await self._progress.wait()

    def is_settled(self, name: str = "") -> bool:
        if not self._tasks:
            return True
        return not any(name in lane if name else lane for lane in (self._small, self._big))

    def on_settled(self, listener: Callable[[str], None]) -> None:
        """Calls ``listener`` with the name of each definition that has been taken over."""
        self._listeners.append(listener)

    def owns(self, kind: Kind) -> bool:
        """Whether a kind of the catalog is there because of a definition."""
        return any(kind is one for served in self._served.values() for one in served.kinds)

    def _observe(self, event: Event) -> None:
        self._add(event.key.name)

    def _resync(self) -> None:
        for name in {*self._served, *(entry.key.name for entry in self._cache.resource(RESOURCE).entries())}:
            self._add(name)

    def _add(self, name: str) -> None:
        is_big = name in self._big or (name not in self._small and self._size(name) >= BIG)
        lane = self._big if is_big else self._small
        lane.pending[name] = None
        lane.wake.set()

    def _size(self, name: str) -> int:
        entry = self._cache.get(RESOURCE, "", name)
        return len(entry.body) if entry is not None else 0

    async def _run(self, lane: _Lane) -> None:
        while True:
            await lane.wake.wait()
            lane.wake.clear()
            while lane.pending:
                lane.working = list(lane.pending) if lane is self._small else [min(lane.pending, key=self._size)]
                for name in lane.working:
                    del lane.pending[name]
                with self._kept(lane.working):
                    await self._take_over(lane.working)
                done, lane.working = lane.working, []
                self._log_progress()
                for name in done:
                    for listener in self._listeners:
                        listener(name)

    def _kept(self, names: list[str]) -> AbstractContextManager[None]:
        self._unkept += sum(map(self._size, names))
        if self._unkept < BIG:
            return nullcontext()
        self._unkept = 0
        return self._keeping()

    def _log_progress(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    async def _take_over(self, names: list[str]) -> None:
        """One change of the catalog for all of them: what is derived from it is derived once."""
        gone: list[Kind] = []
        new: list[Kind] = []
        for name in names:
            had = self._served.get(name)
            found = self._cache.get(RESOURCE, "", name)
            try:
                made = await self._kinds(found, had)
            except Exception:
                log.exception("custom resource definition cannot be served", name=name)
                continue
            if made is had:
                continue
            gone += had.kinds if had is not None else []
            if made is None:
                self._served.pop(name, None)
                continue
            self._served[name] = made
            new += made.kinds
        if gone:
            self._catalog.remove(gone)
        if new:
            self._catalog.add(new)

    async def _kinds(self, entry: Entry | None, had: _Served | None) -> _Served | None:
        made = await asyncio.to_thread(_compiled, entry, had) if entry is not None else None
        if made is None or made is had:
            return made
        # the server's own kinds are nobody else's to define
        return made._replace(kinds=[kind for kind in made.kinds if self._is_free(kind)])

    def _is_free(self, kind: Kind) -> bool:
        taken = self._catalog.storage_kind(kind.resource)
        return taken is None or self.owns(taken)


def _compiled(entry: Entry, had: _Served | None) -> _Served | None:
    """What is served of a definition, None when nothing is; ``had`` when that has not changed."""
    crd = entry.decode()
    if not is_served(crd):
        return None
    signature, terminating = _signature(crd), is_terminating(crd)
    if had is not None and had.signature == signature:
        if had.terminating == terminating:
            return had
        return _Served(signature, terminating, [replace(kind, terminating=terminating) for kind in had.kinds])
    kinds = kinds_of(crd)
    return _Served(signature, terminating, kinds)


def _signature(crd: dict[str, Any]) -> Signature:
    # not the generation: that of a definition rises with its end
    return crd["metadata"].get("uid"), hashlib.sha256(orjson.dumps(crd["spec"])).digest(), accepted_names(crd)
