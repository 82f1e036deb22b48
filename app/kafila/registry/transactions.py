"""From a staged :class:`Change`, or several, to one transaction: its size, its guards, the lease it is done under."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import final

from kafila.core import errors
from kafila.store.interface import (
    Guard,
    GuardFailed,
    Lease,
    OutcomeUnknown,
    Store,
    StoreUnavailable,
    Transaction,
    Write,
)
from kafila.store.sealing import CannotSeal
from kafila.watch import Cache, Entry

from . import sizes
from .collecting import Collect, collecting
from .context import Change
from .storage import Storages

Fence = Callable[[], Lease]  # raises LeaseLost


@final
class Transactions:
    def __init__(self, store: Store, cache: Cache, storages: Storages, max_object_bytes: int) -> None:
        """``max_object_bytes``: of a body as it is stored."""
        self.max_object_bytes = max_object_bytes
        self.fence: Fence | None = None
        self.collect: Collect | None = None  # what is told of writes that belong to no request
        self._store = store
        self._cache = cache
        self._storages = storages

    def fenced_by(self, fence: Fence) -> Transactions:
        """The same, for writes of those who work under a lease: none is carried out once it is another process's."""
        fenced = copy.copy(self)
        fenced.fence = fence
        return fenced

    def check_size(self, change: Change) -> None:
        """Raises StatusError 413."""
        sizes.check(self._cache, self.max_object_bytes, change)

    async def commit(self, change: Change, dry_run: bool = False, existing: Entry | None = None) -> Entry:
        """Carries out one change. Raises GuardFailed, or StatusError when the outcome is not known."""
        if change.unchanged and existing is not None:
            return existing
        key = change.writes[0].key
        self.check_size(change)
        if dry_run:
            for guard in change.guards:
                await self._check_guard(guard)
            return Entry(key, existing.revision if existing else 0, change.body)
        revisions = await self._transact(change.guards, change.writes)
        collect = collecting.get() or self.collect
        if collect is not None:
            collect(key, b"" if existing is None else existing.body, b"" if change.deleted else change.body)
        return Entry(key, revisions[0], change.body)

    async def commit_together(self, changes: Sequence[Change]) -> list[int]:
        """All or nothing. Returns the revisions of the first write of each change, 0 for those that change nothing.

        Raises StatusError 409 when one of the objects is not what the change was computed from any more, and 413 as
        :func:`sizes.check_together`.
        """
        real = [change for change in changes if not change.unchanged]
        if not real:
            return [0] * len(changes)
        sizes.check_together(self._cache, self.max_object_bytes, real)
        guards = list(dict.fromkeys(guard for change in real for guard in change.guards))
        collect = collecting.get() or self.collect
        before = [self._cache.get(*change.writes[0].key) for change in real] if collect is not None else []
        try:
            revisions = iter(await self._transact(guards, [write for change in real for write in change.writes]))
        except GuardFailed as failed:
            key = failed.guard.key
            raise errors.conflict("", key.resource, key.name) from failed
        if collect is not None:
            for change, existing in zip(real, before, strict=True):
                old = b"" if existing is None else existing.body
                collect(change.writes[0].key, old, b"" if change.deleted else change.body)
        out = []
        for change in changes:
            out.append(0 if change.unchanged else next(revisions))
            for _ in change.writes[1:]:
                next(revisions)
        return out

    async def _transact(self, guards: Sequence[Guard], writes: Sequence[Write]) -> list[int]:
        try:
            lease = self.fence() if self.fence is not None else None
            return await self._store.commit(Transaction(guards, writes, lease))
        except StoreUnavailable as error:
            known = self._store.trouble  # says more than the error of one write, when it gives a reason
            raise (errors.service_unavailable(known) if ":" in known else errors.storage_unreachable(error)) from error
        except CannotSeal as error:
            raise errors.internal_error(str(error)) from error
        except OutcomeUnknown as error:
            raise errors.timeout(f"the connection to storage was lost and the outcome is unknown: {error}") from error

    async def _check_guard(self, guard: Guard) -> None:
        """What the store would say of it. Raises GuardFailed."""
        entry = await self._storages.find(guard.key)
        revision = entry.revision if entry else 0
        terminating = bool(entry and entry.meta.deletionTimestamp)
        if guard.absent and entry is not None:
            raise GuardFailed(guard, revision)
        if guard.alive and (entry is None or terminating):
            raise GuardFailed(guard, revision, terminating)
        if guard.revision and guard.revision != revision:
            raise GuardFailed(guard, revision)
