"""The ASGI application: authentication, authorization, routing, errors, metrics around every request."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, final

import structlog

from app.catalog.kind import Kind
from app.core import errors
from app.core.errors import StatusError
from app.core.selectors import parse_fields
from app.registry import Registry

from . import documents, metrics, proxy
from .authentication import authenticate, authorize, verb_of
from .bodies import Receive, read_body
from .dispatch import dispatch
from .objects import accept_of, list_options
from .request import Request, Target, parse_query, parse_target
from .responses import Response, Send, error_response, send_response, text_response
from .watching import serve_watch

log = structlog.get_logger(__name__)
Scope = dict[str, Any]
ASGI = Callable[[Any, Any, Any], Awaitable[None]]
PUBLIC = ("/healthz", "/livez", "/readyz", "/version")


@final
class ObjectsApp:
    """Serves /api, /apis and /openapi; everything else goes to ``shell`` (FastAPI)."""

    def __init__(self, registry: Registry, shell: ASGI, member_proxy: proxy.MemberProxy | None = None) -> None:
        self.registry = registry
        self.shell = shell
        self.member_proxy = member_proxy
        self.documents = documents.Documents(registry.catalog)
        self.draining = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.shell(scope, receive, send)
            return
        path: str = scope["path"]
        headers = dict(scope["headers"])
        request = Request(
            scope["method"], path, parse_target(path), parse_query(scope["query_string"]), headers, _NOBODY
        )
        request.raw_query = scope["query_string"].decode("latin-1")
        started = time.perf_counter()
        sent: list[int] = []

        async def counted(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                sent.append(message["status"])
                message["headers"].append((b"audit-id", headers.get(b"audit-id") or uuid.uuid4().hex.encode()))
            await send(message)

        try:
            if not path.startswith(PUBLIC):
                request.user = authenticate(scope, headers)
                authorize(request.user, request.method, path, request.target, _is_watch(request))
            if not path.startswith(("/api", "/openapi")):
                scope.setdefault("state", {})["user"] = request.user
                await self.shell(scope, receive, send)
                return
            await self._serve(request, receive, counted)
        except StatusError as error:
            if not sent:
                await send_response(counted, request, error_response(error))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("request failed", method=request.method, path=path)
            if not sent:
                await send_response(counted, request, error_response(errors.internal_error(str(error))))
        finally:
            self._measure(request, sent[0] if sent else 0, time.perf_counter() - started)

    async def _serve(self, request: Request, receive: Receive, send: Send) -> None:
        target = request.target
        if target is None or not target.plural:
            response = self.documents.answer(request)
            await send_response(send, request, response or text_response("404 page not found", 404))
            return
        kind = self.registry.catalog.get(target.group, target.version, target.plural)
        if kind is None:
            await send_response(send, request, text_response("404 page not found", 404))
            return
        if (
            target.subresource == "proxy"
            and self.member_proxy is not None
            and kind.resource == "clusters.cluster.karmada.io"
        ):
            await self.member_proxy.serve(request, receive, send)
            return
        if _is_watch(request) and request.method == "GET":
            await self._watch(kind, target, request, receive, send)
            return
        if request.method not in ("GET", "HEAD"):
            request.body = await read_body(receive)
        await send_response(send, request, await dispatch(self.registry, kind, request))

    async def _watch(self, kind: Kind, target: Target, request: Request, receive: Receive, send: Send) -> None:
        if "watch" not in kind.verbs:
            raise errors.method_not_supported(kind.group, kind.plural, "watch")
        options = list_options(request)
        if target.name:
            options = options._replace(fields=(*options.fields, *parse_fields(f"metadata.name={target.name}")))
        accept = accept_of(request, kind)
        with metrics.watching(kind):
            await serve_watch(self.registry, kind, options, request, accept, receive, send, self.draining)

    def _measure(self, request: Request, status: int, seconds: float) -> None:
        target = request.target
        if target is None or not target.plural:
            return
        verb = verb_of(request.method, target, _is_watch(request)).upper()
        metrics.observe(verb, target, status, seconds)


_NOBODY: Any = None


def _is_watch(request: Request) -> bool:
    return request.flag("watch") or (request.target is not None and request.target.watch)


__all__ = ["ObjectsApp", "Response"]
