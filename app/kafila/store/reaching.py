"""A control plane's database for who looks at it from outside, beside the processes that serve it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from kafila.core.resources import Key

from .accounts import EmbeddedError, InUse
from .embedded import EmbeddedPostgres
from .interface import Guard, GuardFailed, Store, Transaction, Unreadable, Write


class KeptBack(Exception):
    """The object was not removed, and why."""


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


async def forget_unreadable(store: Store, key: Key) -> None:
    """Removes an object that cannot be opened; processes that serve hear of a deletion. Raises KeptBack, and what a commit raises."""
    found = [each async for each in store.listing() if each.key == key]
    if not found:
        raise KeptBack("there is no such object")
    (object_,) = found
    if not isinstance(object_.body, Unreadable):
        raise KeptBack("it can be decrypted with this file: delete it as any other")
    metadata = {"name": key.name} | ({"namespace": key.namespace} if key.namespace else {})
    last = orjson.dumps({"metadata": metadata})
    try:
        await store.commit(Transaction([Guard(key, revision=object_.revision)], [Write(key, None, last=last)]))
    except GuardFailed:
        raise KeptBack("somebody has written it meanwhile: look again") from None
