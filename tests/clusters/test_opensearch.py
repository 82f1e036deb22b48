"""What is written to a real OpenSearch: all of the cache, what changes of it, and nothing that is not there any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
import pytest
from cluster_opensearch import PASSWORD, USERNAME, OpenSearchNode

from kafila.catalog.catalog import load_catalog
from kafila.catalog.kind import Kind
from kafila.reconcile.karmada.search import exporter
from kafila.reconcile.karmada.search.exporter import Exporter, Which
from kafila.search.bodies import kept_body
from kafila.search.documents import document_of, id_of
from kafila.search.opensearch import Action, BackendError, Credentials, OpenSearch, Outcome
from kafila.search.selection import ALL, Selected, resource_of
from kafila.store.memory_search import MemorySearch
from kafila.store.search import ObjectWrite

CATALOG = load_catalog()
CACHED_FROM = "resource.karmada.io/cached-from-cluster"


def kind_of(plural: str, group: str = "") -> Kind:
    found = CATALOG.get(group, "v1", plural)
    assert found is not None
    return found


MAPS, PODS = kind_of("configmaps"), kind_of("pods")
INDEX = "kubernetes-pod"


def put(kind: Kind, cluster: str, name: str, version: int, namespace: str = "default", **spec: Any) -> ObjectWrite:
    metadata = {"name": name, "namespace": namespace, "resourceVersion": str(version), "uid": f"{name}-{version}"}
    body = kept_body(
        kind, {"metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}, cluster
    )
    return ObjectWrite(namespace, name, version, str(version), b"{}", body)


def late(kind: Kind, cluster: str, name: str) -> Action:
    """As who wrote before read it."""
    body = put(kind, cluster, name, 12, image="old").body
    assert body is not None
    return Action(INDEX, id_of(kind, cluster, "default", name), document_of(body))


class Lab:
    """A cache, and what is written of it. ``wanted`` may be another at any time."""

    def __init__(self, node: OpenSearchNode) -> None:
        self.node = node
        self.cache = MemorySearch()
        self.wanted: dict[Which, Selected] = {}
        self.credentials = Credentials(USERNAME, PASSWORD, node.authority)
        self.changed = asyncio.Event()
        self.exporter: Exporter | None = None

    def start(self) -> None:
        self.exporter = Exporter("b", "node", self.cache, self._connect, lambda: self.wanted, self.changed.set)

    def _connect(self) -> OpenSearch:
        return OpenSearch([self.node.address], self.credentials)

    async def stop(self) -> None:
        if self.exporter is not None:
            await self.exporter.stop()

    def want(self, kind: Kind, *clusters: str, namespaces: frozenset[str] = ALL) -> None:
        for cluster in clusters:
            self.wanted[resource_of(kind), cluster] = Selected(kind, namespaces)
        if self.exporter is not None:
            self.exporter.look()

    async def write(self, kind: Kind, cluster: str, *writes: ObjectWrite, version: int) -> None:
        resource = resource_of(kind)
        await self.cache.take_over(resource, cluster, (), 1)
        await self.cache.write(resource, cluster, 1, writes, version=version)

    async def until(self, ready: Callable[[], Any], what: str = "") -> None:
        async with asyncio.timeout(60):
            while not ready():
                self.changed.clear()
                if not ready():
                    await self.changed.wait()

    async def done(self) -> None:
        found = self.exporter
        assert found is not None
        await self.until(lambda: not found.trouble and not found.pending(self.wanted))

    async def names(self, *expected: str, index: str = INDEX) -> None:
        """Waits until the index has these, as cluster/namespace/name."""
        async with asyncio.timeout(60):
            while sorted(found := names(self.node.documents(index))) != sorted(expected):
                assert self.exporter is not None
                assert self.exporter.trouble is None, self.exporter.trouble
                await asyncio.sleep(0.05)
            assert len(found) == len(expected)


def names(documents: Mapping[str, Any]) -> list[str]:
    parts = [(doc["metadata"]["annotations"][CACHED_FROM], doc["metadata"]) for doc in documents.values()]
    return [f"{cluster}/{metadata['namespace']}/{metadata['name']}" for cluster, metadata in parts]


@pytest.fixture
async def lab(opensearch: OpenSearchNode, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setattr(exporter, "PAUSE", 0.05)
    monkeypatch.setattr(exporter, "CHECKED", 0.5)
    opensearch.clear()
    found = Lab(opensearch)
    yield found
    await found.stop()


async def test_what_changes_is_written(lab: Lab) -> None:
    """Also what is deleted, and made anew under one name, before anybody looks."""
    await lab.write(PODS, "m1", put(PODS, "m1", "a", 3), put(PODS, "m1", "b", 4), version=10)
    await lab.write(PODS, "m2", put(PODS, "m2", "a", 3), version=7)
    lab.want(PODS, "m1", "m2", "m3")
    lab.start()
    await lab.names("m1/default/a", "m1/default/b", "m2/default/a")
    gone = ObjectWrite("default", "a", 11)
    await lab.write(PODS, "m1", gone, put(PODS, "m1", "b", 12, image="new"), put(PODS, "m1", "c", 13), version=13)
    await lab.write(PODS, "m2", ObjectWrite("default", "a", 8), version=8)
    await lab.write(PODS, "m2", put(PODS, "m2", "a", 9, image="other"), version=9)
    await lab.names("m1/default/b", "m1/default/c", "m2/default/a")
    again = id_of(PODS, "m2", "default", "a")
    async with asyncio.timeout(60):  # the index may still have the one before, of the same name
        while lab.node.documents(INDEX).get(again, {}).get("spec") != '{"image":"other"}':
            await asyncio.sleep(0.05)
    await lab.names("m1/default/b", "m1/default/c", "m2/default/a")
    mapping = lab.node.ask("GET", f"/{INDEX}/_mapping")[INDEX]["mappings"]["properties"]
    assert mapping["spec"] == {"type": "object", "enabled": False}
    assert mapping["metadata"]["properties"]["name"]["fields"]["keyword"]["ignore_above"] == 256


async def test_only_what_is_wanted_stays(lab: Lab) -> None:
    """Of a cluster that left, a kind or a namespace that is not selected any more; documents of others stay."""
    await lab.write(PODS, "m1", put(PODS, "m1", "a", 3), put(PODS, "m1", "a", 4, "other"), version=10)
    await lab.write(PODS, "m2", put(PODS, "m2", "a", 3), version=7)
    await lab.write(MAPS, "m1", put(MAPS, "m1", "map", 5), version=10)
    lab.want(PODS, "m1", "m2")
    lab.want(MAPS, "m1")
    lab.start()
    await lab.names("m1/default/a", "m1/other/a", "m2/default/a")
    await lab.names("m1/default/map", index="kubernetes-configmap")
    lab.node.ask("PUT", f"/{INDEX}/_doc/foreign", {"metadata": {"name": "of somebody else"}})
    del lab.wanted[resource_of(PODS), "m2"]
    del lab.wanted[resource_of(MAPS), "m1"]
    lab.want(PODS, "m1", namespaces=frozenset(["other"]))
    await lab.done()
    async with asyncio.timeout(60):
        while len(documents := lab.node.documents(INDEX)) != 2:
            await asyncio.sleep(0.05)
    assert set(documents) == {"foreign", id_of(PODS, "m1", "other", "a")}
    await lab.names(index="kubernetes-configmap")
    async with asyncio.timeout(60):  # the documents go first
        while [export.cluster for export in await lab.cache.exports.of("b")] != ["m1"]:
            await asyncio.sleep(0.05)


async def test_who_leads_next_goes_on(lab: Lab) -> None:
    """And begins anew where deleted objects were forgotten meanwhile."""
    await lab.write(PODS, "m1", *(put(PODS, "m1", f"pod-{n}", 3) for n in range(3)), version=10)
    lab.want(PODS, "m1")
    lab.start()
    await lab.done()
    await lab.stop()
    lab.node.ask("POST", f"/{INDEX}/_doc/{'foreign'}", {"metadata": {"name": "of somebody else"}})
    await lab.write(PODS, "m1", put(PODS, "m1", "pod-3", 11), version=11)
    before = exporter.DOCUMENTS.labels("written")._value.get()
    lab.start()
    await lab.done()
    assert exporter.DOCUMENTS.labels("written")._value.get() == before + 1
    await lab.stop()
    await lab.write(PODS, "m1", ObjectWrite("default", "pod-0", 12), version=12)
    await lab.cache.forget(-1)
    await lab.write(PODS, "m1", put(PODS, "m1", "pod-4", 13), version=13)
    lab.start()
    await lab.done()
    lab.node.ask("DELETE", f"/{INDEX}/_doc/foreign")
    await lab.names(*(f"m1/default/pod-{n}" for n in (1, 2, 3, 4)))


async def test_what_was_on_its_way_when_another_took_over_does_not_stay(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older page comes late: over what changed, was deleted, or is not wanted since. It is written again, or swept."""
    await lab.write(PODS, "m1", put(PODS, "m1", "changed", 3), put(PODS, "m1", "deleted", 3), version=10)
    await lab.write(PODS, "m2", put(PODS, "m2", "left", 3), version=10)
    lab.want(PODS, "m1", "m2")
    lab.start()
    await lab.done()
    await lab.stop()
    gone = ObjectWrite("default", "deleted", 14)
    await lab.write(PODS, "m1", put(PODS, "m1", "changed", 13, image="new"), gone, version=14)
    del lab.wanted[resource_of(PODS), "m2"]
    lab.start()
    await lab.done()
    await lab.names("m1/default/changed")
    page = [late(PODS, "m1", "changed"), late(PODS, "m1", "deleted"), late(PODS, "m2", "left")]
    store = OpenSearch([lab.node.address], lab.credentials)
    assert await store.bulk(page) == [Outcome()] * len(page)
    await store.close()
    assert len(lab.node.documents(INDEX)) == len(page)
    monkeypatch.setattr(exporter, "LATE", 0.0)
    await lab.names("m1/default/changed")
    async with asyncio.timeout(60):
        while lab.node.documents(INDEX)[page[0].id]["spec"] != '{"image":"new"}':
            await asyncio.sleep(0.05)


async def test_an_index_that_is_lost_is_written_anew(lab: Lab) -> None:
    await lab.write(PODS, "m1", put(PODS, "m1", "a", 3), version=10)
    lab.want(PODS, "m1")
    lab.start()
    await lab.names("m1/default/a")
    lab.node.clear()
    await lab.names("m1/default/a")
    assert "keyword" in orjson.dumps(lab.node.ask("GET", f"/{INDEX}/_mapping")).decode()


async def test_more_than_fits_into_one_request(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "REQUEST_BYTES", 20_000)
    await lab.write(PODS, "m1", *(put(PODS, "m1", f"pod-{n}", 3, text="x" * 1000) for n in range(1200)), version=10)
    lab.want(PODS, "m1")
    lab.start()
    await lab.done()
    assert len(lab.node.documents(INDEX)) == 1200


async def test_one_that_cannot_be_written_holds_no_other_up(lab: Lab) -> None:
    lab.node.ask(
        "PUT", f"/{INDEX}", {"mappings": {"properties": {"metadata": {"properties": {"name": {"type": "integer"}}}}}}
    )
    await lab.write(PODS, "m1", put(PODS, "m1", "a", 3), put(PODS, "m1", "17", 4), version=10)
    lab.want(PODS, "m1")
    lab.start()
    await lab.done()
    await lab.names("m1/default/17")
    assert lab.exporter is not None
    assert lab.exporter.refused == {(resource_of(PODS), "m1"): 1}
    assert "mapper_parsing_exception" in lab.exporter.why_refused


async def test_a_blocked_index_is_written_to_later(lab: Lab) -> None:
    """As those of a disk that is full."""
    await lab.write(PODS, "m1", put(PODS, "m1", "a", 3), version=10)
    lab.want(PODS, "m1")
    lab.start()
    await lab.names("m1/default/a")
    lab.node.ask("PUT", f"/{INDEX}/_settings", {"index.blocks.read_only_allow_delete": True})
    await lab.write(PODS, "m1", put(PODS, "m1", "b", 11), version=11)
    found = lab.exporter
    assert found is not None
    await lab.until(lambda: found.trouble is not None and found.trouble.reason == "Overloaded")
    assert "cluster_block_exception" in str(found.trouble)
    lab.node.ask("PUT", f"/{INDEX}/_settings", {"index.blocks.read_only_allow_delete": None})
    await lab.until(lambda: found.trouble is None)
    await lab.names("m1/default/a", "m1/default/b")


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        (Credentials(), "username and password"),
        (Credentials(USERNAME, "other"), "certificate verify failed"),
    ],
)
async def test_who_is_not_known(lab: Lab, credentials: Credentials, why: str) -> None:
    """It goes on with other credentials."""
    right, lab.credentials = lab.credentials, credentials
    if not credentials.username:
        lab.credentials = credentials._replace(authority=right.authority)
    await lab.write(PODS, "m1", put(PODS, "m1", "a", 3), version=10)
    lab.want(PODS, "m1")
    lab.start()
    found = lab.exporter
    assert found is not None
    await lab.until(lambda: found.trouble is not None)
    assert why in str(found.trouble)
    lab.credentials = right
    found.reconnect()
    await lab.until(lambda: found.trouble is None)
    await lab.names("m1/default/a")


async def test_the_next_node_is_asked(lab: Lab) -> None:
    store = OpenSearch(["https://127.0.0.1:9", lab.node.address], lab.credentials)
    try:
        await store.check()
        with pytest.raises(BackendError, match="invalid_index_name_exception"):
            await store.index("Kubernetes")
    finally:
        await store.close()
