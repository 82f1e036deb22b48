"""APIServices of what is served here: of the server's own groups, and of CustomResourceDefinitions while one of them serves a version.

kube-apiserver has both in itself (its autoregister and crd-autoregister controllers).
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple, final

from kafila.aggregation.apiservices import RESOURCE
from kafila.aggregation.registration import Managed, Step, local, name_of, served_by, step
from kafila.catalog.custom.definition import RESOURCE as DEFINITIONS
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.reconcile.controller import QueueController
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.registry.threads import in_thread
from kafila.watch import Entry, Event

OPTIONS: Final = Options(manager="kube-apiserver")


class About(NamedTuple):
    resource: str
    name: str


class _Defined(NamedTuple):
    """What a definition says: its versions, and those of them that are served."""

    group: str
    versions: frozenset[str]
    served: frozenset[str]


NOTHING: Final = _Defined("", frozenset(), frozenset())


@final
class AutoRegister(QueueController[About]):
    name = "autoregister"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name, concurrency=8)
        self._registry = registry
        self._kind = registry.kind("apiregistration.k8s.io", "v1", "apiservices")
        self._own: dict[str, Object] = {}
        self._defined: dict[str, _Defined] = {}  # by name of the definition
        self._served: Counter[tuple[str, str]] = Counter()  # by how many definitions
        self._synced: set[str] = set()  # APIServices that were looked at since the start
        self._were_there: frozenset[str] = frozenset()
        registry.cache.listen(RESOURCE, self._observe)
        registry.cache.listen(DEFINITIONS, self._observe)

    async def start(self) -> None:
        """Definitions are read first: what is served by one must not be taken for what nobody serves."""
        self._own = served_by(self._registry.catalog)
        self._synced.clear()
        self._defined.clear()
        self._served.clear()
        for entry in list(self._registry.cache.resource(DEFINITIONS).entries()):
            self._define(entry.key.name, await _read(entry))
        self._were_there = frozenset(e.key.name for e in self._registry.cache.resource(RESOURCE).entries())
        await super().start()

    def resync(self) -> None:
        for name in (*self._own, *(e.key.name for e in self._registry.cache.resource(RESOURCE).entries())):
            self.queue.add(About(RESOURCE, name))
        for name in {*self._defined, *(e.key.name for e in self._registry.cache.resource(DEFINITIONS).entries())}:
            self.queue.add(About(DEFINITIONS, name))

    def _observe(self, event: Event) -> None:
        self.queue.add(About(event.key.resource, event.key.name))

    async def _reconcile(self, key: About) -> None:
        if key.resource == DEFINITIONS:
            await self._look_at(key.name)
        else:
            await self._register(key.name)

    async def _look_at(self, name: str) -> None:
        """What a definition says now, and has said before, may have to be registered or not."""
        entry = self._registry.cache.get(DEFINITIONS, "", name)
        for defined in self._define(name, await _read(entry) if entry is not None else NOTHING):
            for version in defined.versions:
                self.queue.add(About(RESOURCE, name_of(defined.group, version)))

    def _define(self, name: str, defined: _Defined) -> tuple[_Defined, _Defined]:
        """What it has said before, and what it says now."""
        before = self._defined.pop(name, NOTHING)
        self._served.subtract((before.group, version) for version in before.served)
        self._served.update((defined.group, version) for version in defined.served)
        if defined is not NOTHING:
            self._defined[name] = defined
        for version in before.served:
            if not self._served[before.group, version]:
                del self._served[before.group, version]
        return before, defined

    async def _register(self, name: str) -> None:
        entry = self._registry.cache.get(RESOURCE, "", name)
        wanted = self._wanted(name)
        current = entry.decode() if entry is not None else None
        todo = step(wanted, current, name in self._synced, name in self._were_there)
        try:
            if todo is not None:
                await self._carry_out(todo, name, wanted, entry)
        except StatusError as error:
            if not (error.is_already_exists or error.is_conflict or error.is_not_found):
                raise  # the others: somebody else was quicker, and we hear of it
        self._synced.add(name)

    async def _carry_out(self, todo: Step, name: str, wanted: Object | None, entry: Entry | None) -> None:
        if wanted is None:
            uid = entry.meta.uid if entry is not None else ""
            await self._registry.delete(self._kind, "", name, DeleteOptions(uid=uid))
        elif todo is Step.CREATE:
            await self._registry.create(self._kind, "", decode_object(self._kind, wanted, OPTIONS), OPTIONS)
        else:
            spec = wanted["spec"]
            await self._registry.modify(self._kind, "", name, lambda obj: {**obj, "spec": dict(spec)}, OPTIONS)

    def _wanted(self, name: str) -> Object | None:
        own = self._own.get(name)
        if own is not None:
            return own
        version, _, group = name.partition(".")
        return local(group, version, Managed.ALWAYS) if self._served[group, version] else None


async def _read(entry: Entry) -> _Defined:
    spec = (await in_thread(len(entry.body), entry.decode)).get("spec") or {}
    versions = [version for version in spec.get("versions") or () if version.get("name")]
    return _Defined(
        spec.get("group") or "",
        frozenset(version["name"] for version in versions),
        frozenset(version["name"] for version in versions if version.get("served")),
    )
