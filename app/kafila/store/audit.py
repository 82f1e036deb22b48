"""Who changed what, as it is kept for ``kafila audit``, and what a store promises of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class AuditRow(NamedTuple):
    """What somebody asked to be changed, and what became of it. The texts have no NUL."""

    at: float  # Unix seconds
    id: str  # with ``at`` its own: a row that is written again is there once
    username: str
    acting: str  # as whom he acted, "" as himself
    verb: str
    resource: str  # ``deployments.apps``
    subresource: str
    namespace: str
    name: str
    code: int  # of the answer
    source: str
    agent: str
    changes: str  # JSON


class AuditQuery(NamedTuple):
    """What is empty matches all. ``namespace``: None for all, "" for what lies in none. ``before``: (at, id) of the last row
    of the page before."""

    since: float
    limit: int
    namespace: str | None = None
    resource: str = ""
    name: str = ""
    user: str = ""
    verb: str = ""
    before: tuple[float, str] | None = None

    def matches(self, row: AuditRow) -> bool:
        return (
            row.at >= self.since
            and (self.before is None or (row.at, row.id) < self.before)
            and self.namespace in (None, row.namespace)
            and self.resource in ("", row.resource)
            and self.name in ("", row.name)
            and self.user in ("", row.username, row.acting)
            and self.verb in ("", row.verb)
        )


class AuditPage(NamedTuple):
    """Newest first. ``before``: where the next page begins; None: that was all. It may be given with fewer rows than asked for,
    also with none: so much was looked through."""

    rows: list[AuditRow]
    before: tuple[float, str] | None


class AuditTable(Protocol):
    async def insert(self, rows: Sequence[AuditRow]) -> None:
        """Raises StoreUnavailable when they may be written later; ValueError for rows that never can be."""
        ...

    async def close(self) -> None: ...
