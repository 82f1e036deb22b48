"""The tables of the schema ``fleet`` in memory: the same promises as :mod:`.postgres_fleet`; nobody asks SQL of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from .fleet import PAGE, TABLES, Followed, NotTheProjector, Place, Progress, Replacement, Row

_Key = tuple[Any, ...]


@final
class MemoryFleet:
    """See :class:`kafila.store.fleet.FleetTables`."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[_Key, Row]] = {name: {} for name in TABLES}
        self.progress = Progress(0, 0)
        self._followed: dict[tuple[str, str], int] = {}
        self._writer = self._format = 0

    async def take_over(self, writer: int, format: int) -> Progress:
        self._writer = writer
        if self._format != format:
            self._format, self.progress = format, Progress(0, 0)
            self._followed.clear()
            for table in self.tables.values():
                table.clear()
        return self.progress

    async def write(
        self,
        writer: int,
        replacements: Sequence[Replacement],
        *,
        revision: int | None = None,
        events: int | None = None,
        followed: Sequence[Followed] = (),
    ) -> int:
        if writer != self._writer:
            raise NotTheProjector
        changed = 0
        for each in replacements:
            table, spec = self.tables[each.table], TABLES[each.table]
            rows = {tuple(row[column] for column in spec.key): row for row in each.rows}
            of = set(each.of)
            gone = [key for key in table if key[: spec.of] in of and key not in rows]
            for key in gone:
                del table[key]
            changed += len(gone) + sum(table.get(key) != row for key, row in rows.items())
            table.update(rows)
        for resource, cluster, version in followed:
            if version is not None:
                self._followed[resource, cluster] = version
                continue
            self._followed.pop((resource, cluster), None)
            objects = self.tables["object"]
            for key in [key for key in objects if key[:2] == (cluster, resource)]:
                del objects[key]
        before = self.progress
        self.progress = Progress(
            before.revision if revision is None else revision, before.events if events is None else events
        )
        return changed

    async def resources(self) -> list[str]:
        return sorted({key[1] for key in self.tables["object"] if not key[0]})

    async def known(self, resource: str, cluster: str, after: Place, limit: int = PAGE) -> list[tuple[str, str, int]]:
        found = sorted(key for key in self.tables["object"] if key[:2] == (cluster, resource) and key[2:] > after)
        return [(*key[2:], self.tables["object"][key]["revision"]) for key in found[:limit]]

    async def known_events(self, after: Place, limit: int = PAGE) -> list[Place]:
        return sorted(key for key in self.tables["event"] if key > after)[:limit]

    async def followed(self) -> list[Followed]:
        return [Followed(*key, version) for key, version in self._followed.items()]
