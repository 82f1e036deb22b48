"""What an agent has to know of the control plane, followed by list and watch and kept in memory as the control plane keeps it."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, final

import structlog

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.members.client import MemberClient, resource_path
from kafila.members.informer import Change, Informer
from kafila.registry.codec import encode_body, stored_form
from kafila.store.interface import Transaction, Write
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.telemetry.tasks import cancelled
from kafila.watch import Cache

log = structlog.get_logger(__name__)
PATIENCE: Final = 10.0  # seconds until it is told that a list does not come
_ROWS: Final = 0  # of history: nobody watches it
_BYTES: Final = 0


class Followed(NamedTuple):
    """``namespace`` and ``name``: "" for all."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""


def followed_by(cluster: str, execution_namespace: str) -> list[Followed]:
    config = ("config.karmada.io", "v1alpha1")
    return [
        Followed("cluster.karmada.io", "v1alpha1", "clusters", name=cluster),
        Followed("work.karmada.io", "v1alpha1", "works", execution_namespace),
        Followed(*config, "resourceinterpretercustomizations"),
        Followed(*config, "resourceinterpreterwebhookconfigurations"),
        Followed("", "v1", "services"),  # by which interpreter webhooks are reached
    ]


@final
class Mirror:
    def __init__(self, client: MemberClient, catalog: Catalog, followed: list[Followed]) -> None:
        self._store = MemoryStore(MemoryDatabase(keep_rows=_ROWS))
        self.cache = Cache(self._store, _BYTES)
        self._changes: asyncio.Queue[Write] = asyncio.Queue()
        self._informers = [self._informer(client, catalog, each) for each in followed]
        self._tasks: list[asyncio.Task[None]] = []
        self._writer: asyncio.Task[None]

    async def start(self) -> None:
        """Returns when all is here that there was."""
        await self._store.open()
        await self.cache.load()
        self._tasks = [asyncio.create_task(each.run()) for each in self._informers]
        self._writer = asyncio.create_task(self._write())
        self._tasks.append(self._writer)
        for informer in self._informers:
            while not informer.synced.is_set():
                try:
                    async with asyncio.timeout(PATIENCE):
                        await informer.synced.wait()
                except TimeoutError:
                    log.warning("not listed yet", path=informer.path, error=informer.error or "no answer")
        await self._changes.join()

    async def follow(self) -> None:
        """Until it is cancelled, or a listener fails: raises what that raised. Nothing is heard of any change then."""
        await self._writer

    async def stop(self) -> None:
        await cancelled(*self._tasks)
        await self._store.close()

    def _informer(self, client: MemberClient, catalog: Catalog, wanted: Followed) -> Informer:
        kind = catalog.get(wanted.group, wanted.version, wanted.plural)
        assert kind is not None, wanted
        path = resource_path(kind.api_version, kind.plural, wanted.namespace)
        selector = f"metadata.name={wanted.name}" if wanted.name else ""

        def keep(obj: Object) -> bytes:
            obj["metadata"].pop("managedFields", None)
            return encode_body(stored_form(kind, obj))

        return Informer(
            client, path, lambda change: self._changed(kind, change), selector="", field_selector=selector, keep=keep
        )

    def _changed(self, kind: Kind, change: Change) -> None:
        key = Key(kind.resource, change.name.namespace, change.name.name)
        after = change.after
        if after is None:
            if change.before is not None:
                self._changes.put_nowait(Write(key, None))
            return
        self._changes.put_nowait(Write(key, after.kept, after.uid, b'"deletionTimestamp":' in after.kept))

    async def _write(self) -> None:
        while True:
            write = await self._changes.get()
            try:
                if write.body is not None or self.cache.get(*write.key) is not None:
                    await self._store.commit(Transaction([], [write]))
            finally:
                self._changes.task_done()
