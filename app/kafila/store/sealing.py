"""How bodies lie in the database: in clear, or sealed under a key (:mod:`kafila.encryption`). The store asks, and knows no keys.

Sealed is what is written, at the edge to PostgreSQL: everything else in this process, cache and watches, has bodies in clear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, final

from kafila.core.resources import Key

from .interface import EVENTS, Sealer, Transaction, Unreadable
from .packing import pack

MARK: Final = b"kafila:enc:"  # what is sealed begins with it; no JSON and no packed Event does
_LONG: Final = 1 << 20  # bytes that are sealed in a thread: the event loop is not held for them

Sealed = dict[Key, tuple[bytes | None, bytes | None]]  # what is stored instead of a write's ``body`` and ``last``


class CannotOpen(Exception):
    """A body cannot be read: its key is not there, or it is not what was written at this place. Says why, in Kubernetes' words."""


class KeysNeeded(RuntimeError):
    """This process cannot start: what it needs before anything else cannot be opened. Says why, in one line."""


class CannotSeal(Exception):
    """Nothing was written, since what seals it does not work now."""


@final
class Clear:
    """Without keys: what somebody sealed is unreadable, and never taken for JSON."""

    active = False
    sealed = ""

    def concerns(self, resource: str) -> bool:
        return False

    def seals(self, key: Key, clear: bytes) -> bool:
        return False

    def seal(self, key: Key, body: bytes, clear: bytes) -> bytes:
        return body

    async def prepare(self, stored: Sequence[bytes | None]) -> None:
        pass

    def open(self, key: Key, stored: bytes) -> bytes:
        if stored.startswith(MARK):
            raise CannotOpen("identity transformer tried to read encrypted data")
        return stored


def opened(sealer: Sealer, key: Key, stored: bytes) -> bytes:
    """:class:`Unreadable` where it cannot be opened."""
    try:
        return sealer.open(key, stored)
    except CannotOpen as error:
        return Unreadable(str(error))


async def sealed(sealer: Sealer, transaction: Transaction) -> Sealed | None:
    """What of a transaction is not stored as it is. Raises CannotSeal."""
    for write in transaction.writes:
        if sealer.concerns(write.key.resource):
            break
    else:
        return None
    size = sum(len(write.body or b"") + len(write.last or b"") for write in transaction.writes)
    found = await asyncio.to_thread(_sealed, sealer, transaction) if size > _LONG else _sealed(sealer, transaction)
    return found or None


def _sealed(sealer: Sealer, transaction: Transaction) -> Sealed:
    found: Sealed = {}
    for write in transaction.writes:
        body, last = _one(sealer, write.key, write.body), _one(sealer, write.key, write.last)
        if body is not write.body or last is not write.last:
            found[write.key] = body, last
    return found


def _one(sealer: Sealer, key: Key, body: bytes | None) -> bytes | None:
    if body is None:
        return None
    before = packed(key, body)
    stored = sealer.seal(key, before, body)
    return body if stored is before else stored  # what is not sealed is packed with what was learned


def packed(key: Key, body: bytes) -> bytes:
    """What is sealed of a body: it is opened without a look for dictionaries."""
    return pack(body) if key.resource == EVENTS else body
