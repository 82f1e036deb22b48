"""Whether the database takes writes, as the last ones show. The log has a line when that changes, and not one for each write."""

from __future__ import annotations

from typing import Final, final

import structlog
from prometheus_client import Counter

from .connect import REFUSES

log = structlog.get_logger("kafila.store")

CHECK_AGAIN: Final = 2.0  # seconds between two attempts to write while it takes nothing
# Needs room on the disk as a write does, and leaves nothing: about a megabyte
ATTEMPT: Final = (
    "CREATE TEMP TABLE attempt ON COMMIT DROP AS SELECT repeat('x', 1000) AS text FROM generate_series(1, 1000)"
)
REFUSED = Counter("kafila_storage_refused_writes_total", "Writes that the database refused for a reason of its own.")


@final
class Health:
    def __init__(self) -> None:
        self.trouble = ""  # why nothing is written, "" when all is well

    def refused(self, error: BaseException) -> bool:
        """Records what a write met with. Whether that is the database's trouble and not the write's."""
        if not isinstance(error, REFUSES):
            return False
        REFUSED.inc()
        if not self.trouble:
            log.error("the database takes no writes", error=first_line(error))
        self.trouble = first_line(error)
        return True

    def works(self) -> None:
        if self.trouble:
            log.info("the database takes writes again")
        self.trouble = ""


def first_line(error: BaseException) -> str:
    """PostgreSQL's message without its hints."""
    return (str(error) or type(error).__name__).partition("\n")[0]
