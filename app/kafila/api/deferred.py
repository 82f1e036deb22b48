"""The routes of `meta`, loaded when somebody first asks for one of its pages.

kubectl and controllers do not before they are served, and loading FastAPI takes a sixth of the time until the process is ready.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, final

Check = Callable[[], str | None]  # None when all is well, else why not
Page = Callable[[bool], str]  # with details, where they are asked for
NO_PAGES: Mapping[str, Page] = {}
_BUILDING = threading.Lock()  # FastAPI silences warnings meanwhile, which works for one thread only


@final
class DeferredMetaRoutes:
    """An ASGI application; ``checks`` and ``pages`` as in :func:`kafila.api.meta.build_shell`."""

    def __init__(self, checks: Mapping[str, Check], pages: Mapping[str, Page] = NO_PAGES) -> None:
        self._checks = checks
        self._pages = pages
        self._loading = asyncio.Lock()
        self._shell: Callable[[Any, Any, Any], Awaitable[None]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._shell is None:
            async with self._loading:
                if self._shell is None:
                    self._shell = await asyncio.to_thread(self._load)
        await self._shell(scope, receive, send)

    def _load(self) -> Callable[[Any, Any, Any], Awaitable[None]]:
        with _BUILDING:
            return importlib.import_module("kafila.api.meta").build_shell(self._checks, self._pages)
