"""What extension servers say of their APIs: resources for discovery, OpenAPI. Asked beside requests, and again now and then.

A server that does not answer keeps what it said last, marked as stale, and leaves all others alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, final

import orjson
import structlog
from prometheus_client import Gauge

from kafila.members.transport import Unreachable
from kafila.webhooks.services import Unresolved

from .apiservices import APIService, Routes
from .openapi_reading import Swagger, read
from .requests import Extensions

log = structlog.get_logger(__name__)
DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
PERIOD: Final = 60.0  # seconds, as kube-apiserver
RETRY: Final = 5.0  # after a failure, and to look at what has changed meanwhile
TIMEOUT: Final = 5.0  # for one document
MOST_RESOURCES: Final = 5_000  # of a version
LARGEST_SWAGGER: Final = 8 << 20  # bytes of a whole document of OpenAPI v2
MOST_OF_SWAGGERS: Final = 32 << 20  # bytes of what is kept of all of them
MERGED = Gauge("kafila_extension_openapi_merged", "1: our OpenAPI v2 has what the extension server says.", ["name"])
UNUSABLE: Final = (Unreachable, Unresolved, TimeoutError, ValueError, TypeError, AttributeError, KeyError)
Json = dict[str, Any]


class Said(NamedTuple):
    """``resources``: as in ``APIVersionDiscovery``; ``schema``: where its OpenAPI v3 is, with the hash, "" for nowhere;
    ``swagger``: what its OpenAPI v2 says of this version."""

    resources: list[Json]
    fresh: bool
    schema: str = ""
    swagger: Swagger | None = None


NOTHING: Final = Said([], fresh=False)


@final
class ExtensionDocuments:
    """``revision`` rises with every change of what was said."""

    def __init__(self, routes: Routes, extensions: Extensions) -> None:
        self.routes = routes
        self.revision = 0
        self._extensions = extensions
        self._said: dict[str, Said] = {}
        self._merged: dict[str, bool] = {}  # whose OpenAPI v2 is usable
        self._wake = asyncio.Event()
        routes.on_change(self._wake.set)

    def said(self, service: APIService) -> Said:
        found = self._said.get(service.name, NOTHING)
        return found if service.available else found._replace(fresh=False)

    def swaggers(self) -> tuple[Swagger, ...]:
        """In the order in which they are merged: of two that say different things the first counts."""
        found, size = [], 0
        for service in self.routes.all():
            swagger = self.said(service).swagger
            if swagger is not None and size + len(swagger.body) <= MOST_OF_SWAGGERS:
                found.append(swagger)
                size += len(swagger.body)
        return tuple(found)

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            self._wake.clear()
            services = self.routes.all()
            outcomes = await asyncio.gather(*map(self._ask, services))
            known = {service.name for service in services}
            self._forget(self._said.keys() - known)
            pause = PERIOD if all(outcomes) else RETRY
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            del self._said[name]
            self._extensions.forget(name)
            if name in self._merged:
                del self._merged[name]
                MERGED.remove(name)

    async def _ask(self, service: APIService) -> bool:
        before = self._said.get(service.name, NOTHING)
        try:
            async with asyncio.timeout(TIMEOUT):
                said = await self._heard(service)
            said = said._replace(swagger=await self._swagger(service, before.swagger))
        except UNUSABLE as error:
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
        answer = await self._extensions.document(service, "/apis", DISCOVERY)
        resources: list[Json] | None = None
        if answer.status == 200 and b"as=APIGroupDiscoveryList" in answer.media_type:
            resources = await asyncio.to_thread(_of_aggregated, answer.body, service)
        if resources is None:
            answer = await self._extensions.document(service, service.path, "application/json")
            if answer.status != 200:
                raise Unreachable(f"bad status of {service.path}: {answer.status}", sent=True)
            resources = await asyncio.to_thread(_of_list, answer.body)
        return Said(resources[:MOST_RESOURCES], True, await self._schema(service))

    async def _schema(self, service: APIService) -> str:
        answer = await self._extensions.document(service, "/openapi/v3", "application/json")
        if answer.status != 200:
            return ""
        paths = orjson.loads(answer.body).get("paths") or {}
        url = (paths.get(service.path.strip("/")) or {}).get("serverRelativeURL") or ""
        return url if url.startswith(f"/openapi/v3{service.path}") and len(url) < 1024 else ""

    async def _swagger(self, service: APIService, before: Swagger | None) -> Swagger | None:
        """What it says now, or has said last; None for a server that has no such document."""
        known = before.etag if before is not None else b""
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._extensions.document(
                    service, "/openapi/v2", "application/json", known, LARGEST_SWAGGER
                )
            if answer.status == 200:
                body = await asyncio.to_thread(read, answer.body, service.group, service.version)
                if before is None or (before.body, before.etag) != (body, answer.etag):
                    before = Swagger(body, answer.etag)
            elif answer.status == 404:
                before = None
            elif answer.status != 304:
                raise Unreachable(f"bad status of /openapi/v2: {answer.status}", sent=True)
            usable = before is not None
        except UNUSABLE as error:
            if self._merged.get(service.name, True):
                why = "the OpenAPI v2 of an extension server is not usable"
                log.warning(why, apiservice=service.name, error=str(error))
            usable = False
        self._merged[service.name] = usable
        MERGED.labels(service.name).set(usable)
        return before


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
