"""Calls of ResourceInterpreterWebhookConfigurations' webhooks."""

from __future__ import annotations

from typing import Any, Final, final

import orjson

from kafila.admission.webhooks.hooks import client_of
from kafila.catalog.catalog import Catalog
from kafila.core.names import new_uid
from kafila.core.values import Object
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.reviews import VERSION, answer_of, review
from kafila.placement.interpreter.sources import Hook
from kafila.registry.codec import decode_entry
from kafila.watch import Cache
from kafila.webhooks import Callers, CallFailed

DEFAULT_TIMEOUT: Final = 10  # seconds


@final
class Webhooks:
    def __init__(self, cache: Cache, catalog: Catalog) -> None:
        self._cache = cache
        self._catalog = catalog
        self._callers = Callers(cache)

    async def ask(self, source: Hook, hook: Object, arguments: tuple[Any, ...]) -> Any:
        """Raises InterpretError."""
        if VERSION not in (hook.get("interpreterContextVersions") or ()):
            raise InterpretError("webhook does not accept known ResourceInterpreterContext versions (v1alpha1)")
        uid = new_uid()
        answer = await self._post(hook, orjson.dumps(review(uid, source.operation, arguments)))
        try:
            return answer_of(uid, source.operation, arguments, orjson.loads(answer))
        except orjson.JSONDecodeError as error:
            raise InterpretError(f"received invalid webhook response: {error}") from None

    async def stop(self) -> None:
        await self._callers.close()

    async def _post(self, hook: Object, body: bytes) -> bytes:
        config, seconds = client_of(hook.get("clientConfig") or {}), hook.get("timeoutSeconds") or DEFAULT_TIMEOUT
        dialled = None if config.url else self._service(config.namespace, config.name, config.port)
        try:
            return await self._callers.post(config, body, seconds, dialled=dialled)
        except CallFailed as error:
            what = "failed to call webhook" if error.sent else "could not get REST client"
            raise InterpretError(f"{what}: {error}") from None

    # -- where it is -----------------------------------------------------------------------------------------------------

    def _service(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        """As Karmada finds it: the Service of that name here says where it is; without one it is a name for DNS."""
        entry = self._cache.get("services", namespace, name)
        kind = self._catalog.storage_kind("services")
        if entry is None or kind is None:
            return f"{name}.{namespace}.svc", port
        spec = decode_entry(kind, entry)["spec"]
        if spec.get("type") == "ExternalName":
            return spec["externalName"], port
        address = spec.get("clusterIP") or ""
        if address == "None":
            raise InterpretError('could not get REST client: cannot route to service with ClusterIP "None"')
        if all(each.get("port") != port for each in spec.get("ports") or ()):
            raise InterpretError(f'could not get REST client: no service port {port} found for service "{name}"')
        return address, port
