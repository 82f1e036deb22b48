"""What is old goes from the database, as long as the process serves."""

from __future__ import annotations

import asyncio

import structlog

from kafila.settings.settings import Settings
from kafila.store.interface import Store, StoreUnavailable

log = structlog.get_logger(__name__)


async def compacting(store: Store, settings: Settings) -> None:
    """Until it is cancelled. Nothing that it refuses keeps the rest from going, or ends the process."""
    period = min(60.0, settings.watch_history / 2, settings.event_ttl / 2)
    while True:
        await asyncio.sleep(period)
        try:
            await store.compact(settings.watch_history)
        except (StoreUnavailable, OSError) as error:
            log.warning("history not compacted", error=str(error))
        try:
            await store.expire_audit(settings.audit_table_retention, settings.audit_table_max_mib << 20)
        except (StoreUnavailable, OSError) as error:
            log.warning("audit records not ended", error=str(error))
        try:
            await store.expire_events(settings.event_ttl)
        except (StoreUnavailable, OSError) as error:
            log.warning("Events not ended", error=str(error))
