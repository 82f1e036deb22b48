"""A control plane's database for who looks at it from outside, beside the processes that serve it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .accounts import EmbeddedError, InUse
from .embedded import EmbeddedPostgres


@asynccontextmanager
async def reached(database_url: str | None, data_dir: Path) -> AsyncIterator[str]:
    """DSN of the database at the URL, or under ``data_dir``: the one of a kafila that serves it, or started for as long.

    Raises EmbeddedError."""
    if database_url:
        yield database_url
        return
    embedded = EmbeddedPostgres(data_dir)
    if not (embedded.root / "data").exists():
        raise EmbeddedError("there is no database")
    try:
        dsn = await embedded.start()
    except InUse:
        yield embedded.served_at
        return
    try:
        yield dsn
    finally:
        await embedded.stop()
