"""Calls of ResourceInterpreterWebhookConfigurations' webhooks."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from typing import Any, Final, NamedTuple, final

import aiohttp
import orjson

from kafila.catalog.catalog import Catalog
from kafila.core.names import new_uid
from kafila.core.values import Object
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.reviews import VERSION, answer_of, review
from kafila.placement.interpreter.sources import Hook
from kafila.registry.codec import decode_entry
from kafila.watch import Cache

DEFAULT_TIMEOUT: Final = 10  # seconds
LARGEST_ANSWER: Final = 8 << 20  # bytes


class Address(NamedTuple):
    url: str
    host: str  # that it is to be known by, "" for the one in the URL


@final
class Webhooks:
    def __init__(self, cache: Cache, catalog: Catalog) -> None:
        self._cache = cache
        self._catalog = catalog
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}  # by caBundle

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
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, hook: Object, body: bytes) -> bytes:
        config, seconds = hook.get("clientConfig") or {}, hook.get("timeoutSeconds") or DEFAULT_TIMEOUT
        address = self._address(config)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if address.host:
            headers["Host"] = address.host
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.post(
                    address.url,
                    data=body,
                    headers=headers,
                    params={"timeout": f"{seconds}s"},
                    ssl=self._context(config.get("caBundle") or ""),
                    server_hostname=address.host.rpartition(":")[0] or None,
                    allow_redirects=False,
                ) as response,
            ):
                found = await response.content.read(LARGEST_ANSWER + 1)
                while len(found) <= LARGEST_ANSWER and not response.content.at_eof():
                    found += await response.content.read(LARGEST_ANSWER + 1 - len(found))
        except TimeoutError:
            raise InterpretError(f"failed to call webhook: no answer from {address.url} within {seconds} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise InterpretError(f"failed to call webhook: {address.url}: {error or type(error).__name__}") from None
        if response.status not in range(200, 300):
            text = found[:200].decode(errors="replace").strip()
            raise InterpretError(f"failed to call webhook: {address.url} answered {response.status}: {text}")
        if len(found) > LARGEST_ANSWER:
            raise InterpretError(f"received invalid webhook response: it is larger than {LARGEST_ANSWER >> 20} MiB")
        return found

    def _context(self, bundle: str) -> ssl.SSLContext:
        known = self._contexts.get(bundle)
        if known is None:
            try:
                authorities = base64.b64decode(bundle).decode("ascii") or None
                known = ssl.create_default_context(cadata=authorities)
            except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError) as error:
                raise InterpretError(f"could not get REST client: caBundle: {error}") from None
            self._contexts[bundle] = known
        return known

    # -- where it is -----------------------------------------------------------------------------------------------------

    def _address(self, config: Object) -> Address:
        if config.get("url"):
            return Address(config["url"], "")
        service = config.get("service") or {}
        namespace, name, port = service.get("namespace") or "", service.get("name") or "", service.get("port") or 443
        path = (service.get("path") or "").lstrip("/")
        host = f"{name}.{namespace}.svc:{port}"
        return Address(f"https://{self._service(namespace, name, port)}/{path}", host)

    def _service(self, namespace: str, name: str, port: int) -> str:
        """As Karmada finds it: the Service of that name here says where it is; without one it is a name for DNS."""
        entry = self._cache.get("services", namespace, name)
        kind = self._catalog.storage_kind("services")
        if entry is None or kind is None:
            return f"{name}.{namespace}.svc:{port}"
        spec = decode_entry(kind, entry)["spec"]
        if spec.get("type") == "ExternalName":
            return f"{spec['externalName']}:{port}"
        address = spec.get("clusterIP") or ""
        if address == "None":
            raise InterpretError('could not get REST client: cannot route to service with ClusterIP "None"')
        if all(each.get("port") != port for each in spec.get("ports") or ()):
            raise InterpretError(f'could not get REST client: no service port {port} found for service "{name}"')
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
