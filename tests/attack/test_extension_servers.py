"""Extension servers that lie, hang or answer without end, and callers whose names do not fit into headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kafila.aggregation import documents, requests
from kafila.identity.certificates import issue, new_authority
from kafila.reconcile.kubernetes import api_services
from kafila.registry import User
from tests.attack.extensions import Extended, extended
from tests.attack.members import answer

GROUP = "wardle.example.com"
PATH = f"/apis/{GROUP}/v1"


@pytest.fixture
async def there(api: Any, tmp_path: Path) -> AsyncIterator[Extended]:
    async with extended(api, tmp_path) as found:
        found.server.answers[PATH] = answer(b'{"kind":"APIResourceList","resources":[]}')
        yield found


async def hangs(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        b'{"items": 3}',
        b'{"items": [{"metadata": 1}]}',
        b'{"items": [{"metadata": {"name": "wardle.example.com"}, "versions": [7]}]}',
        b"[" * 100_000,
        b'{"resources": [{"name": 1}]}',
        b'{"resources": [{}]}',
    ],
)
async def test_documents_that_are_none(there: Extended, body: bytes) -> None:
    head = "content-type: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    there.server.answers["/apis"] = f"HTTP/1.1 200 OK\r\n{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    there.server.answers[PATH] = answer(body)
    await there.registered()
    (service,) = there.documents.routes.all()
    assert not await there.documents._ask(service)
    assert not there.documents.said(service).fresh
    assert (await there.api.get("/apis/apps/v1")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        b'{"swagger": "2.0", "paths": 3}',
        b'{"swagger": "2.0", "paths": {"%s/fish": {"get": {"parameters": [{"in": 1}]}}}}' % PATH.encode(),
        b'{"swagger": "2.0", "definitions": {"a": {"$ref": {}}}}',
        b'{"swagger": "2.0", "definitions": {"a": ' + b'{"items": ' * 400 + b"{}" + b"}" * 402,
        b"[" * 100_000,
        b'{"swagger": "2.0", "definitions": {"' + b"a" * (9 << 20) + b'": {}}}',
    ],
    ids=lambda body: f"{body[:12].decode()} {len(body)}",
)
async def test_openapi_that_is_none(there: Extended, body: bytes) -> None:
    """Ours is as it was, and what the server serves is served."""
    before = await there.api.get("/openapi/v2")
    there.server.answers["/openapi/v2"] = answer(body)
    await there.registered()
    (service,) = there.documents.routes.all()
    assert await there.documents._ask(service)
    assert there.documents.said(service).swagger is None
    assert (await there.api.get("/openapi/v2")).content == before.content


async def test_openapi_that_speaks_of_others(there: Extended) -> None:
    """A server can neither change what is said of others' paths and kinds, nor make clients find its own schema for them."""
    before = (await there.api.get("/openapi/v2")).json()
    kind = {"group": "apps", "version": "v1", "kind": "Deployment"}
    lie = {"type": "string", "x-kubernetes-group-version-kind": [kind]}
    path = {"get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/lie"}}}}}
    document = {
        "swagger": "2.0",
        "paths": {f"{PATH}/fish": path, "/apis/apps/v1/deployments": path, "/api/": path},
        "definitions": {"lie": lie, "io.k8s.api.apps.v1.Deployment": lie},
        "securityDefinitions": {},
    }
    there.server.answers["/openapi/v2"] = answer(orjson.dumps(document))
    await there.registered()
    (service,) = there.documents.routes.all()
    assert await there.documents._ask(service)
    after = (await there.api.get("/openapi/v2")).json()
    assert {name: after["definitions"].pop(name) for name in ("lie", "io.k8s.api.apps.v1.Deployment_v2")} == {
        "lie": {"type": "string"},
        "io.k8s.api.apps.v1.Deployment_v2": {"type": "string"},
    }
    assert after["paths"].pop(f"{PATH}/fish") == path
    assert {**after, "parameters": None} == {**before, "parameters": None}


async def test_a_document_without_end(there: Extended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LARGEST_DOCUMENT", 1 << 20)
    endless = there.server.endless(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", b"[" * 65536)
    there.server.answers["/apis"] = endless
    await there.registered()
    (service,) = there.documents.routes.all()
    assert not await there.documents._ask(service)
    assert there.server.sent < 1 << 28


async def test_a_server_that_never_answers(there: Extended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_services, "TIMEOUT", 0.2)
    monkeypatch.setattr(documents, "TIMEOUT", 0.2)
    there.server.answers |= {"/apis": hangs, PATH: hangs}
    await there.registered()
    condition = await there.condition()
    assert (condition["status"], condition["reason"]) == ("False", "FailedDiscoveryCheck")
    assert condition["message"].endswith("context deadline exceeded")
    assert (await there.api.get("/apis")).status_code == 200


async def test_a_redirect_takes_nobody_elsewhere(there: Extended) -> None:
    await there.registered()
    there.server.answers[f"{PATH}/fish"] = answer(b"", "302 Found", "location: https://evil.example/apis/x")
    found = await there.api.get(f"{PATH}/fish")
    assert found.status_code == 502
    assert "location" not in found.headers
    there.server.answers[f"{PATH}/fish"] = answer(b"", "302 Found", f"location: {PATH}/other")
    found = await there.api.get(f"{PATH}/fish")
    assert (found.status_code, found.headers["location"]) == (302, f"{PATH}/other")


@pytest.mark.parametrize("name", ["a\r\nx-remote-group: system:masters", " padded", "nul\0"])
async def test_names_that_no_header_carries(there: Extended, name: str) -> None:
    await there.registered()
    there.api.user = User(name, ("system:masters",))
    assert (await there.api.get(f"{PATH}/fish")).status_code == 403
    assert not any(f"{PATH}/fish".encode() in head for head in there.server.asked)


async def test_a_server_with_another_certificate_is_not_asked(there: Extended) -> None:
    import base64

    other = base64.b64encode(new_authority("other").certificate).decode()
    await there.registered(caBundle=other)
    assert "certificate verify failed" in (await there.condition())["message"]
    assert there.server.asked == []


async def test_a_server_that_does_not_believe_us(there: Extended) -> None:
    there.identity = issue(new_authority("stranger"), "front-proxy-client")
    await there.registered()
    assert (await there.condition())["reason"] == "FailedDiscoveryCheck"
    assert (await there.api.get(f"{PATH}/fish")).status_code == 503
