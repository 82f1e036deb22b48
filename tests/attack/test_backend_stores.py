"""What a ResourceRegistry names as its OpenSearch may be anything: another server, one that lies, or one that never ends."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from kafila.admission.chain import Admission
from kafila.admission.karmada.context import AdmissionContext
from kafila.catalog.catalog import load_catalog
from kafila.core.errors import StatusError
from kafila.reconcile.karmada.search.exporter import Exporter
from kafila.registry import User
from kafila.search.bodies import kept_body
from kafila.search.opensearch import Action, BackendError, Credentials, OpenSearch
from kafila.search.selection import ALL, Selected
from kafila.store.interface import LeaseLost
from kafila.store.memory_search import MemorySearch
from kafila.store.search import ObjectWrite
from tests.attack.members import Hostile, answer

CATALOG = load_catalog()
PODS = CATALOG.get("", "v1", "pods")
REGISTRIES = CATALOG.get("search.karmada.io", "v1alpha1", "resourceregistries")
WHICH = ("/v1/pods", "m1")
GREETING = answer(orjson.dumps({"version": {"number": "2.19.6"}}))
UID = answer(orjson.dumps({"kubernetes-pod": {"settings": {"index": {"uuid": "u"}}}}))
SETTINGS = "/kubernetes-pod/_settings/index.uuid"


async def trouble(member: Hostile) -> tuple[str, str]:
    """What is said of it when a pod is to be written there."""
    assert PODS is not None
    cache, changed = MemorySearch(), asyncio.Event()
    body = kept_body(PODS, {"metadata": {"name": "a", "namespace": "b", "resourceVersion": "3"}}, "m1")
    await cache.take_over(*WHICH, (), 1)
    await cache.write(*WHICH, 1, [ObjectWrite("b", "a", 3, "3", b"{}", body)], version=3)
    credentials = Credentials("user", "password")
    wanted = {WHICH: Selected(PODS, ALL)}
    exporter = Exporter(
        "b", "h", cache, lambda: OpenSearch([member.endpoint], credentials), lambda: wanted, changed.set
    )
    try:
        async with asyncio.timeout(60):
            while exporter.trouble is None:
                await changed.wait()
                changed.clear()
        assert exporter.pending(wanted) == [WHICH]
        return exporter.trouble.reason, exporter.trouble.text
    finally:
        await exporter.stop()


def paths(member: Hostile) -> set[str]:
    return {head.split(b" ")[1].decode().partition("?")[0] for head in member.asked}


@pytest.mark.parametrize(
    "greeting",
    [
        answer(b'{"secret":"token-of-the-cloud"}'),
        answer(b"token-of-the-cloud"),
        answer(b'{"version":"token-of-the-cloud"}'),
        answer(b'{"error":"token-of-the-cloud"}', "404 Not Found"),
        answer(b"[" * 100_000),
        answer(b"", "302 Found", "location: http://127.0.0.1:1/token-of-the-cloud"),
    ],
)
async def test_nothing_is_written_to_what_is_no_opensearch(member: Hostile, greeting: bytes) -> None:
    """And nothing of what it says is told."""
    member.answers["/"] = greeting
    reason, text = await trouble(member)
    assert reason == "NotOpenSearch"
    assert "token-of-the-cloud" not in text
    assert paths(member) == {"/"}


@pytest.mark.parametrize(
    "items",
    [
        [],
        "items",
        [{"index": {"status": 201}}] * 2,
        {"index": {"status": 201}},
    ],
)
async def test_one_that_lies_about_what_it_took(member: Hostile, items: Any) -> None:
    member.answers |= {"/": GREETING, SETTINGS: UID, "/_bulk": answer(orjson.dumps({"items": items}))}
    assert await trouble(member) == ("Refused", f"{member.endpoint}: cannot write documents: status 200")


@pytest.mark.parametrize(
    ("item", "refused"),
    [
        ({"index": {"status": "201"}}, "the answer has no status for it"),
        ({}, "the answer has no status for it"),
        ([], "the answer has no status for it"),
        ({"index": {"status": 400, "error": {"type": "t" * 10_000, "reason": "r"}}}, f"status 400, {'t' * 244}"),
        ({"index": {"status": 400, "error": {"type": ["t"], "reason": {}}}}, "status 400"),
    ],
)
async def test_what_it_says_of_one_document_is_short(member: Hostile, item: Any, refused: str) -> None:
    member.answers["/_bulk"] = answer(orjson.dumps({"items": [item]}))
    store = OpenSearch([member.endpoint], Credentials())
    try:
        (found,) = await store.bulk([Action("kubernetes-pod", "id", b"{}")])
    finally:
        await store.close()
    assert found.refused == refused


async def test_who_does_not_lead_any_more_writes_nothing(member: Hostile) -> None:
    """It stood still, and another writes: its lease is looked at right before each request, for each node."""

    def lost() -> None:
        raise LeaseLost("the lease is not held any more")

    store = OpenSearch([member.endpoint, member.endpoint], Credentials(), lost)
    member.answers |= {"/": GREETING, SETTINGS: UID}
    try:
        await store.check()
        assert await store.index("kubernetes-pod") == "u"
        with pytest.raises(LeaseLost):
            await store.bulk([Action("kubernetes-pod", "id", b"{}")])
    finally:
        await store.close()
    assert paths(member) == {"/", SETTINGS}


async def test_an_answer_without_end(member: Hostile) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    member.answers |= {"/": GREETING, SETTINGS: UID, "/_bulk": member.endless(head, b"[" * 65536, 256 << 20)}
    reason, text = await trouble(member)
    assert (reason, "longer than" in text) == ("Unreachable", True)
    assert member.sent < 128 << 20


async def test_documents_without_end(member: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafila.search.opensearch.MOST_SCROLLED", 100)
    hits = [{"_id": f"id-{n}", "_source": {"metadata": []}} for n in range(30)]
    page = answer(orjson.dumps({"_scroll_id": "s", "hits": {"hits": hits}}))
    member.answers |= {"/kubernetes-pod/_search": page, "/_search/scroll": page}
    store, found = OpenSearch([member.endpoint], Credentials()), 0

    async def read() -> None:
        nonlocal found
        async for documents in store.documents("kubernetes-pod"):
            found += len(documents)

    try:
        with pytest.raises(BackendError, match="has no end"):
            await read()
    finally:
        await store.close()
    assert found <= 130
    assert member.asked[-1].startswith(b"DELETE /_search/scroll")


class _NotSecrets:
    """Someone who may do everything but read one Secret."""

    def __call__(self, user: Any, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        return (verb, resource, namespace, name) != ("get", "secrets", "karmada-system", "others")


def registry(address: str, secret: str) -> dict[str, Any]:
    store = {"addresses": [address], "secretRef": {"namespace": "karmada-system", "name": secret}}
    return {"metadata": {"name": "r"}, "spec": {"backendStore": {"openSearch": store}}}


def test_nobody_sends_credentials_that_he_may_not_read() -> None:
    """Neither by naming them, nor by another address for those that somebody else named."""
    assert REGISTRIES is not None
    admission, user = Admission(around=AdmissionContext(may=_NotSecrets())), User("mallory")
    stored = registry("https://search.example", "others")
    for operation, new, old in (
        ("CREATE", stored, None),
        ("UPDATE", registry("https://mallory.example", "others"), stored),
        ("UPDATE", stored, registry("https://search.example", "own")),
    ):
        with pytest.raises(StatusError, match='User "mallory" cannot get resource "secrets"') as refused:
            admission.admit(REGISTRIES, operation, new, old, user)
        assert refused.value.code == 403
    admission.admit(REGISTRIES, "CREATE", registry("https://mallory.example", "own"), None, user)
    labelled = {**stored, "metadata": {"name": "r", "labels": {"a": "b"}}}
    admission.admit(REGISTRIES, "UPDATE", labelled, stored, user)
    assert admission.warn(REGISTRIES, registry("https://search.example", "own"), None) == []
    texts = admission.warn(REGISTRIES, registry("http://me:word@search.example", "own"), None)
    assert ["clear" in texts[0], "secretRef" in texts[1]] == [True, True]
