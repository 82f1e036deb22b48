"""The verbs. Each retries what may be retried and answers with the entry that is stored now."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast, final

import orjson

from kafila.admission import DEFAULT, Admission
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.resources import Key
from kafila.core.values import AnyObject, Object
from kafila.settings.serving import MAX_OBJECT_BYTES
from kafila.store.interface import GuardFailed, Store
from kafila.watch import Cache, Entry

from . import patching
from .admitting import Admitting
from .allocation import DEFAULT_SERVICE_CIDR
from .asking import Steps
from .codec import decode_entry, shown
from .context import Change, DeleteOptions, Options
from .deletions import Deletions
from .guards import creation_guards, refused, staged_guards
from .quotas import Quotas
from .reading import check_version
from .scale import other_uid
from .staging import Staging, admitted
from .storage import Storage, Storages
from .threads import cost, in_thread
from .transactions import Fence, Transactions

# (current entry, current object) -> (new object, whether its managedFields are already right)
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
        admitting: Admitting | None = None,
        most_deleted: int = 0,
    ) -> None:
        """``max_object_bytes``: of a body as it is stored. ``admitting``: asks webhooks; None: none is asked.
        ``most_deleted``: objects that requests may take out of clusters at once without an approval; 0 for any number."""
        self.catalog = catalog
        self.store = store
        self.cache = cache
        self.staging = Staging(cache, admission, service_cidr, admitting)
        self._storages = Storages(cache)
        self.transactions = Transactions(store, cache, self._storages, max_object_bytes)
        self.quotas = Quotas(cache, catalog, admission)
        self.deletions = Deletions(cache, catalog, self, most_deleted)

    def fenced_by(self, fence: Fence) -> Registry:
        """The same, for writes of those who work under a lease: none is carried out once it is another process's."""
        fenced = copy.copy(self)
        fenced.transactions = self.transactions.fenced_by(fence)
        return fenced

    # -- reading -------------------------------------------------------------------------------------------------------

    def kind(self, group: str, version: str, plural: str) -> Kind:
        found = self.catalog.get(group, version, plural)
        if found is None:
            raise errors.page_not_found()
        return found

    def wait_for_consistent_read(self) -> Coroutine[Any, Any, None]:
        """Returns once the cache has seen everything that was committed before this call. Raises StatusError 503."""
        return self.cache.wait_for_consistent_read()

    def storage(self, resource: str) -> Storage:
        """Where its objects are read from."""
        return self._storages.of(resource)

    def entry(self, kind: Kind, namespace: str, name: str) -> Entry:
        """The cached object. Raises StatusError 404."""
        return self._storages.cached.entry(kind, namespace, name)

    def object(self, kind: Kind, namespace: str, name: str) -> Object:
        return decode_entry(kind, self.entry(kind, namespace, name))

    # -- writing -------------------------------------------------------------------------------------------------------

    async def create(
        self, kind: Kind, namespace: str, obj: Object, options: Options, *, tracked: bool = False
    ) -> Entry:
        """``obj`` is decoded and ours. ``tracked``: its managedFields are already right."""
        guards = await creation_guards(self.cache, kind, namespace, obj["metadata"].get("name", ""))
        generated = bool(obj["metadata"].get("generateName")) and not obj["metadata"].get("name")
        pristine = orjson.dumps(obj) if generated or self.staging.allocates(kind) else b""
        for attempt in range(CREATE_ATTEMPTS):
            if attempt:
                obj = orjson.loads(pristine)
            made = partial(self.staging.create, kind, namespace, obj, options, guards, tracked=tracked)
            change = await self.staging.carried_out(cost(kind, options.size), made)
            key = change.guards[0].key
            try:
                return await self._commit(kind, change, options.dry_run)
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
        there = await self._storages.find(key)
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
        pristine = None if wanted and not self.staging.allocates(kind) else orjson.dumps(obj)

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
        compute: Callable[[Any], AnyObject],
        options: Options,
        subresource: str = "",
    ) -> Entry:
        """Writes what ``compute`` makes of the current object (a fresh dict, whatever type says what it holds); computed again when somebody was faster.

        ``compute`` may read what belongs to the event loop.
        """

        async def prepare(existing: Entry) -> Change:
            size = max(cost(kind, options.size), len(existing.body))
            old, fresh = await in_thread(size, lambda: (decode_entry(kind, existing), decode_entry(kind, existing)))
            new = cast(Object, compute(fresh))
            made = partial(self.staging.update, kind, existing, old, new, options, subresource)
            return await self.staging.carried_out(size, made)

        return (await self._guaranteed_update(kind, namespace, name, prepare, options.dry_run, subresource))[0]

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
            with errors.ignoring_not_found():
                return await self._change(kind, namespace, name, patched, options, subresource), False
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
        """Commits what ``build`` makes of the current object; ``build`` depends on nothing else."""

        def changed(existing: Entry) -> Steps:
            old = decode_entry(kind, existing)
            new, tracked = build(existing, old)
            return self.staging.update(kind, existing, old, new, options, subresource, tracked=tracked)

        async def prepare(existing: Entry) -> Change:
            size = max(cost(kind, options.size), len(existing.body))
            return await self.staging.carried_out(size, lambda: changed(existing))

        return (await self._guaranteed_update(kind, namespace, name, prepare, options.dry_run, subresource))[0]

    async def delete(
        self, kind: Kind, namespace: str, name: str, options: DeleteOptions, known: Entry | None = None
    ) -> tuple[Entry, bool]:
        """Returns the object's last known entry and whether it is gone (else it waits for its finalizers).

        ``known``: what was read of it just now.
        """

        async def prepare(existing: Entry) -> Change:
            made = partial(self.staging.delete, kind, existing, options)
            return await self.staging.carried_out(len(existing.body), made)

        entry, change = await self._guaranteed_update(kind, namespace, name, prepare, options.dry_run, known=known)
        return entry, change.deleted

    async def _guaranteed_update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        prepare: Prepare,
        dry_run: bool,
        subresource: str = "",
        *,
        known: Entry | None = None,
    ) -> tuple[Entry, Change]:
        """Commits what ``prepare`` makes of the current object, again and again while others are faster.

        The cache may be behind other processes. A guard notices that; but an answer without a write (a refusal, or that
        there is nothing to do) is only given from a state that was the newest after this call began.
        """
        newest = False
        storage = self.storage(kind.resource)
        for _ in range(CONFLICT_RETRIES + 1):
            existing = known or await storage.newest(kind, namespace, name)
            known = None
            try:
                existing = await shown(kind, existing)
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
                return await self._commit(kind, change, dry_run, existing, subresource), change
            except GuardFailed:
                await self.wait_for_consistent_read()
                newest = True
        raise errors.conflict(kind.group, kind.plural, name)

    async def _commit(
        self, kind: Kind, change: Change, dry_run: bool, existing: Entry | None = None, subresource: str = ""
    ) -> Entry:
        """With what it uses of quotas. Raises GuardFailed, StatusError."""
        if change.unchanged or change.deleted or not self.quotas.bound(kind, change.writes[0].key.namespace):
            return await self.transactions.commit(change, dry_run, existing)
        return await self.quotas.committed(
            kind, change, existing, subresource, lambda full: self.transactions.commit(full, dry_run, existing)
        )

    async def _is_newest(self, entry: Entry) -> bool:
        await self.wait_for_consistent_read()
        found = await self._storages.find(entry.key)
        return found is not None and found.revision == entry.revision

    async def delete_collection(self, kind: Kind, entries: Sequence[Entry], options: DeleteOptions) -> None:
        """Deletes what a list selected, in its order but for what must be tried again; what vanished meanwhile is fine."""
        options = replace(options, collection=True)

        async def one(entry: Entry) -> None:
            with errors.ignoring_not_found():
                await self.delete(kind, entry.key.namespace, entry.key.name, options, entry)

        for start in range(0, len(entries), 500):
            await asyncio.gather(*(one(entry) for entry in entries[start : start + 500]))

    # -- several objects at once ---------------------------------------------------------------------------------------

    def stage_create(
        self, kind: Kind, namespace: str, obj: AnyObject, options: Options, *, tracked: bool = False
    ) -> Change:
        """A creation to be committed together with others. ``obj`` is decoded and ours. ``tracked``: as for ``create``."""
        guards = staged_guards(kind, namespace)
        return self.staging.created_with_others(kind, namespace, cast(Object, obj), options, guards, tracked=tracked)

    def stage_update(
        self, kind: Kind, existing: Entry, new: AnyObject, options: Options, subresource: str = ""
    ) -> Change:
        """A change of the object at ``existing``'s revision, to be committed together with others."""
        return self.staging.updated_with_others(kind, existing, cast(Object, new), options, subresource)

    def stage_delete(self, kind: Kind, existing: Entry, options: DeleteOptions) -> Change:
        return self.staging.deleted_with_others(kind, existing, options)

    async def commit_together(self, changes: Sequence[Change]) -> list[int]:
        """As :meth:`Transactions.commit_together`, when webhooks have admitted all of them; raises what they refuse."""
        return await self.transactions.commit_together(await admitted(changes))
