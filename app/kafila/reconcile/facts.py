"""Facts that a decision lacks, and that take time to get."""

from __future__ import annotations

from abc import ABC, abstractmethod


class FactsNeeded(Exception, ABC):
    """Raised by a pure function that decides. Once ``fetch`` is done it is run again, and finds the facts where it looked."""

    @abstractmethod
    async def fetch(self) -> None: ...
