"""The FastAPI shell: health, version and metrics, and the list of paths at ``/``."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi import Request as HTTPRequest
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app import __version__

from .deferred import Check

KUBERNETES_VERSION = "v1.36.3"  # whose API this is; clients parse it
PATHS = [
    "/api",
    "/api/v1",
    "/apis",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/version",
]


def version_info() -> dict[str, str]:
    major, minor, _ = KUBERNETES_VERSION.lstrip("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": f"{KUBERNETES_VERSION}+kafila-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine().replace('x86_64', 'amd64')}",
    }


def build_shell(ready: Mapping[str, Check]) -> FastAPI:
    """``ready``: named checks that /readyz runs; /livez only says that the event loop turns."""
    shell = FastAPI(
        title="kafila", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )

    @shell.exception_handler(404)
    async def no_page(request: HTTPRequest, error: Exception) -> Response:
        return PlainTextResponse("404 page not found\n", 404, {"x-content-type-options": "nosniff"})

    def health(path: str, checks: Mapping[str, Check]) -> None:
        @shell.get(path, response_class=PlainTextResponse)
        async def whole(verbose: str | None = None, exclude: Annotated[list[str] | None, Query()] = None) -> Response:
            asked = {name: check for name, check in checks.items() if name not in (exclude or ())}
            failed = {name: why for name, check in asked.items() if (why := check()) is not None}
            lines = [f"[-]{n} failed: {failed[n]}" if n in failed else f"[+]{n} ok" for n in ["ping", *asked]]
            outcome = f"{path.strip('/')} check {'failed' if failed else 'passed'}"
            if failed:
                return PlainTextResponse("\n".join([*lines, outcome]) + "\n", 500)
            return PlainTextResponse("\n".join([*lines, outcome]) + "\n" if verbose is not None else "ok")

        @shell.get(path + "/{name}", response_class=PlainTextResponse)
        async def one(name: str) -> Response:
            if name != "ping" and name not in checks:
                return PlainTextResponse("404 page not found\n", 404)
            why = None if name == "ping" else checks[name]()
            return PlainTextResponse(
                "ok" if why is None else f"internal server error: {why}", 200 if why is None else 500
            )

    health("/healthz", ready)
    health("/livez", {})
    health("/readyz", ready)

    @shell.get("/version")
    @shell.get("/version/")  # kube-apiserver answers both, and Python's client asks for this one
    async def version() -> JSONResponse:
        return JSONResponse(version_info())

    @shell.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @shell.get("/")
    async def paths() -> JSONResponse:
        return JSONResponse({"paths": PATHS})

    return shell
