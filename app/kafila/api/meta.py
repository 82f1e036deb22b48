"""FastAPI routes beside the API: health and metrics, and the list of paths at ``/``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi import Request as HTTPRequest
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY

from kafila import __version__
from kafila.telemetry.exposition import exposition

from .deferred import NO_PAGES, Check, Page

NO_SNIFFING = {"x-content-type-options": "nosniff"}
PATHS = [
    "/.well-known/openid-configuration",
    "/api",
    "/api/v1",
    "/apis",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
]


def build_shell(ready: Mapping[str, Check], pages: Mapping[str, Page] = NO_PAGES) -> FastAPI:
    """``pages``: texts about this process by path, in no list. ``ready``: named checks that /readyz runs; /livez only says that the event loop turns, but answers for each of them by name:
    nothing that is amiss with what others do is mended by ending this process."""
    meta_routes = FastAPI(
        title="kafila", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )

    @meta_routes.exception_handler(404)
    async def no_page(request: HTTPRequest, error: Exception) -> Response:
        return PlainTextResponse("404 page not found\n", 404, NO_SNIFFING)

    def health(path: str, checks: Mapping[str, Check]) -> None:
        @meta_routes.get(path, response_class=PlainTextResponse)
        async def whole(verbose: str | None = None, exclude: Annotated[list[str] | None, Query()] = None) -> Response:
            asked = {name: check for name, check in checks.items() if name not in (exclude or ())}
            failed = {name: why for name, check in asked.items() if (why := check()) is not None}
            lines = [f"[-]{n} failed: {failed[n]}" if n in failed else f"[+]{n} ok" for n in ["ping", *asked]]
            outcome = f"{path.strip('/')} check {'failed' if failed else 'passed'}"
            if failed:
                return PlainTextResponse("\n".join([*lines, outcome]) + "\n", 500, NO_SNIFFING)
            text = "\n".join([*lines, outcome]) + "\n" if verbose is not None else "ok"
            return PlainTextResponse(text, headers=NO_SNIFFING)

        @meta_routes.get(path + "/{name}", response_class=PlainTextResponse)
        async def one(name: str) -> Response:
            if name != "ping" and name not in ready:
                return PlainTextResponse("404 page not found\n", 404, NO_SNIFFING)
            why = None if name == "ping" else ready[name]()
            return PlainTextResponse(
                "ok" if why is None else f"internal server error: {why}", 200 if why is None else 500
            )

    health("/healthz", ready)
    health("/livez", {})
    health("/readyz", ready)

    one_scrape = asyncio.Lock()  # many at a time would each take their piece of every turn of the event loop

    @meta_routes.get("/metrics")
    async def metrics() -> Response:
        pieces: list[bytes] = []
        async with one_scrape:
            for piece in exposition(REGISTRY):
                pieces.append(piece.encode())
                await asyncio.sleep(0)
        return Response(b"".join(pieces), media_type=CONTENT_TYPE_LATEST)

    @meta_routes.get("/debug/{rest:path}", response_class=PlainTextResponse)
    async def debug(rest: str, includeRequestDetails: str = "") -> Response:
        page = pages.get(f"/debug/{rest}")
        if page is None:
            return PlainTextResponse("404 page not found\n", 404, NO_SNIFFING)
        return PlainTextResponse(page(bool(includeRequestDetails)), headers=NO_SNIFFING)

    @meta_routes.get("/")
    async def paths() -> JSONResponse:
        return JSONResponse({"paths": PATHS})

    return meta_routes
