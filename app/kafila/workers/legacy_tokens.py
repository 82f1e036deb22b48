"""When a token in a Secret was used last, as its label says: kube-controller-manager ends those that nobody uses."""

from __future__ import annotations

import asyncio
from typing import Final, final

import structlog

from kafila.authentication.serviceaccounts import LAST_USED
from kafila.core.clock import rfc3339
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.registry import Options, Registry
from kafila.registry.collecting import collecting
from kafila.watch import Entry

log = structlog.get_logger(__name__)
MOST: Final = 100  # written at a time; the next use comes again
_PAUSE: Final = 60.0  # seconds after a failure
OPTIONS: Final = Options(manager="kube-apiserver")


@final
class LegacyTokens:
    """Called in the event loop with each Secret whose label is not of today."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def used(self, secret: Entry) -> None:
        key = secret.key
        if key in self._tasks or len(self._tasks) >= MOST:
            return
        task = self._tasks[key] = asyncio.create_task(self._mark(key))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _mark(self, key: Key) -> None:
        collecting.set(None)  # it is no change of the request that has used the token
        kind = self._registry.kind("", "v1", "secrets")
        try:
            await self._registry.modify(kind, key.namespace, key.name, _marked, OPTIONS)
        except StatusError as error:
            log.warning("use of a token not noted", secret=f"{key.namespace}/{key.name}", reason=str(error))
            await asyncio.sleep(_PAUSE)


def _marked(secret: Object) -> Object:
    metadata = secret["metadata"]
    labels = {**(metadata.get("labels") or {}), LAST_USED: rfc3339()[:10]}
    return {**secret, "metadata": {**metadata, "labels": labels}}
