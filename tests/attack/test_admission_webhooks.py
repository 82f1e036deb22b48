"""Webhooks that lie, hang, or send too much: a write is refused in time, and nothing of what they wanted is stored."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from kafila.core.values import Object
from kafila.machinery.jsonpatch import MAX_OPERATIONS
from kafila.webhooks.client import LARGEST_ANSWER
from tests.integration.api.conftest import Api, configmap
from tests.integration.webhook_server import AUTHORITY, BUNDLE, configuration

CONFIGMAPS: Final = "/api/v1/namespaces/default/configmaps"
CONFIGURATIONS: Final = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"
# what is asked, where the answer is written to
Lie = Callable[[Object, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def liar(lie: Lie) -> AsyncIterator[tuple[str, list[Object]]]:
    """Its URL, and what it was asked."""
    asked: list[Object] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            asked.append(json.loads(await reader.readexactly(size)).get("request"))
            await lie(asked[-1], writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked
    finally:
        server.close()


def head(status: str, size: int, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {size}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def said(**response: Any) -> Lie:
    """An answer as it should be, but for what ``response`` has."""

    async def lie(request: Object, writer: asyncio.StreamWriter) -> None:
        whole = {"allowed": True, "uid": request["uid"], **response}
        body = json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": whole}).encode()
        writer.write(head("200 OK", len(body)) + body)

    return lie


def raw(document: Any) -> Lie:
    async def lie(request: Object, writer: asyncio.StreamWriter) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        writer.write(head("200 OK", len(body)) + body)

    return lie


def patched(*operations: Any) -> Lie:
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return said(patchType="JSONPatch", patch=encoded)


def test_hook(url: str, **more: Any) -> Object:
    rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    return {
        "name": "liar.example.com",
        "clientConfig": {"url": url, "caBundle": BUNDLE},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        **more,
    }


test_hook.__test__ = False  # type: ignore[attr-defined]


async def _huge(request: Object, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", 100 << 20))
    for _ in range(100):
        writer.write(b" " * (1 << 20))
        await writer.drain()


async def _bomb(request: Object, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(b" " * (64 << 20))
    writer.write(head("200 OK", len(body), "Content-Encoding: gzip") + body)


async def _redirect(request: Object, writer: asyncio.StreamWriter) -> None:
    writer.write(head("307 Temporary Redirect", 0, "Location: https://127.0.0.1:1/elsewhere"))


async def _drip(request: Object, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", 1000))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _silence(request: Object, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _half(request: Object, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", 1000) + b'{"kind":')


async def _nothing(request: Object, writer: asyncio.StreamWriter) -> None:
    pass


async def _no_http(request: Object, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")


async def _long_text(request: Object, writer: asyncio.StreamWriter) -> None:
    body = b"x" * (1 << 20)
    writer.write(head("500 Internal Server Error", len(body)).replace(b"application/json", b"text/plain") + body)


DEEP: Final = b'{"response":' * 5000 + b"}" * 5000
UNUSABLE: Final[dict[str, tuple[Lie, str]]] = {
    "another review's uid": (said(uid="other"), 'expected response.uid="'),
    "no uid": (said(uid=None), 'got ""'),
    "another kind": (
        raw({"kind": "Pod", "apiVersion": "v1", "response": {}}),
        'no kind "Pod" is registered for version "v1"',
    ),
    "no response": (raw({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}), "response was absent"),
    "a list": (raw([1]), "json parse error"),
    "no JSON": (raw(b"<html>"), "json parse error"),
    "deeper than anything": (raw(DEEP), "json parse error"),
    "not a boolean": (said(allowed="yes"), "cannot unmarshal AdmissionResponse.response.allowed"),
    "no texts": (said(warnings=[{}]), "must be texts"),
    "no base64": (said(patchType="JSONPatch", patch="***"), "illegal base64 data"),
    "another patch type": (said(patchType="Merge", patch="e30="), "undecodable patch"),
    "a patch without a type": (said(patch="W10="), "response.patch but not response.patchType"),
    "100 MB": (_huge, f"larger than {LARGEST_ANSWER >> 20} MiB"),
    "a bomb": (_bomb, "is encoded"),
    "a redirect": (_redirect, "status code 307"),
    "drips": (_drip, "context deadline exceeded"),
    "silence": (_silence, "context deadline exceeded"),
    "closed in the middle": (_half, "unexpected EOF"),
    "closed at once": (_nothing, "EOF"),
    "no HTTP": (_no_http, "malformed HTTP"),
    "a long text": (_long_text, "an error on the server"),
}


@pytest.mark.parametrize("what", UNUSABLE)
async def test_an_answer_that_is_none_stores_nothing(api: Api, what: str) -> None:
    lie, why = UNUSABLE[what]
    async with liar(lie) as (url, asked):
        timeout = 30 if lie in (_huge, _bomb) else 2  # machines may be slow to send so much
        made = configuration("Mutating", "liar", test_hook(url, timeoutSeconds=timeout))
        await api.made(CONFIGURATIONS.format("mutating"), made)
        answer = await api.post(CONFIGMAPS, configmap("x"))
    status = answer.json()
    assert (status["code"], status["reason"]) == (500, "InternalError"), status
    assert status["message"].startswith('Internal error occurred: failed calling webhook "liar.example.com": ')
    assert why in status["message"]
    assert len(status["message"]) < 5000
    assert asked
    assert (await api.get(f"{CONFIGMAPS}/x")).status_code == 404


IDENTITY: Final[dict[str, tuple[list[Object], int]]] = {
    "name": ([{"op": "replace", "path": "/metadata/name", "value": "y"}], 422),
    "namespace": ([{"op": "replace", "path": "/metadata/namespace", "value": "kube-system"}], 400),
    "uid": ([{"op": "replace", "path": "/metadata/uid", "value": "0"}], 422),
    "kind": ([{"op": "replace", "path": "/kind", "value": "Secret"}], 500),
    "version": ([{"op": "replace", "path": "/apiVersion", "value": "v2"}], 500),
    "resourceVersion": ([{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}], 409),
    "everything": ([{"op": "replace", "path": "", "value": []}], 500),
    "metadata": ([{"op": "replace", "path": "/metadata", "value": []}], 500),
    "no metadata": ([{"op": "remove", "path": "/metadata"}], 422),
    "a type": ([{"op": "replace", "path": "/data", "value": "text"}], 500),
    "nowhere": ([{"op": "remove", "path": "/data/none"}], 500),
    "too many": ([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * (MAX_OPERATIONS + 1), 500),
    "growth": ([{"op": "copy", "from": "/data", "path": f"/data{i}"} for i in range(5000)], 500),
}


@pytest.mark.parametrize("what", IDENTITY)
async def test_a_patch_makes_no_other_object(api: Api, what: str) -> None:
    operations, code = IDENTITY[what]
    before = await api.made(CONFIGMAPS, configmap("x", key="v" * 1000))
    async with liar(patched(*operations)) as (url, _):
        made = configuration("Mutating", "liar", test_hook(url))
        await api.made(CONFIGURATIONS.format("mutating"), made)
        answer = await api.patch(f"{CONFIGMAPS}/x", {"metadata": {"labels": {"a": "b"}}})
    assert answer.json()["code"] == code, answer.text[:2000]
    assert (await api.get(f"{CONFIGMAPS}/x")).json() == before
    assert (await api.get(f"{CONFIGMAPS}/y")).status_code == 404


async def test_a_creation_stays_in_its_namespace(api: Api) -> None:
    operations = {"op": "add", "path": "/metadata/namespace", "value": "kube-system"}
    async with liar(patched(operations)) as (url, _):
        made = configuration("Mutating", "liar", test_hook(url))
        await api.made(CONFIGURATIONS.format("mutating"), made)
        answer = await api.post(CONFIGMAPS, configmap("x"))
    assert answer.json()["code"] == 400
    assert (await api.get("/api/v1/namespaces/kube-system/configmaps/x")).status_code == 404


async def test_a_validating_webhook_changes_nothing(api: Api) -> None:
    async with liar(patched({"op": "add", "path": "/data", "value": {"a": "b"}})) as (url, _):
        made = configuration("Validating", "liar", test_hook(url))
        await api.made(CONFIGURATIONS.format("validating"), made)
        answer = await api.post(CONFIGMAPS, configmap("x"))
    assert "validating webhook may not return response.patch" in answer.json()["message"]


async def test_who_hangs_holds_nobody_else(api: Api) -> None:
    """What no webhook wants to see goes on, and so does what another one sees."""
    async with liar(_silence) as (url, asked), liar(said()) as (other, _):
        hanging = test_hook(url, timeoutSeconds=30)
        secrets = test_hook(other, name="good.example.com")
        secrets["rules"][0]["resources"] = ["secrets"]
        made = configuration("Validating", "liar", hanging, secrets)
        await api.made(CONFIGURATIONS.format("validating"), made)
        waiting = [asyncio.create_task(api.post(CONFIGMAPS, configmap(f"x{i}"))) for i in range(100)]
        for i in range(20):
            await api.made("/api/v1/namespaces/default/secrets", {"metadata": {"name": f"s{i}"}})
            await api.made("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": f"a{i}"}})
        assert not any(task.done() for task in waiting)
        assert 0 < len(asked) <= 64
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_write_is_shown_again_when_the_object_has_changed_meanwhile(api: Api) -> None:
    """What was admitted for one object is not written over another one."""
    await api.made(CONFIGMAPS, configmap("x"))
    first = True

    async def slow(request: Object, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        if first:
            first = False
            answer = await api.delete(CONFIGURATIONS.format("validating") + "/liar")
            assert answer.status_code == 200
            assert (await api.patch(f"{CONFIGMAPS}/x", {"data": {"theirs": "1"}})).status_code == 200
            made = configuration("Validating", "liar", test_hook(url))
            await api.made(CONFIGURATIONS.format("validating"), made)
        await said()(request, writer)

    async with liar(slow) as (url, asked):
        await api.made(CONFIGURATIONS.format("validating"), configuration("Validating", "liar", test_hook(url)))
        answer = await api.patch(f"{CONFIGMAPS}/x", {"data": {"ours": "1"}})
    assert answer.json()["data"] == {"theirs": "1", "ours": "1"}
    assert [request["oldObject"].get("data") for request in asked] == [None, {"theirs": "1"}]
