"""Members' objects in memory: the same promises as :mod:`.postgres_search`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import final

import orjson

from kafila.core.selectors import Selector

from .exports import MemoryExports
from .search import (
    KEPT,
    PAGE,
    CachedChange,
    CachedObject,
    CachedResource,
    Changes,
    NotTheWriter,
    ObjectWrite,
    Place,
    Rows,
)


@dataclass(slots=True)
class _Row:
    change: CachedChange
    object_version: str
    at: float


@dataclass(slots=True)
class _Cached:
    state: CachedResource
    writer: int
    rows: dict[Place, _Row] = field(default_factory=dict)


@final
class MemorySearch:
    """See :class:`kafila.store.search.SearchCache`."""

    def __init__(self) -> None:
        self.exports = MemoryExports()
        self._cached: dict[tuple[str, str], _Cached] = {}
        self._listeners: list[Callable[[str], None]] = []

    async def close(self) -> None:
        pass

    async def resources(self, resource: str = "", cluster: str = "") -> list[CachedResource]:
        wanted = (key for key in sorted(self._cached) if resource in ("", key[0]) and cluster in ("", key[1]))
        return [self._cached[key].state for key in wanted]

    async def take_over(self, resource: str, cluster: str, namespaces: Sequence[str], writer: int) -> CachedResource:
        wanted = tuple(namespaces)
        found = self._cached.get((resource, cluster))
        if found is None:
            state = CachedResource(resource, cluster, wanted, 0, 0, 0, 0, "", time.time())
            found = self._cached[resource, cluster] = _Cached(state, writer)
        elif found.state.namespaces != wanted:
            found.state = found.state._replace(namespaces=wanted, version=0)
        found.writer = writer
        return found.state

    def _owned(self, resource: str, cluster: str, writer: int) -> _Cached:
        found = self._cached.get((resource, cluster))
        if found is None or found.writer != writer:
            raise NotTheWriter(f"{resource} of {cluster}")
        return found

    async def say(self, resource: str, cluster: str, writer: int, trouble: str) -> None:
        found = self._owned(resource, cluster, writer)
        found.state = found.state._replace(trouble=trouble)

    async def start_over(self, resource: str, cluster: str, writer: int) -> None:
        found = self._owned(resource, cluster, writer)
        found.rows = {place: row for place, row in found.rows.items() if not row.change.deleted}
        found.state = found.state._replace(version=0)

    async def write(
        self,
        resource: str,
        cluster: str,
        writer: int,
        writes: Sequence[ObjectWrite],
        *,
        version: int | None = None,
        anew: bool = False,
    ) -> CachedResource:
        found = self._owned(resource, cluster, writer)
        for write in {(write.namespace, write.name): write for write in writes}.values():
            _put(found.rows, write, anew)
        state = found.state
        if version is not None:
            oldest = state.oldest if state.version else version
            state = state._replace(version=version, oldest=oldest, trouble="")
        live = [row.change for row in found.rows.values() if not row.change.deleted]
        size = sum(len(change.body) for change in live)
        found.state = state._replace(objects=len(live), bytes=size, at=time.time())
        self._changed(resource)
        return found.state

    async def places(self, resource: str, cluster: str, after: Place, limit: int) -> list[Place]:
        return [place for place, _ in self._live(resource, cluster) if place > after][:limit]

    def _live(self, resource: str, cluster: str) -> list[tuple[Place, CachedChange]]:
        found = self._cached.get((resource, cluster))
        rows = found.rows if found is not None else {}
        return [(place, rows[place].change) for place in sorted(rows) if not rows[place].change.deleted]

    async def drop(self, resource: str, cluster: str) -> None:
        self._cached.pop((resource, cluster), None)
        self._changed(resource)

    async def page(
        self, resource: str, cluster: str, namespace: str, after: Place, limit: int, labels: Selector | None = None
    ) -> Rows:
        rows = [
            CachedObject(*place, change.body)
            for place, change in self._live(resource, cluster)
            if place > after and namespace in ("", place[0])
            if labels is None or labels.matches(orjson.loads(change.labels))
        ]
        limit = min(limit, PAGE)
        return Rows(rows[:limit], len(rows) > limit)

    async def find(self, resource: str, clusters: Collection[str], place: Place) -> list[tuple[str, CachedObject]]:
        return [
            (cluster, CachedObject(*place, change.body))
            for cluster in sorted(clusters)
            for where, change in self._live(resource, cluster)
            if where == place
        ]

    async def changes(
        self, resource: str, cluster: str, after: tuple[int, Place], upto: int, limit: int = PAGE
    ) -> Changes:
        found = self._cached.get((resource, cluster))
        changes = [row.change for row in found.rows.values()] if found is not None else []
        order = sorted((change.version, change[:2], change) for change in changes)
        rows = [change for version, place, change in order if (version, place) > after and version <= upto]
        return Changes(rows[:limit], len(rows) > limit)

    async def forget(self, seconds: float = KEPT) -> None:
        end = time.time() - seconds
        for cached in self._cached.values():
            gone = {p: row.change.version for p, row in cached.rows.items() if row.change.deleted and row.at < end}
            for place in gone:
                del cached.rows[place]
            cached.state = cached.state._replace(oldest=max(cached.state.oldest, *gone.values(), 0))

    def listen(self, changed: Callable[[str], None]) -> Callable[[], None]:
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def _changed(self, resource: str) -> None:
        for changed in list(self._listeners):
            changed(resource)


def _put(rows: dict[Place, _Row], write: ObjectWrite, anew: bool) -> None:
    place = write.namespace, write.name
    row = rows.get(place)
    old = row.change if row is not None else None
    if write.body is None:
        if row is not None and old is not None and not old.deleted:
            gone = old._replace(version=write.version, before=old.labels, before_version=old.version, deleted=True)
            rows[place] = _Row(gone, row.object_version, time.time())
        return
    if old is None or row is None:
        change = CachedChange(*place, write.version, write.version, write.labels, None, 0, False, write.body)
    elif old.deleted:
        change = CachedChange(*place, write.version, write.version, write.labels, None, old.version, False, write.body)
    elif anew or row.object_version != write.object_version:
        since, before = min(old.since, write.version), old.labels
        change = CachedChange(*place, write.version, since, write.labels, before, old.version, False, write.body)
    else:
        return
    rows[place] = _Row(change, write.object_version, time.time())
