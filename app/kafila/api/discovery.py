"""Documents about the API itself: discovery, OpenAPI, version, and how tokens are verified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import final

import orjson

from kafila.aggregation import merging
from kafila.aggregation.apiservices import APIService
from kafila.aggregation.documents import ExtensionDocuments
from kafila.aggregation.openapi_merging import merge_all
from kafila.catalog import discovery, openapi, openapi_v2
from kafila.catalog.catalog import Catalog, group_priority
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.identity.tokens import Tokens

from .negotiation import FORMS, JSON, MEDIA_TYPES, accepted, no_representation, without
from .request import Request
from .responses import Response, encoded, text_response
from .version import version_info

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList"
OPENAPI_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
A_YEAR = b"public, max-age=31536000, immutable"
OPENID, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"
PATHS = ("/api", "/openapi", "/version", OPENID, KEYS)  # below these everything is answered here


@final
class Documents:
    """``extensions``: what other servers say of the groups that they serve; None: there are none. ``dynamic``: names of groups
    that are served here and have no kinds (:mod:`kafila.api.member_metrics`)."""

    def __init__(
        self,
        catalog: Catalog,
        tokens: Tokens | None = None,
        extensions: ExtensionDocuments | None = None,
        dynamic: Callable[[], list[str]] = list,
    ) -> None:
        self.catalog = catalog
        self.extensions = extensions
        self._dynamic = dynamic
        self._tokens = tokens
        self._revision: tuple[int, ...] = ()
        self._cache: dict[str, tuple[bytes, str]] = {}
        self._openapi = openapi.OpenAPI(catalog)
        self._swagger = openapi_v2.Swagger(catalog)
        self._building = asyncio.Lock()  # one thread at a time builds OpenAPI documents

    async def answer(self, request: Request) -> Response | None:
        """None when there is no such document."""
        revision = self._revisions()
        if self._revision != revision:
            self._cache.clear()
            self._revision = revision
        path = request.path.rstrip("/")
        if path in ("/api", "/apis"):
            return self._root(path, request)
        if path == "/version":
            return _only_json(version_info(), request)
        if path in (OPENID, KEYS):
            return self._openid(path, request)
        if path.startswith("/openapi/v3"):
            return await self._openapi_v3(path, request)
        if path == "/openapi/v2":
            return await self._openapi_v2(request)
        parts = path.split("/")[1:]
        routed = len(parts) != 2 or parts[0] == "api"
        if parts[0] == "api" and len(parts) == 2:
            document = discovery.api_resource_list(self.catalog, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            document = self._group(parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            document = discovery.api_resource_list(self.catalog, parts[1], parts[2])
        else:
            return None
        return None if document is None else _negotiated(document, request, routed)

    def _root(self, path: str, request: Request) -> Response:
        version = aggregated_version(request.header(b"accept"))
        if version is None:
            if path == "/api":
                return _negotiated(discovery.api_versions(_host(request)), request, True)
            return _negotiated(self._groups(), request, False)
        body, etag = self._encoded(f"{path} {version}", lambda: self._aggregated(path == "/api", version))
        headers = ((b"etag", f'"{etag}"'.encode()), (b"vary", b"Accept"), (b"cache-control", b"public"))
        content_type = (AGGREGATED % version).encode()
        if request.header(b"if-none-match").strip('"') == etag:
            return Response(304, b"", content_type, headers)
        return Response(200, body, content_type, headers)

    # -- with what extension servers serve -----------------------------------------------------------------------------

    def _revisions(self) -> tuple[int, ...]:
        if self.extensions is None:
            return (self.catalog.revision,)
        return self.catalog.revision, self.extensions.routes.revision, self.extensions.revision

    def _theirs(self) -> list[APIService]:
        return self.extensions.routes.all() if self.extensions is not None else []

    def _groups(self) -> discovery.Json:
        document = discovery.api_group_list(self.catalog)
        document["groups"] += map(discovery.dynamic_group, self._dynamic())
        if theirs := self._theirs():
            document["groups"] = merging.group_list(document["groups"], theirs, group_priority)
        return document

    def _group(self, name: str) -> discovery.Json | None:
        document = discovery.api_group(self.catalog, name)
        if name in self._dynamic():
            document = {"kind": "APIGroup", "apiVersion": "v1"} | discovery.dynamic_group(name)
        for service in self._theirs():
            if service.group == name:
                document = {"kind": "APIGroup", "apiVersion": "v1"} | merging.group(document, service)
        return document

    def _aggregated(self, core: bool, version: discovery.AggregatedVersion) -> discovery.Json:
        document = discovery.aggregated(self.catalog, core, version)
        if not core:
            document["items"] += map(discovery.dynamic_discovery, self._dynamic())
        theirs = [] if core else self._theirs()
        if self.extensions is not None and theirs:
            said = self.extensions.said
            document["items"] = merging.aggregated(document["items"], theirs, said, group_priority)
        return document

    def _openid(self, path: str, request: Request) -> Response | None:
        """What others need to verify service account tokens."""
        if self._tokens is None:
            return None
        _check_json(request, "application/jwk-set+json" if path == KEYS else "application/json")
        if path == KEYS:
            body, content_type = orjson.dumps(self._tokens.key_set()), b"application/jwk-set+json"
        else:
            known = {
                "issuer": self._tokens.issuer,
                "jwks_uri": self._tokens.jwks_uri or f"https://{_host(request)}{KEYS}",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": self._tokens.algorithms,
            }
            body, content_type = orjson.dumps(known), b"application/json"
        return Response(200, body, content_type, ((b"cache-control", b"public, max-age=3600"),))

    def _encoded(self, name: str, build: Callable[[], discovery.Json]) -> tuple[bytes, str]:
        found = self._cache.get(name)
        if found is None:
            found = self._cache[name] = discovery.encode(build())
        return found

    async def _openapi_v3(self, path: str, request: Request) -> Response | None:
        """The index, or the document of a group and version; a wrong hash is redirected to the right one."""
        rest = path.removeprefix("/openapi/v3").strip("/")
        async with self._building:
            if not rest:
                return Response(200, self._with_theirs(await asyncio.to_thread(self._openapi.index)))
            found = await asyncio.to_thread(self._openapi.document, rest)
        if found is None:
            return Response(404, b"", b"")
        asked = request.query.get("hash")
        if asked and asked != found.etag:
            location = f"/openapi/v3/{rest}?hash={found.etag}".encode()
            return text_response("", 301)._replace(headers=((b"location", location),))
        cache = ((b"cache-control", A_YEAR),) if asked else ()
        return _tagged(request, found, b"application/json", cache)

    def _with_theirs(self, index: bytes) -> bytes:
        schemas = {s.path.strip("/"): self.extensions.said(s).schema for s in self._theirs()} if self.extensions else {}
        if not any(schemas.values()):
            return index
        paths = orjson.loads(index)["paths"]
        paths |= {path: {"serverRelativeURL": url} for path, url in schemas.items() if url}
        return orjson.dumps({"paths": dict(sorted(paths.items()))})

    async def _openapi_v2(self, request: Request) -> Response:
        protobuf = "proto-openapi.spec.v2" in request.header(b"accept")
        theirs = self.extensions.swaggers() if self.extensions is not None else ()
        others = openapi_v2.Others(theirs, partial(merge_all, swaggers=theirs)) if theirs else openapi_v2.NO_OTHERS
        async with self._building:
            found = await asyncio.to_thread(self._swagger.document, "protobuf" if protobuf else "json", others)
        return _tagged(request, found, OPENAPI_V2_PROTOBUF.encode() if protobuf else b"application/json")


def _host(request: Request) -> str:
    return request.header(b"host") or "127.0.0.1"


def _negotiated(document: discovery.Json, request: Request, routed: bool) -> Response:
    """``routed``: kube-apiserver's router knows the path and its media types; else the handler itself refuses."""
    header = without(request.header(b"accept"), *FORMS)
    try:
        accept = accepted(header, True)
    except StatusError:
        if routed:
            raise
        raise errors.not_acceptable(list(MEDIA_TYPES)) from None
    return encoded(document, accept)


def _check_json(request: Request, content_type: str) -> None:
    """Raises StatusError 406."""
    header = request.header(b"accept")
    try:
        accept = accepted(header.replace(content_type, "application/json"), True)
    except StatusError:
        accept = None
    if accept is None or accept.encoding != "json":
        raise no_representation((content_type,))


def _only_json(document: discovery.Json, request: Request) -> Response:
    _check_json(request, JSON.content_type.decode())
    return Response(200, orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _tagged(
    request: Request, found: openapi.Document, content_type: bytes, more: tuple[tuple[bytes, bytes], ...] = ()
) -> Response:
    headers = ((b"etag", f'"{found.etag}"'.encode()), (b"vary", b"Accept"), *more)
    if request.header(b"if-none-match").strip('"') == found.etag:
        return Response(304, b"", content_type, headers)
    return Response(200, found.body, content_type, headers)


def aggregated_version(accept: str) -> discovery.AggregatedVersion | None:
    """The version of aggregated discovery that an Accept header prefers, None for the legacy documents."""
    for clause in accept.split(","):
        media_type, *params = [p.strip() for p in clause.split(";")]
        if media_type not in ("application/json", "*/*"):
            continue
        given = dict(p.split("=", 1) for p in params if "=" in p)
        if given.get("as") == "APIGroupDiscoveryList" and given.get("g") == "apidiscovery.k8s.io":
            if given.get("v") in ("v2", "v2beta1"):
                return "v2" if given["v"] == "v2" else "v2beta1"
            continue
        if "as" not in given:
            return None
    return None
