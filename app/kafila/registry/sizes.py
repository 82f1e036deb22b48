"""How large objects may be as they are stored: the last look before a commit, whichever verb made them.

The limit of a request's body does not hold them: patches add up, defaults are filled in, controllers put objects into others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kafila.core.errors import request_entity_too_large
from kafila.store.interface import Write
from kafila.watch import Cache

from .context import Change

MAX_TRANSACTION_BYTES = 64 << 20  # of what controllers write together
_DELETION = 1024  # bytes: more than what a deletion writes into an object


def check(cache: Cache, limit: int, change: Change) -> None:
    """Raises StatusError 413 when the object is larger than ``limit`` bytes."""
    if _is_too_large(cache, limit, change.writes[0]):
        raise request_entity_too_large(limit)


def check_together(cache: Cache, limit: int, changes: Sequence[Change]) -> None:
    """Raises StatusError 413 when one of the objects is too large (the error's details name it) or all together are."""
    for change in changes:
        key = change.writes[0].key
        if _is_too_large(cache, limit, change.writes[0]):
            raise request_entity_too_large(limit, key.resource, key.name)
    if sum(map(size_of, changes)) > MAX_TRANSACTION_BYTES:
        raise request_entity_too_large(MAX_TRANSACTION_BYTES)


def chunks(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """In their order, as many together as one transaction takes, with room for the events that are written with them."""
    chunk: list[Change] = []
    left = most = MAX_TRANSACTION_BYTES * 3 // 4
    for change in changes:
        size = size_of(change)
        if chunk and size > left:
            yield chunk
            chunk, left = [], most
        chunk.append(change)
        left -= size
    yield chunk


def size_of(change: Change) -> int:
    """Bytes that the store is sent."""
    return sum(len(write.body or b"") + len(write.last or b"") for write in change.writes)


def _is_too_large(cache: Cache, limit: int, write: Write) -> bool:
    """What is stored above the limit, because that was lowered, may be made smaller and may be deleted."""
    if write.body is None or len(write.body) <= limit:
        return False
    there = cache.get(*write.key)
    allowed = max(limit, len(there.body) if there is not None else 0)
    if write.terminating and there is not None and not there.meta.deletionTimestamp:
        allowed += _DELETION
    return len(write.body) > allowed
