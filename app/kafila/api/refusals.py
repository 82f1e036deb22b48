"""What the server refuses before it knows who asks: answered as Go's net/http does, counted, and logged once per burst."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final, final

import structlog
from prometheus_client import Counter

log = structlog.get_logger(__name__)
REFUSED = Counter("kafila_refused_total", "What was refused before it was known who asks, by reason.", ["reason"])
BURST: Final = 60.0  # seconds between two lines about the same


@final
class Refused(Exception):
    """A request that is not served; the connection ends after the answer.

    ``reason`` goes into the metric and the log; ``said`` after the status, where net/http says more; ``body`` when that is
    another text than the status; ``status`` 0: there is no answer.
    """

    def __init__(self, reason: str, status: int, said: str = "", body: str = "") -> None:
        self.reason = reason
        self.status = status
        self.said = said
        self.body = body

    def answer(self) -> bytes:
        status = f"{self.status} {PHRASES.get(self.status) or HTTPStatus(self.status).phrase}"
        body = self.body or (f"{status}: {self.said}" if self.said else status)
        line = body if self.said else status
        return f"HTTP/1.1 {line}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{body}".encode()


PHRASES: Final = {414: "URI Too Long"}  # RFC 9110's; Python's is older


@final
class Refusals:
    """Counts, and says what happens without saying it a thousand times."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def count(self, reason: str, peer: str) -> None:
        REFUSED.labels(reason).inc()
        count = self._untold[reason] = self._untold.get(reason, 0) + 1
        now = time.monotonic()
        if now - self._logged.get(reason, -BURST) >= BURST:
            self._logged[reason] = now
            del self._untold[reason]
            log.warning("refused", reason=reason, peer=peer, count=count)
