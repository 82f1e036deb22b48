"""``clusters/NAME/proxy``: a member's API through the control plane, as the caller."""

from __future__ import annotations

from typing import Protocol

from .bodies import Receive
from .request import Request
from .responses import Send


class MemberProxy(Protocol):
    async def serve(self, request: Request, receive: Receive, send: Send) -> None: ...
