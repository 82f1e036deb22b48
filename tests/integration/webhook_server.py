"""A webhook of our own: answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, final

import trustme
from aiohttp import web

from kafila.core.values import Object

# what is asked (AdmissionReview.request) -> response without uid, or a whole answer
Answer = Callable[[Object], Object | web.StreamResponse | Awaitable[Any]]
AUTHORITY = trustme.CA()
BUNDLE = base64.b64encode(AUTHORITY.cert_pem.bytes()).decode()


def allow(request: Object) -> Object:
    return {"allowed": True}


def deny(message: str = "", **status: Any) -> Answer:
    found = {**status, **({"message": message} if message else {})}
    return lambda request: {"allowed": False, **({"status": found} if found else {})}


def patch(*operations: Object, **response: Any) -> Answer:
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": encoded, **response}


def label(name: str, value: str) -> Answer:
    """Sets a label, whether there are others or not."""

    def answer(request: Object) -> Object:
        if request["object"] is None:
            return {"allowed": True}
        has = request["object"]["metadata"].get("labels") is not None
        operation = {"op": "add", "path": f"/metadata/labels/{name}", "value": value}
        whole = {"op": "add", "path": "/metadata/labels", "value": {name: value}}
        return patch(operation if has else whole)(request)  # type: ignore[return-value]

    return answer


@final
class WebhookServer:
    """``answers``: by path. ``asked``: path and request of each call, in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, Object]] = []
        self.queries: list[str] = []
        self.port = 0

    def reviews(self, path: str) -> list[Object]:
        return [request for found, request in self.asked if found == path]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        review = json.loads(await request.read())
        self.asked.append((request.path, review["request"]))
        self.queries.append(request.query_string)
        found: Any = self.answers[request.path](review["request"])
        if asyncio.iscoroutine(found):
            found = await found
        if isinstance(found, web.StreamResponse):
            return found
        whole = {"kind": review["kind"], "apiVersion": review["apiVersion"]}
        return web.json_response({**whole, "response": {"uid": review["request"]["uid"], **found}})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[WebhookServer]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert("127.0.0.1", "localhost", "hooks.default.svc").configure_cert(context)
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def client(self, path: str) -> Object:
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": BUNDLE}

    def hook(
        self,
        name: str,
        answer: Answer,
        resources: Iterable[str] = ("configmaps",),
        operations: Iterable[str] = ("*",),
        groups: Iterable[str] = ("*",),
        versions: Iterable[str] = ("*",),
        **more: Any,
    ) -> Object:
        """One webhook of a configuration, answered at the path of its name."""
        path = f"/{name}"
        self.answers[path] = answer
        rule = {
            "operations": list(operations),
            "apiGroups": list(groups),
            "apiVersions": list(versions),
            "resources": list(resources),
        }
        return {
            "name": f"{name}.example.com",
            "clientConfig": self.client(path),
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }


def configuration(kind: str, name: str, *hooks: Object) -> Object:
    """``kind``: Mutating or Validating."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": list(hooks),
    }
