"""Keeps the catalog's custom kinds current: in every process, from the CustomResourceDefinitions in its cache."""

from __future__ import annotations

import asyncio
from typing import Any, final

import structlog

from app.catalog.catalog import Catalog
from app.catalog.custom.definition import RESOURCE, accepted_names, is_served, is_terminating, unevaluated
from app.catalog.custom.kinds import kinds_of
from app.catalog.kind import Kind

from .cache import Cache
from .entry import Entry, Event

log = structlog.get_logger(__name__)
# what a definition's kinds depend on; its other changes need no new ones
Signature = tuple[Any, ...]


@final
class Definitions:
    """Kinds are compiled in a thread: a big schema takes longer than the event loop may be held."""

    def __init__(self, catalog: Catalog, cache: Cache) -> None:
        self._catalog = catalog
        self._cache = cache
        self._served: dict[str, tuple[Signature, list[Kind]]] = {}  # by name of the definition
        self._pending: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._task: asyncio.Task[None] | None = None
        cache.listen(RESOURCE, self._observe)
        cache.on_reset(self._resync)

    async def start(self) -> None:
        """Returns when the kinds of all definitions that the cache knows are in the catalog."""
        self._resync()
        self._task = asyncio.create_task(self._run(), name="custom-kinds")
        await self.settled()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def settled(self) -> None:
        """Returns when the catalog has the kinds of everything that the cache has seen."""
        if self._task is not None:
            await self._settled.wait()

    def owns(self, kind: Kind) -> bool:
        """Whether a kind of the catalog is there because of a definition."""
        return any(kind is one for _, kinds in self._served.values() for one in kinds)

    def _observe(self, event: Event) -> None:
        self._add(event.key.name)

    def _resync(self) -> None:
        for name in {*self._served, *(entry.key.name for entry in self._cache.resource(RESOURCE).entries())}:
            self._add(name)

    def _add(self, name: str) -> None:
        self._pending[name] = None
        self._settled.clear()
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                names, self._pending = list(self._pending), {}
                await self._take_over(names)
            self._settled.set()

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
            gone += had[1] if had is not None else []
            if made is None:
                self._served.pop(name, None)
                continue
            self._served[name] = made
            new += made[1]
        if gone:
            self._catalog.remove(gone)
        if new:
            self._catalog.add(new)

    async def _kinds(
        self, entry: Entry | None, had: tuple[Signature, list[Kind]] | None
    ) -> tuple[Signature, list[Kind]] | None:
        crd = entry.decode() if entry is not None else {}
        if not is_served(crd):
            return None
        signature = _signature(crd)
        if had is not None and had[0] == signature:
            return had
        kinds = await asyncio.to_thread(kinds_of, crd)
        for text in unevaluated(crd):
            log.warning("custom resource definition is not served in full", name=crd["metadata"]["name"], why=text)
        # the server's own kinds are nobody else's to define
        return signature, [kind for kind in kinds if self._is_free(kind)]

    def _is_free(self, kind: Kind) -> bool:
        taken = self._catalog.storage_kind(kind.resource)
        return taken is None or self.owns(taken)


def _signature(crd: dict[str, Any]) -> Signature:
    metadata = crd["metadata"]
    return metadata.get("uid"), metadata.get("generation"), accepted_names(crd), is_terminating(crd)
