"""What a request changes, kept while it is served, and handed to the journal when it has been answered."""

from __future__ import annotations

from contextvars import Token
from itertools import count
from typing import Any, Final, final

from kafila.audit.table import Changed, Journal, Note
from kafila.core.names import new_uid
from kafila.core.resources import Key
from kafila.registry import User
from kafila.registry.collecting import Collect, collecting

from .authorization import attributes_of
from .request import Request

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# answers that say nothing of the request: nobody knows who asked, or it was not carried out for now
_UNTOLD: Final = frozenset({0, 401, 429})
_process, _numbers = new_uid()[:13], count(1)


def next_id() -> str:
    """Ours, never a client's: who chose one could have his row taken for another."""
    return f"{_process}-{next(_numbers):x}"


@final
class Changes:
    """Of one request, in the order of their commits."""

    __slots__ = ("_journal", "_token", "at", "changed", "sender")

    def __init__(self, journal: Journal, at: float) -> None:
        """``at``: Unix seconds."""
        self._journal = journal
        self.at = at
        self.changed: list[Changed] = []
        self.sender: User | None = None  # who sent it, once that is known
        self._token: Token[Collect | None] = collecting.set(self._collect)

    def _collect(self, key: Key, before: bytes, after: bytes) -> None:
        self.changed.append(Changed(key, before, after))

    def close(self, request: Request, status: int, scope: dict[str, Any]) -> None:
        collecting.reset(self._token)
        target = request.target
        if self.sender is None or target is None or not target.plural or "dryRun" in request.query:
            return
        if not self.changed and (status in _UNTOLD or status >= 500):
            return
        source = (scope.get("client") or ("",))[0]
        agent = request.headers.get(b"user-agent", b"")[:1024]
        asked = attributes_of(request, False)
        note = Note(self.at, next_id(), asked, self.sender, status, source, agent, self.changed, target.rest[:1024])
        self._journal.put(note)
