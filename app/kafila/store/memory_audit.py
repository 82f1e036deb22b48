"""Who changed what, in memory: the same promises as :mod:`.postgres_audit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, final

from .audit import AuditPage, AuditQuery, AuditRow

MOST: Final = 10_000  # rows; the oldest go


@final
class MemoryAudit:
    """See :class:`kafila.store.audit.AuditTable`."""

    def __init__(self) -> None:
        self._rows: dict[tuple[float, str], AuditRow] = {}

    async def insert(self, rows: Sequence[AuditRow]) -> None:
        for row in rows:
            self._rows.setdefault((row.at, row.id), row)
        for key in sorted(self._rows)[: max(len(self._rows) - MOST, 0)]:
            del self._rows[key]

    async def close(self) -> None:
        pass

    def select(self, asked: AuditQuery) -> AuditPage:
        found = [self._rows[key] for key in sorted(self._rows, reverse=True)]
        matching = [row for row in found if asked.matches(row)]
        rows = matching[: asked.limit]
        return AuditPage(rows, (rows[-1].at, rows[-1].id) if len(matching) > len(rows) else None)

    def expire(self, ttl: float) -> None:
        oldest = time.time() - ttl
        self._rows = {key: row for key, row in self._rows.items() if row.at > oldest}
