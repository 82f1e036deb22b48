"""What a process without an API says of itself: health and metrics, to those who may see them, and nothing else."""

from __future__ import annotations

from typing import Any, Final, final

from .app import ObjectsApp
from .responses import Send

_PAGE: Final = b"404 page not found\n"
PATHS: Final = frozenset({"healthz", "livez", "readyz", "metrics"})  # first parts of paths


@final
class HealthApp:
    """An ASGI application. Who asks, and whether he may, is ``app``'s to find out, as it is for objects."""

    def __init__(self, app: ObjectsApp) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        first = scope.get("path", "").partition("/")[2].partition("/")[0]  # of OPTIONS * there is none
        if scope["type"] != "http" or first in PATHS:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(_PAGE)).encode())]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": _PAGE})
