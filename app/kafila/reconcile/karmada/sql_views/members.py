"""Members' objects that search keeps, as rows: what changed since the version that was projected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

from kafila.store.fleet import Followed
from kafila.store.interface import Store
from kafila.store.search import FIRST, PAGE, CachedResource, Place, key_of

from .projection import Stored, projected
from .rows import Named
from .writer import Writer

PAGES: Final = 20  # of one cached resource in one round
_LAST: Final[Place] = ("\U0010ffff", "")  # behind all others
_Which = tuple[str, str]  # resource and cluster


@final
class MemberObjects:
    """All that are awaited raise StoreUnavailable, NotTheProjector."""

    def __init__(self, store: Store, writer: Writer, wake: Callable[[], None]) -> None:
        self._store = store
        self._writer = writer
        self._wake = wake
        self._versions: dict[_Which, int] = {}
        self._halfway: dict[_Which, tuple[int, Place]] = {}  # where to go on, of those that were too much for one round
        self._all = True  # are to be looked at
        self._changed: set[str] = set()  # resources
        self._unlisten: Callable[[], None] | None = None

    def begin(self, followed: Sequence[Followed]) -> None:
        self._versions = {(each.resource, each.cluster): each.version or 0 for each in followed}
        self._halfway.clear()
        self._all = True
        if self._unlisten is None:
            self._unlisten = self._store.search.listen(self._note)

    def stop(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None

    def _note(self, resource: str) -> None:
        self._all = self._all or not resource
        self._changed.add(resource)
        self._wake()

    async def follow(self) -> None:
        everything, changed = self._all, self._changed
        self._all, self._changed = False, set()
        for resource in [""] if everything else sorted(changed):
            await self._look(resource)

    async def _look(self, resource: str) -> None:
        """At all resources where none is named."""
        cached = await self._store.search.resources(resource)
        there = {(each.resource, each.cluster) for each in cached if each.version}
        for which in [each for each in self._versions if each not in there and resource in ("", each[0])]:
            del self._versions[which]
            await self._writer.reached(followed=[Followed(*which, None)])
        for each in cached:
            if each.version and self._versions.get((each.resource, each.cluster)) != each.version:
                await self._catch_up(each)

    async def _catch_up(self, cached: CachedResource) -> None:
        which = cached.resource, cached.cluster
        after = self._halfway.pop(which, None) or await self._begun(cached)
        for _ in range(PAGES):
            page = await self._store.search.changes(*which, after, cached.version, PAGE)
            stored = [
                Stored(Named(cached.cluster, cached.resource, row.namespace, row.name))
                if row.deleted or not row.body
                else Stored(
                    Named(cached.cluster, cached.resource, row.namespace, row.name),
                    row.body,
                    row.version,
                    sealed=self._is_sealed(cached, row.namespace, row.name, row.body),
                )
                for row in page.rows
            ]
            await self._writer.put(stored, projected)
            if page.rows:
                last = page.rows[-1]
                after = last.version, (last.namespace, last.name)
            if not page.more:
                self._versions[which] = cached.version
                await self._writer.reached(followed=[Followed(*which, cached.version)])
                return
        self._halfway[which] = after
        self._note(cached.resource)

    async def _begun(self, cached: CachedResource) -> tuple[int, Place]:
        """Behind what of it."""
        which = cached.resource, cached.cluster
        version = self._versions.get(which, 0)
        if version and cached.oldest <= version <= cached.version:
            return version, _LAST
        await self._writer.reached(
            followed=[Followed(*which, None)]
        )  # what was deleted is not told, or versions went back
        return 0, FIRST

    def _is_sealed(self, cached: CachedResource, namespace: str, name: str, body: bytes) -> bool:
        sealer = self._store.sealer
        key = key_of(cached.resource, cached.cluster, namespace, name)
        return sealer.active and sealer.concerns(key.resource) and sealer.seals(key, body)
