"""Members that another process has, for what is done for all of them by one: they are read there, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from .manager import MemberConnection, MemberController


@final
class Readers:
    """See :class:`.manager.Router`. ``further``: what runs for each member, wherever it is connected."""

    def __init__(self, further: Sequence[Callable[[MemberConnection], list[MemberController]]]) -> None:
        self._further = further

    def controllers_for(self, connection: MemberConnection) -> list[MemberController]:
        return [controller for make in self._further for controller in make(connection)]

    async def refused(self, cluster: str, why: str) -> None:
        """Whoever has it says so."""
