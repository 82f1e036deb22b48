"""What the controllers of a member write goes to the control plane, as requests of the agent."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, final

import structlog

from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.values import AnyObject, Object
from kafila.members.client import MemberClient, resource_path
from kafila.members.kubeconfig import KubeconfigError
from kafila.members.transport import Unreachable
from kafila.reconcile.karmada.event_sources import source_of
from kafila.registry import Options
from kafila.registry.context import DeleteOptions
from kafila.telemetry.tasks import cancelled
from kafila.watch import Cache

log = structlog.get_logger(__name__)
RETRIES: Final = 8
WAITING: Final = 1000  # events; more are lost
REPEATED: Final = 600.0  # seconds until what was told is told again
REMEMBERED: Final = 4096


@final
class RemoteRegistry:
    """As much of a ``Registry`` as the controllers of a member ask for: reads are of the mirror, writes go to the control plane."""

    def __init__(self, client: MemberClient, catalog: Catalog, cache: Cache) -> None:
        self.catalog = catalog
        self.cache = cache
        self._client = client

    def kind(self, group: str, version: str, plural: str) -> Kind:
        found = self.catalog.get(group, version, plural)
        if found is None:
            raise errors.page_not_found()
        return found

    async def create(self, kind: Kind, namespace: str, obj: AnyObject, options: Options) -> None:
        """The mirror has it a moment later. Raises StatusError, Unreachable."""
        await self._client.create(resource_path(kind.api_version, kind.plural, namespace), dict(obj))

    async def delete(self, kind: Kind, namespace: str, name: str, options: DeleteOptions) -> None:
        """The mirror sees it a moment later. Raises StatusError, Unreachable."""
        path = resource_path(kind.api_version, kind.plural, namespace, name)
        await self._client.delete(path, uid=options.uid)

    async def modify(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        compute: Callable[[Any], AnyObject],
        options: Options,
        subresource: str = "",
    ) -> None:
        """Raises StatusError, Unreachable."""
        path = resource_path(kind.api_version, kind.plural, namespace, name)
        for attempt in range(RETRIES):
            current = await self._client.get(path)
            new = compute(_copied(current))  # which may change what it is given
            if new == current:
                return
            try:
                await self._client.update(f"{path}/{subresource}" if subresource else path, dict(new))
                return
            except StatusError as error:
                if not error.is_conflict or attempt == RETRIES - 1:
                    raise


def _copied(obj: Any) -> Any:
    if isinstance(obj, dict):
        return {name: _copied(value) for name, value in obj.items()}
    return [_copied(value) for value in obj] if isinstance(obj, list) else obj


@final
class RemoteRecorder:
    """Events, written in the background; what happens to one holds no work up."""

    def __init__(self, client: MemberClient) -> None:
        self._client = client
        self._waiting: asyncio.Queue[tuple[str, Object]] = asyncio.Queue(WAITING)
        self._told: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._write())

    async def stop(self) -> None:
        await cancelled(self._task)

    def event(self, obj: AnyObject, event_type: str, reason: str, message: str, source: str = "") -> None:
        metadata = obj["metadata"]
        who = (str(metadata.get("uid") or ""), obj["kind"], metadata.get("namespace") or "", metadata["name"])
        now = time.monotonic()
        what = (*who, event_type, reason, message)
        if now - self._told.get(what, -REPEATED) < REPEATED or self._waiting.full():
            return
        self._told[what] = now
        self._told.move_to_end(what)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        namespace = metadata.get("namespace") or "default"
        self._waiting.put_nowait((namespace, _event(obj, namespace, (event_type, reason, message), source)))

    async def _write(self) -> None:
        while True:
            namespace, event = await self._waiting.get()
            try:
                await self._client.create(resource_path("v1", "events", namespace), event)
            except (KubeconfigError, StatusError, Unreachable) as error:
                log.warning("event not written", reason=event["reason"], error=str(error))


def _event(obj: AnyObject, namespace: str, told: tuple[str, str, str], source: str) -> Object:
    event_type, reason, message = told
    metadata, at = obj["metadata"], rfc3339()
    component = source or source_of(obj, reason) or "kafila-agent"
    about = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    about |= {
        field: metadata[field] for field in ("namespace", "name", "uid", "resourceVersion") if metadata.get(field)
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][:200]}.{new_uid().replace('-', '')[:16]}", "namespace": namespace},
        "involvedObject": about,
        "type": event_type,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
