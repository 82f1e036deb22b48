"""How far what search keeps of members (:mod:`.search`) was written to backend stores, and what a store promises of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, Protocol, final

import asyncpg

Place = tuple[str, str]  # namespace and name
START: Final = (0, ("", ""))  # nothing was written yet


class Export(NamedTuple):
    """One cached resource in one backend store. ``reached``: version and place behind which changes are still to be written;
    ``index_uid``: of the index that has them: one that was made anew has another. ``swept``: the index has nothing else of it."""

    resource: str
    cluster: str
    namespaces: tuple[str, ...]  # empty: all
    index_name: str
    index_uid: str
    reached: tuple[int, Place] = START
    swept: bool = False


class SearchExports(Protocol):
    """All raise StoreUnavailable. ``backend``: what identifies a backend store."""

    async def of(self, backend: str) -> list[Export]: ...

    async def put(self, backend: str, export: Export) -> None: ...

    async def end(self, backend: str, resource: str, cluster: str) -> None: ...

    async def keep(self, backends: Collection[str]) -> None:
        """Those of all others go."""
        ...


@final
class MemoryExports:
    """See :class:`SearchExports`."""

    def __init__(self) -> None:
        self._exports: dict[tuple[str, str, str], Export] = {}

    async def of(self, backend: str) -> list[Export]:
        return [self._exports[key] for key in sorted(self._exports) if key[0] == backend]

    async def put(self, backend: str, export: Export) -> None:
        self._exports[backend, export.resource, export.cluster] = export

    async def end(self, backend: str, resource: str, cluster: str) -> None:
        self._exports.pop((backend, resource, cluster), None)

    async def keep(self, backends: Collection[str]) -> None:
        self._exports = {key: export for key, export in self._exports.items() if key[0] in backends}


_OF: Final = """
SELECT resource, cluster, namespaces, index_name, index_uid, version, namespace, name, swept FROM search_exports
WHERE backend = $1 ORDER BY resource, cluster
"""
_PUT: Final = """
INSERT INTO search_exports (backend, resource, cluster, namespaces, index_name, index_uid, version, namespace, name, swept)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (backend, resource, cluster) DO UPDATE SET namespaces = excluded.namespaces, index_name = excluded.index_name,
    index_uid = excluded.index_uid, version = excluded.version, namespace = excluded.namespace, name = excluded.name,
    swept = excluded.swept
"""
_END: Final = "DELETE FROM search_exports WHERE backend = $1 AND resource = $2 AND cluster = $3"
_KEEP: Final = "DELETE FROM search_exports WHERE NOT backend = ANY ($1::text[])"


@final
class PostgresExports:
    """See :class:`SearchExports`. ``connected``: connections of the search's own."""

    def __init__(self, connected: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]) -> None:
        self._connected = connected

    async def of(self, backend: str) -> list[Export]:
        async with self._connected() as connection:
            return [_export(record) for record in await connection.fetch(_OF, backend)]

    async def put(self, backend: str, export: Export) -> None:
        resource, cluster, namespaces, index_name, index_uid, (version, place), swept = export
        async with self._connected() as connection:
            await connection.execute(
                _PUT, backend, resource, cluster, list(namespaces), index_name, index_uid, version, *place, swept
            )

    async def end(self, backend: str, resource: str, cluster: str) -> None:
        async with self._connected() as connection:
            await connection.execute(_END, backend, resource, cluster)

    async def keep(self, backends: Collection[str]) -> None:
        async with self._connected() as connection:
            await connection.execute(_KEEP, list(backends))


def _export(record: Any) -> Export:
    resource, cluster, namespaces, index_name, index_uid, version, namespace, name, swept = record
    return Export(resource, cluster, tuple(namespaces), index_name, index_uid, (version, (namespace, name)), swept)
