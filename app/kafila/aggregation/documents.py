"""What extension servers say of their APIs: resources for discovery, OpenAPI. Asked beside requests, and again now and then.

A server that does not answer keeps what it said last, marked as stale, and leaves all others alone.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple, final

import orjson
import structlog

from kafila.members.transport import Unreachable
from kafila.webhooks.services import Unresolved

from .apiservices import APIService, Routes
from .requests import Extensions

log = structlog.get_logger(__name__)
DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
PERIOD: Final = 60.0  # seconds, as kube-apiserver
RETRY: Final = 5.0  # after a failure, and to look at what has changed meanwhile
TIMEOUT: Final = 5.0  # for one document
MOST_RESOURCES: Final = 5_000  # of a version
Json = dict[str, Any]


class Said(NamedTuple):
    """``resources``: as in ``APIVersionDiscovery``; ``schema``: where its OpenAPI v3 is, with the hash, "" for nowhere."""

    resources: list[Json]
    fresh: bool
    schema: str = ""


NOTHING: Final = Said([], fresh=False)


@final
class ExtensionDocuments:
    """``revision`` rises with every change of what was said."""

    def __init__(self, routes: Routes, extensions: Extensions) -> None:
        self.routes = routes
        self.revision = 0
        self._extensions = extensions
        self._said: dict[str, Said] = {}
        self._wake = asyncio.Event()
        routes.on_change(self._wake.set)

    def said(self, service: APIService) -> Said:
        found = self._said.get(service.name, NOTHING)
        return found if service.available else found._replace(fresh=False)

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            self._wake.clear()
            services = self.routes.all()
            outcomes = await asyncio.gather(*map(self._ask, services))
            known = {service.name for service in services}
            for name in self._said.keys() - known:
                del self._said[name]
                self._extensions.forget(name)
            pause = PERIOD if all(outcomes) else RETRY
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _ask(self, service: APIService) -> bool:
        before = self._said.get(service.name, NOTHING)
        try:
            async with asyncio.timeout(TIMEOUT):
                said = await self._heard(service)
        except (Unreachable, Unresolved, TimeoutError, ValueError, TypeError, AttributeError, KeyError) as error:
            if before.fresh:
                log.warning(
                    "an extension server does not say what it serves", apiservice=service.name, error=str(error)
                )
            said = before._replace(fresh=False)
        if said != before:
            self._said[service.name] = said
            self.revision += 1
        return said.fresh

    async def _heard(self, service: APIService) -> Said:
        """Raises what it catches in ``_ask``: what a server says may be anything."""
        status, body, media_type = await self._extensions.document(service, "/apis", DISCOVERY)
        resources: list[Json] | None = None
        if status == 200 and b"as=APIGroupDiscoveryList" in media_type:
            resources = await asyncio.to_thread(_of_aggregated, body, service)
        if resources is None:
            status, body, _ = await self._extensions.document(service, service.path, "application/json")
            if status != 200:
                raise Unreachable(f"bad status of {service.path}: {status}", sent=True)
            resources = await asyncio.to_thread(_of_list, body)
        return Said(resources[:MOST_RESOURCES], True, await self._schema(service))

    async def _schema(self, service: APIService) -> str:
        status, body, _ = await self._extensions.document(service, "/openapi/v3", "application/json")
        if status != 200:
            return ""
        paths = orjson.loads(body).get("paths") or {}
        url = (paths.get(service.path.strip("/")) or {}).get("serverRelativeURL") or ""
        return url if url.startswith(f"/openapi/v3{service.path}") and len(url) < 1024 else ""


def _of_aggregated(body: bytes, service: APIService) -> list[Json] | None:
    """None when the server does not speak of this version there."""
    for group in orjson.loads(body).get("items") or ():
        if (group.get("metadata") or {}).get("name") == service.group:
            for version in group.get("versions") or ():
                if version.get("version") == service.version:
                    return [resource for resource in version.get("resources") or () if isinstance(resource, dict)]
    return None


def _of_list(body: bytes) -> list[Json]:
    """An ``APIResourceList`` as aggregated discovery has it: subresources below their resource."""
    found: dict[str, Json] = {}
    rows = orjson.loads(body).get("resources") or ()
    for row in rows:
        name, _, subresource = row["name"].partition("/")
        if not subresource:
            found[name] = _resource(row)
    for row in rows:
        name, _, subresource = row["name"].partition("/")
        if subresource and name in found:
            kind = {"group": row.get("group") or "", "version": row.get("version") or "", "kind": row.get("kind") or ""}
            of_it = {"subresource": subresource, "responseKind": kind, "verbs": list(row.get("verbs") or ())}
            found[name].setdefault("subresources", []).append(of_it)
    return list(found.values())


def _resource(row: Json) -> Json:
    out: Json = {
        "resource": row["name"],
        "responseKind": {
            "group": row.get("group") or "",
            "version": row.get("version") or "",
            "kind": row.get("kind") or "",
        },
        "scope": "Namespaced" if row.get("namespaced") else "Cluster",
        "singularResource": row.get("singularName") or "",
        "verbs": list(row.get("verbs") or ()),
    }
    for field in ("shortNames", "categories"):
        if row.get(field):
            out[field] = list(row[field])
    return out
