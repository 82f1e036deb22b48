"""PostgreSQL: transactions, group commit, log, compaction, leases; the same interface in memory. The only package with SQL.

* :mod:`.interface` is what others see and says what is promised; :func:`open_store` is how they get one.
* A process commits over one connection (:mod:`.committer`) and follows the log over another (:mod:`.log_tailer`): a write is
  published to its own process before its caller goes on.
* What became of a commit is never guessed: it is certain, or OutcomeUnknown is raised.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .interface import Sealer, Store


async def open_store(
    database_url: str | None, data_dir: Path | str | None, event_ttl: float = 3600.0, sealer: Sealer | None = None
) -> Store:
    """An open store. ``event_ttl``: what ``expire_events`` will be called with, in seconds. ``memory:`` as URL is the store in memory; without a URL PostgreSQL is started under ``data_dir``
    and stopped by ``close()``. ``sealer``: how bodies are kept in PostgreSQL, without it in clear. Raises ValueError, EmbeddedError, MigrationError, and OSError or asyncpg's errors when the
    database cannot be reached."""
    if database_url == "memory:":
        from .memory import MemoryStore

        if sealer is not None:
            raise ValueError("the store in memory keeps nothing at rest")
        store: Store = MemoryStore()
        await store.open()
        return store
    from .accounts import EmbeddedError
    from .embedded import EmbeddedPostgres
    from .migrate import upgrade
    from .postgres import PostgresStore

    embedded: EmbeddedPostgres | None = None
    if not database_url:
        if data_dir is None:
            raise ValueError("either a database URL or a data directory is needed")
        embedded = EmbeddedPostgres(data_dir)
        database_url = await embedded.start()
    try:
        await upgrade(database_url)
        store = PostgresStore(database_url, event_ttl=event_ttl, embedded=embedded, sealer=sealer)
        await store.open()
    except BaseException as error:
        if embedded is not None:
            await embedded.stop()
            if why := embedded.ran_out(str(error)):
                raise EmbeddedError(why) from error
        raise
    return store
