"""The verbs. Each retries what may be retried and answers with the entry that is stored now."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import final

import orjson

from kafila.admission import DEFAULT, Admission
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.settings.serving import MAX_OBJECT_BYTES
from kafila.store.interface import (
    EVENTS,
    Guard,
    GuardFailed,
    Lease,
    OutcomeUnknown,
    Store,
    StoreUnavailable,
    Transaction,
    Write,
)
from kafila.watch import Cache, Entry

from . import patching, sizes
from .allocation import DEFAULT_SERVICE_CIDR, ServiceAllocator
from .codec import decode_entry, encode_body, stored_form
from .context import Change, DeleteOptions, Options
from .deleting import mark_at_once, mark_deleted
from .guards import check_preconditions, creation_guards, refused, staged_guards
from .prepare import prepare_create, prepare_removal, prepare_update
from .reading import check_version
from .scale import other_uid
from .threads import cost, in_thread

# (current entry, current object) -> (new object, whether its managedFields are already right)
Fence = Callable[[], Lease]  # raises LeaseLost
Build = Callable[[Entry, Object], tuple[Object, bool]]
Prepare = Callable[[Entry], Awaitable[Change]]
CREATE_ATTEMPTS = 8  # with other names, addresses and ports
CONFLICT_RETRIES = 5


@final
class Registry:
    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        cache: Cache,
        admission: Admission = DEFAULT,
        service_cidr: str = DEFAULT_SERVICE_CIDR,
        max_object_bytes: int = MAX_OBJECT_BYTES,
    ) -> None:
        """``max_object_bytes``: of a body as it is stored."""
        self.fence: Fence | None = None
        self.max_object_bytes = max_object_bytes
        self.catalog = catalog
        self.admission = admission
        self.store = store
        self.cache = cache
        self.allocators = {"services": ServiceAllocator(cache, service_cidr)}

    def fenced_by(self, fence: Fence) -> Registry:
        """The same, for writes of those who work under a lease: none is carried out once it is another process's."""
        fenced = copy.copy(self)
        fenced.fence = fence
        return fenced

    # -- reading -------------------------------------------------------------------------------------------------------

    def kind(self, group: str, version: str, plural: str) -> Kind:
        found = self.catalog.get(group, version, plural)
        if found is None:
            raise errors.page_not_found()
        return found

    async def wait_for_consistent_read(self) -> None:
        """Returns once the cache has seen everything that was committed before this call. Raises StatusError 503."""
        await self.cache.wait_for_consistent_read()

    def entry(self, kind: Kind, namespace: str, name: str) -> Entry:
        """The cached object. Raises StatusError 404."""
        found = self.cache.get(kind.resource, namespace if kind.namespaced else "", name)
        if found is None:
            raise errors.not_found(kind.group, kind.plural, name)
        return found

    async def find(self, key: Key) -> Entry | None:
        """The cached object, or the Event, which is in no cache. Raises StatusError 503."""
        if key.resource != EVENTS:
            return self.cache.get(*key)
        try:
            found = await self.store.event(key.namespace, key.name)
        except StoreUnavailable as error:
            raise errors.service_unavailable(f"storage is not reachable: {error}") from error
        return Entry(*found) if found is not None else None

    async def read(self, kind: Kind, namespace: str, name: str) -> Entry:
        """Raises StatusError 404, 503."""
        if kind.resource != EVENTS:
            return self.entry(kind, namespace, name)
        found = await self.find(Key(EVENTS, namespace, name))
        if found is None:
            raise errors.not_found(kind.group, kind.plural, name)
        return found

    async def current(self, kind: Kind, namespace: str, name: str) -> Entry:
        """The newest object; waits for a consistent read before it answers that there is none."""
        if kind.resource == EVENTS:
            return await self.read(kind, namespace, name)
        found = self.cache.get(kind.resource, namespace if kind.namespaced else "", name)
        if found is not None:
            return found
        await self.wait_for_consistent_read()
        return self.entry(kind, namespace, name)

    def object(self, kind: Kind, namespace: str, name: str) -> Object:
        return decode_entry(kind, self.entry(kind, namespace, name))

    # -- writing -------------------------------------------------------------------------------------------------------

    async def create(
        self, kind: Kind, namespace: str, obj: Object, options: Options, *, tracked: bool = False
    ) -> Entry:
        """``obj`` is decoded and ours. ``tracked``: its managedFields are already right."""
        guards = await creation_guards(self.cache, kind, namespace, obj["metadata"].get("name", ""))
        allocator = self.allocators.get(kind.resource)
        generated = bool(obj["metadata"].get("generateName")) and not obj["metadata"].get("name")
        pristine = orjson.dumps(obj) if generated or allocator is not None else b""
        for attempt in range(CREATE_ATTEMPTS):
            if attempt:
                obj = orjson.loads(pristine)
            made = partial(
                prepare_create,
                *(kind, namespace, obj, options, guards, allocator),
                tracked=tracked,
                admission=self.admission,
            )
            change = await in_thread(cost(kind, options.size), made)
            key = change.guards[0].key
            try:
                return await self.commit(change, options.dry_run)
            except GuardFailed as failed:
                if failed.guard.key == key:
                    if self.cache.get(*key) is None:
                        await self.wait_for_consistent_read()  # who is refused shall find what was in the way
                    if not generated:
                        raise await self._in_the_way(kind, key) from failed
                elif failed.guard.absent:
                    await self.wait_for_consistent_read()  # somebody was faster to take this address or port
                else:
                    raise refused(kind, failed, namespace, key.name) from failed
        if generated:
            raise errors.generate_name_conflict(kind.group, kind.plural, key.name)
        raise errors.conflict(kind.group, kind.plural, key.name)

    async def _in_the_way(self, kind: Kind, key: Key) -> errors.StatusError:
        error = errors.already_exists(kind.group, kind.plural, key.name)
        there = await self.find(key)
        if there is not None and there.meta.deletionTimestamp:
            error.message = f"object is being deleted: {error.message}"
        return error

    async def update(
        self, kind: Kind, namespace: str, name: str, obj: Object, options: Options, subresource: str = ""
    ) -> Entry:
        """Replaces an object by ``obj``. With a resourceVersion only if it is still at that one, else unconditionally."""
        wanted, uid = obj["metadata"].get("resourceVersion"), obj["metadata"].get("uid")
        check_version(wanted or "")
        if wanted == "0":
            wanted = None
        pristine = None if wanted and kind.resource not in self.allocators else orjson.dumps(obj)

        def replaced(current: Entry, old: Object) -> tuple[Object, bool]:
            if uid and uid != old["metadata"].get("uid"):
                raise other_uid(kind, name, uid, old)
            if not wanted and not kind.strategy.unconditional_update:
                found = [errors.FieldError.invalid("metadata.resourceVersion", 0, "must be specified for an update")]
                raise errors.invalid(kind.group, kind.plural, name, found)
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise errors.conflict(kind.group, kind.plural, name)
            return (obj if pristine is None else orjson.loads(pristine)), False

        return await self._change(kind, namespace, name, replaced, options, subresource)

    async def modify(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        compute: Callable[[Object], Object],
        options: Options,
        subresource: str = "",
    ) -> Entry:
        """Writes what ``compute`` makes of the current object (a fresh dict); computed again when somebody was faster.

        ``compute`` may look at what belongs to the event loop.
        """

        async def prepare(existing: Entry) -> Change:
            size = max(cost(kind, options.size), len(existing.body))
            old, fresh = await in_thread(size, lambda: (decode_entry(kind, existing), decode_entry(kind, existing)))
            new = compute(fresh)
            return await in_thread(size, lambda: self._prepared_update(kind, existing, old, new, options, subresource))

        return (await self._guaranteed_update(kind, namespace, name, prepare, options.dry_run))[0]

    async def patch(
        self, kind: Kind, namespace: str, name: str, patch: patching.Patch, options: Options, subresource: str = ""
    ) -> tuple[Entry, bool]:
        """Returns the entry and whether server-side apply created it."""

        def patched(existing: Entry, old: Object) -> tuple[Object, bool]:
            new, locked, tracked = patching.patched(kind, old, len(existing.body), patch, options, subresource)
            check_version(locked)
            if locked not in ("", "0", str(existing.revision)):
                raise errors.conflict(kind.group, kind.plural, name)
            if new["metadata"].get("name") != name:
                raise patching.wrong_name(new, name)
            return new, tracked

        if patch.type != "apply" or subresource:
            return await self._change(kind, namespace, name, patched, options, subresource), False
        for _ in range(CONFLICT_RETRIES + 1):  # others may create and delete it meanwhile
            try:
                return await self._change(kind, namespace, name, patched, options, subresource), False
            except errors.StatusError as error:
                if not error.is_not_found:
                    raise
            if options.before_create is not None:
                await options.before_create()
            made = partial(patching.new_from_apply, kind, namespace, name, patch, options)
            obj = await in_thread(options.size, made)
            try:
                return await self.create(kind, namespace, obj, options, tracked=True), True
            except errors.StatusError as error:
                if not error.is_already_exists:
                    raise
        raise errors.conflict(kind.group, kind.plural, name)

    async def _change(
        self, kind: Kind, namespace: str, name: str, build: Build, options: Options, subresource: str
    ) -> Entry:
        """Commits what ``build`` makes of the current object; it looks at nothing else."""

        def changed(existing: Entry) -> Change:
            old = decode_entry(kind, existing)
            new, tracked = build(existing, old)
            return self._prepared_update(kind, existing, old, new, options, subresource, tracked=tracked)

        async def prepare(existing: Entry) -> Change:
            return await in_thread(max(cost(kind, options.size), len(existing.body)), lambda: changed(existing))

        return (await self._guaranteed_update(kind, namespace, name, prepare, options.dry_run))[0]

    def _prepared_update(
        self,
        kind: Kind,
        existing: Entry,
        old: Object,
        new: Object,
        options: Options,
        subresource: str,
        *,
        tracked: bool = False,
    ) -> Change:
        return prepare_update(
            kind,
            existing,
            old,
            new,
            options,
            subresource,
            tracked=tracked,
            allocator=self.allocators.get(kind.resource),
            admission=self.admission,
        )

    async def delete(self, kind: Kind, namespace: str, name: str, options: DeleteOptions) -> tuple[Entry, bool]:
        """Returns the object's last known entry and whether it is gone (else it waits for its finalizers)."""

        async def prepare(existing: Entry) -> Change:
            return await in_thread(len(existing.body), lambda: self.stage_delete(kind, existing, options))

        entry, change = await self._guaranteed_update(kind, namespace, name, prepare, options.dry_run)
        return entry, change.deleted

    async def _guaranteed_update(
        self, kind: Kind, namespace: str, name: str, prepare: Prepare, dry_run: bool
    ) -> tuple[Entry, Change]:
        """Commits what ``prepare`` makes of the current object, again and again while others are faster.

        The cache may be behind other processes. A guard notices that; but an answer without a write (a refusal, or that
        there is nothing to do) is only given from a state that was the newest after this call began.
        """
        newest = False
        for _ in range(CONFLICT_RETRIES + 1):
            existing = await self.current(kind, namespace, name)
            try:
                change = await prepare(existing)
            except errors.StatusError:
                if newest or await self._is_newest(existing):
                    raise
                newest = True
                continue
            if change.unchanged and not newest and not await self._is_newest(existing):
                newest = True
                continue
            try:
                return await self.commit(change, dry_run, existing), change
            except GuardFailed:
                await self.wait_for_consistent_read()
                newest = True
        raise errors.conflict(kind.group, kind.plural, name)

    async def _is_newest(self, entry: Entry) -> bool:
        await self.wait_for_consistent_read()
        found = await self.find(entry.key)
        return found is not None and found.revision == entry.revision

    async def delete_collection(self, kind: Kind, entries: Sequence[Entry], options: DeleteOptions) -> None:
        """Deletes what a list selected, concurrently; what vanished meanwhile is fine."""

        async def one(entry: Entry) -> None:
            try:
                await self.delete(kind, entry.key.namespace, entry.key.name, options)
            except errors.StatusError as error:
                if not error.is_not_found:
                    raise

        for start in range(0, len(entries), 500):
            await asyncio.gather(*(one(entry) for entry in entries[start : start + 500]))

    # -- several objects at once ---------------------------------------------------------------------------------------

    def stage_create(
        self, kind: Kind, namespace: str, obj: Object, options: Options, *, tracked: bool = False
    ) -> Change:
        """A creation to be committed together with others. ``obj`` is decoded and ours. ``tracked``: as for ``create``."""
        guards = staged_guards(kind, namespace)
        allocator = self.allocators.get(kind.resource)
        return prepare_create(
            kind, namespace, obj, options, guards, allocator, tracked=tracked, admission=self.admission
        )

    def stage_update(self, kind: Kind, existing: Entry, new: Object, options: Options, subresource: str = "") -> Change:
        """A change of the object at ``existing``'s revision, to be committed together with others."""
        allocator = self.allocators.get(kind.resource)
        old = decode_entry(kind, existing)
        return prepare_update(
            kind, existing, old, new, options, subresource, allocator=allocator, admission=self.admission
        )

    def stage_delete(self, kind: Kind, existing: Entry, options: DeleteOptions) -> Change:
        """The deletion of the object at ``existing``'s revision, or its deletionTimestamp where something holds the object.

        Raises StatusError.
        """
        name = existing.key.name
        check_preconditions(kind, existing, options)
        if name in kind.strategy.undeletable:
            raise errors.forbidden(kind.group, kind.plural, name, f"this {kind.singular} may not be deleted")
        old = decode_entry(kind, existing)
        self.admission.admit(kind, "DELETE", None, old, options.user)
        last = mark_deleted(kind, old, options, rfc3339())
        if last is None:
            gone = prepare_removal(existing, old, self.allocators.get(kind.resource))
            if not kind.strategy.graceful:
                return gone
            return gone._replace(body=encode_body(stored_form(kind, mark_at_once(old, rfc3339()))))
        if last is old:  # already on its way
            return Change((), (), b"", unchanged=True)
        body = encode_body(stored_form(kind, last))
        guard = Guard(existing.key, revision=existing.revision)
        return Change((guard,), (Write(existing.key, body, existing.meta.uid, terminating=True),), body)

    async def commit_together(self, changes: Sequence[Change]) -> list[int]:
        """All or nothing. Returns the revisions of the first write of each change, 0 for those that change nothing.

        Raises StatusError 409 when one of the objects is not what the change was computed from any more, and 413 as
        :func:`sizes.check_together`.
        """
        real = [change for change in changes if not change.unchanged]
        if not real:
            return [0] * len(changes)
        sizes.check_together(self.cache, self.max_object_bytes, real)
        guards = list(dict.fromkeys(guard for change in real for guard in change.guards))
        try:
            revisions = iter(await self.transact(guards, [write for change in real for write in change.writes]))
        except GuardFailed as failed:
            key = failed.guard.key
            raise errors.conflict("", key.resource, key.name) from failed
        out = []
        for change in changes:
            out.append(0 if change.unchanged else next(revisions))
            for _ in change.writes[1:]:
                next(revisions)
        return out

    async def commit(self, change: Change, dry_run: bool = False, existing: Entry | None = None) -> Entry:
        """Carries out one change. Raises GuardFailed, or StatusError when the outcome is not known."""
        if change.unchanged and existing is not None:
            return existing
        key = change.writes[0].key
        sizes.check(self.cache, self.max_object_bytes, change)
        if dry_run:
            for guard in change.guards:
                await self._check_guard(guard)
            return Entry(key, existing.revision if existing else 0, change.body)
        revisions = await self.transact(change.guards, change.writes)
        return Entry(key, revisions[0], change.body)

    async def transact(self, guards: Sequence[Guard], writes: Sequence[Write]) -> list[int]:
        try:
            lease = self.fence() if self.fence is not None else None
            return await self.store.commit(Transaction(guards, writes, lease))
        except StoreUnavailable as error:
            known = self.store.trouble  # says more than the error of one write, when it gives a reason
            raise errors.service_unavailable(known if ":" in known else f"storage is not reachable: {error}") from error
        except OutcomeUnknown as error:
            raise errors.timeout(f"the connection to storage was lost and the outcome is unknown: {error}") from error

    async def _check_guard(self, guard: Guard) -> None:
        entry = await self.find(guard.key)
        revision = entry.revision if entry else 0
        terminating = bool(entry and entry.meta.deletionTimestamp)
        if guard.absent and entry is not None:
            raise GuardFailed(guard, revision)
        if guard.alive and (entry is None or terminating):
            raise GuardFailed(guard, revision, terminating)
        if guard.revision and guard.revision != revision:
            raise GuardFailed(guard, revision)
