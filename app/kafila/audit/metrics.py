"""What became of events, under kube-apiserver's names."""

from __future__ import annotations

import time
from typing import Final

import structlog
from prometheus_client import Counter

log = structlog.get_logger(__name__)
BURST: Final = 60.0  # seconds between two lines about the same backend
EVENTS: Final = Counter("apiserver_audit_event_total", "Audit events that were made and handed to the backends.")
ERRORS: Final = Counter("apiserver_audit_error_total", "Audit events that were lost, by where.", ["plugin"])
LEVELS: Final = Counter(
    "apiserver_audit_level_total", "Requests by the level that the audit policy gave them.", ["level"]
)
REJECTED: Final = Counter(
    "apiserver_audit_requests_rejected_total", "Requests refused because they could not be recorded: there are none."
)
RECORDS: Final = Counter("kafila_audit_records_total", "Records of who changed what that were written to the database.")
_told: dict[str, float] = {}


def lost(plugin: str, count: int, reason: str) -> None:
    """Counted each time, and said once per burst."""
    ERRORS.labels(plugin).inc(count)
    now = time.monotonic()
    if now - _told.get(plugin, -BURST) >= BURST:
        _told[plugin] = now
        log.error("audit events lost", plugin=plugin, count=count, reason=reason)
