"""One manifest at a time: where it belongs in the member, writing it there, taking it back."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import final

from kafila.catalog.catalog import Catalog
from kafila.core.errors import StatusError, ignoring_not_found
from kafila.core.resources import GroupVersionKind, gvk_of
from kafila.core.values import Object
from kafila.members.shapes import check_stored
from kafila.members.transport import UnusableAnswer
from kafila.placement.interpreter import Interpreter
from kafila.placement.work.labels import strip
from kafila.placement.work.member_object import is_managed, member_update
from kafila.reconcile.interpreter.interpreting import Interpreting

from .manager import MemberConnection
from .object_watcher import Kind, NotServed, ObjectWatcher, Observed, Where

REMEMBERED = 10_000  # deleted objects of a member
CONFLICTS = 4  # the member's own controllers write to the same object; more often the queue has to come again


@final
class ObjectWriter:
    def __init__(
        self, connection: MemberConnection, catalog: Catalog, interpreting: Interpreting, on_change: Observed
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._interpreting = interpreting
        self._found: dict[GroupVersionKind, tuple[Kind, bool]] = {}  # kinds that only the member knows
        self._removed: OrderedDict[str, None] = OrderedDict()  # uids of the last objects that were deleted here
        self.observation = ObjectWatcher(connection.client, on_change)

    async def apply(self, manifest: Object, size: int, patient: Callable[[], bool] = lambda: False) -> bool:
        """Whether something had to be written. Raises StatusError, Unreachable, NotManaged, NotServed, InterpretError.

        ``size``: bytes of the manifest, about.
        ``patient``: whether to wait for the list of what is there, asked while it does. Else, as long as that is to come,
        creating shows whether it is there.
        """
        where = await self._locate(manifest)
        if patient():
            await self.observation.follow(where.kind, patient)
        else:
            self.observation.begin(where.kind)
        observed = self.observation.get(where)
        client = self._connection.client
        if observed is None:
            observed = await self._create(where, manifest)
            if observed is None:
                return True
        for _ in range(CONFLICTS):
            changed = await self._decided(where, manifest, size, observed)
            if changed is None:
                self.observation.wrote(where, observed)
                return False
            try:
                self.observation.wrote(where, await client.update(where.path, changed))
                return True
            except StatusError as error:
                if error.is_not_found:
                    self.observation.forget(where)
                if not error.is_conflict:
                    raise
            observed = await client.get(where.path)
        raise StatusError(409, "Conflict", f"{where.path} keeps changing")

    async def _create(self, where: Where, manifest: Object) -> Object | None:
        """None when it was created, else what is there.

        Whatever the refusal says, it may hide that: a Service's port is taken (by itself), a quota is used up (by it too), a
        webhook has its own words. Raises as ``apply``.
        """
        client = self._connection.client
        try:
            self.observation.wrote(where, await client.create(where.collection, manifest))
            return None
        except StatusError as error:
            if error.is_already_exists:
                return await client.get(where.path)
            if error.is_not_found and (error.details or {}).get("kind") == "namespaces":
                raise
            if error.is_not_found:
                await self.observation.follow(where.kind)  # says so when the kind is what is missing
            with contextlib.suppress(StatusError):  # the first refusal says more
                if (found := await client.find(where.path)) is not None:
                    return found
            raise

    async def _decided(self, where: Where, manifest: Object, size: int, observed: Object) -> Object | None:
        """Raises InterpretError, NotManaged and UnusableAnswer."""
        check_stored(observed, where.path)
        try:
            return await self._interpreting.decide(partial(self._update, manifest, observed), size)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"[:200]
            raise UnusableAnswer(f"{where.path} in the member is of another shape than its kind: {why}") from error

    def _update(self, manifest: Object, observed: Object, interpreter: Interpreter) -> Object | None:
        return member_update(manifest, observed, self._connection.name, interpreter=interpreter)

    async def remove(self, manifest: Object, size: int, preserve: bool) -> None:
        """Objects of others stay as they are; with ``preserve`` ours stay without our labels and annotations.

        Raises StatusError, Unreachable and InterpretError.
        """
        try:
            where = await self._locate(manifest)
        except NotServed:
            if (await self._connection.discovery.refresh()).complete:
                return
            raise  # the kind may be one that the member cannot name at the moment
        client = self._connection.client
        observed = await client.find(where.path)
        if observed is None or not is_managed(observed):
            return
        check_stored(observed, where.path)
        with ignoring_not_found():
            if preserve:
                await self._let_go(where, manifest, size, observed)
            else:
                self._remember_removed(observed["metadata"]["uid"])  # its end may be seen before the answer
                await client.delete(where.path, uid=observed["metadata"]["uid"], propagation="Background")
        self.observation.forget(where)

    async def _let_go(self, where: Where, manifest: Object, size: int, observed: Object) -> None:
        """The object becomes what the manifest says, without our labels and annotations; the member's own additions stay."""
        changed = await self._decided(where, strip(manifest), size, observed)
        if changed is not None:
            await self._connection.client.update(where.path, changed)

    async def remove_again(self, recreated: Object) -> None:
        """Raises StatusError and Unreachable."""
        where = await self._locate(recreated)
        try:
            await self._connection.client.delete(where.path, uid=recreated["metadata"]["uid"], propagation="Background")
        except StatusError as error:
            if not error.is_not_found and not error.is_conflict:  # gone, or another one by now
                raise

    def was_removed(self, obj: Object) -> bool:
        """Whether it is one that we deleted: nobody else took it away, and a new Work may have made another one since."""
        return obj["metadata"].get("uid") in self._removed

    def is_recreated(self, obj: Object) -> bool:
        """Whether the member has an object that we deleted: it was restored to an older state."""
        return self.was_removed(obj) and not obj["metadata"].get("deletionTimestamp")

    def _remember_removed(self, uid: str) -> None:
        self._removed[uid] = None
        if len(self._removed) > REMEMBERED:
            self._removed.popitem(last=False)

    async def wake(self) -> None:
        """The member answers again."""
        await self.observation.wake()

    async def stop(self) -> None:
        await self.observation.stop()

    def observed(self, manifest: Object) -> Object | None:
        """The newest known state in the member, a copy."""
        where = self._where(manifest)
        return self.observation.get(where) if where is not None else None

    def observed_body(self, manifest: Object) -> bytes | None:
        """The same as JSON."""
        where = self._where(manifest)
        return self.observation.body(where) if where is not None else None

    def is_gone(self, manifest: Object) -> bool:
        """Whether the member is known to have no copy of it."""
        where = self._where(manifest)
        return where is not None and self.observation.is_gone(where)

    def _where(self, manifest: Object) -> Where | None:
        gvk, metadata = gvk_of(manifest), manifest["metadata"]
        known = self._catalog.by_kind(*gvk)
        if known is not None:
            kind, namespaced = Kind(manifest["apiVersion"], known.plural), known.namespaced
        elif gvk in self._found:
            kind, namespaced = self._found[gvk]
        else:
            return None
        return Where(kind, metadata.get("namespace", "") if namespaced else "", metadata["name"])

    async def _locate(self, manifest: Object) -> Where:
        where = self._where(manifest)
        if where is not None:
            return where
        gvk = gvk_of(manifest)
        resource = await self._connection.discovery.find(gvk)
        if resource is None:
            raise NotServed(f'no matches for kind "{gvk.kind}" in version "{manifest["apiVersion"]}"')
        self._found[gvk] = Kind(resource.api_version, resource.name), resource.namespaced
        return Where(
            self._found[gvk][0],
            manifest["metadata"].get("namespace", "") if resource.namespaced else "",
            manifest["metadata"]["name"],
        )
