"""Connections by cluster: one set each, replaced when the upstream changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import structlog

from .proxy import Upstream

if TYPE_CHECKING:
    from .connections import Connections

log = structlog.get_logger(__name__)


@final
class Pool:
    def __init__(self) -> None:
        self._known: dict[str, Connections] = {}

    async def connections(self, cluster: str, upstream: Upstream) -> Connections:
        found = self._known.get(cluster)
        if found is not None and found.upstream == upstream:
            return found
        from .connections import Connections

        made = self._known[cluster] = Connections(upstream)
        if found is not None:
            log.info("a member's address or credentials have changed", cluster=cluster)
            await found.retire()
        return made

    async def forget(self, cluster: str) -> None:
        found = self._known.pop(cluster, None)
        if found is not None:
            await found.retire()

    async def close(self) -> None:
        """Breaks off everything that is under way."""
        for cluster in list(self._known):
            await self._known.pop(cluster).close()
