"""Two processes over one database, each of which hears of the other's writes late: nothing is lost, nobody is refused in
vain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kafila.catalog.catalog import load_catalog
from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.registry import Options, Registry
from kafila.registry.allocation import NODE_PORTS, PORTS, STATIC_NODE_PORTS
from kafila.registry.bootstrap import OPTIONS, ensure
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.registry.patching import Patch
from kafila.registry.reading import ListOptions
from kafila.store.interface import ResetCallback, Row, RowsCallback, StoredObject, Transaction, Write
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache

CATALOG = load_catalog()
CONFIG_MAP = CATALOG.get("", "v1", "configmaps")
SERVICE = CATALOG.get("", "v1", "services")
assert CONFIG_MAP is not None
assert SERVICE is not None


class LateStore:
    """A memory store that answers later, and whose subscriber hears of others' writes only when it asks or writes."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.store = MemoryStore(database)
        self._late: list[Row] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def subscribe(self, on_rows: RowsCallback, on_reset: ResetCallback) -> None:
        self._on_rows, self.on_reset = on_rows, on_reset
        self.store.subscribe(self._late.extend, on_reset)

    def _deliver(self) -> None:
        rows = self._late[:]
        self._late.clear()
        self._on_rows(rows)

    async def head(self) -> int:
        await asyncio.sleep(0)
        self._deliver()
        return await self.store.head()

    async def commit(self, transaction: Transaction) -> list[int]:
        await asyncio.sleep(0)
        revisions = await self.store.commit(transaction)
        self._deliver()
        return revisions

    async def snapshot(self) -> tuple[int, list[StoredObject]]:
        self._late.clear()
        return await self.store.snapshot()


async def process(database: MemoryDatabase) -> Registry:
    store = LateStore(database)
    await store.open()
    cache = Cache(store)  # type: ignore[arg-type]
    await cache.load()
    return Registry(CATALOG, store, cache)  # type: ignore[arg-type]


@pytest.fixture
async def processes() -> tuple[Registry, Registry]:
    database = MemoryDatabase()
    one, other = await process(database), await process(database)
    await ensure(one, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    await other.wait_for_consistent_read()
    return one, other


def config_map(data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": data}}


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP"}]
    obj = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}
    return decode_object(SERVICE, obj, OPTIONS)


async def create(registry: Registry, data: str) -> None:
    await registry.create(CONFIG_MAP, "default", decode_object(CONFIG_MAP, config_map(data), OPTIONS), OPTIONS)


async def patch(registry: Registry, data: str | None) -> dict[str, Any]:
    entry, _ = await registry.patch(CONFIG_MAP, "default", "a", Patch("merge", {"data": {"x": data}}), OPTIONS)
    return entry.decode()


async def test_a_write_that_would_change_nothing_of_an_old_state_is_made(processes: tuple[Registry, Registry]) -> None:
    one, other = processes
    await create(one, "1")
    await other.wait_for_consistent_read()
    await patch(one, "2")
    assert (await patch(other, "1"))["data"] == {"x": "1"}
    await one.wait_for_consistent_read()
    assert one.object(CONFIG_MAP, "default", "a")["data"] == {"x": "1"}


async def test_a_write_is_not_refused_because_of_an_old_state(processes: tuple[Registry, Registry]) -> None:
    one, other = processes
    await create(one, "1")
    await other.wait_for_consistent_read()
    revision = (await patch(one, "2"))["metadata"]["resourceVersion"]
    test = [{"op": "test", "path": "/data/x", "value": "2"}, {"op": "add", "path": "/data/x", "value": "3"}]
    entry, _ = await other.patch(CONFIG_MAP, "default", "a", Patch("json", test), OPTIONS)
    assert entry.decode()["data"] == {"x": "3"}
    with pytest.raises(StatusError) as refused:
        await one.update(
            CONFIG_MAP,
            "default",
            "a",
            decode_object(
                CONFIG_MAP, config_map("4") | {"metadata": {"name": "a", "resourceVersion": revision}}, OPTIONS
            ),
            OPTIONS,
        )
    assert refused.value.is_conflict


async def test_a_precondition_looks_at_the_newest_state(processes: tuple[Registry, Registry]) -> None:
    one, other = processes
    await create(one, "1")
    await other.wait_for_consistent_read()
    revision = (await patch(one, "2"))["metadata"]["resourceVersion"]
    _, gone = await other.delete(CONFIG_MAP, "default", "a", DeleteOptions(resource_version=revision))
    assert gone


async def test_a_namespace_that_was_made_again_takes_objects(processes: tuple[Registry, Registry]) -> None:
    one, other = processes
    kind = CATALOG.get("", "v1", "namespaces")
    assert kind is not None
    again = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "again"}}
    await ensure(one, again)
    await one.delete(kind, "", "again", DeleteOptions())
    await other.wait_for_consistent_read()
    await one.modify(kind, "", "again", lambda obj: obj | {"spec": {}}, OPTIONS, "finalize")
    assert one.cache.get("namespaces", "", "again") is None
    await ensure(one, again)
    await other.create(CONFIG_MAP, "again", decode_object(CONFIG_MAP, config_map("1"), OPTIONS), OPTIONS)


async def test_everybody_may_apply_what_does_not_exist_yet(processes: tuple[Registry, Registry]) -> None:
    def apply(registry: Registry, manager: str) -> Any:
        document = config_map("1") | {"data": {manager: "1"}}
        return registry.patch(CONFIG_MAP, "default", "a", Patch("apply", document), Options(manager=manager))

    one, other = processes
    answers = await asyncio.gather(
        *(apply(r, f"{n}{i}") for n, r in (("one", one), ("other", other)) for i in range(3))
    )
    assert [created for _, created in answers].count(True) == 1
    await one.wait_for_consistent_read()
    assert len(one.object(CONFIG_MAP, "default", "a")["data"]) == 6


async def test_services_made_at_once_get_ports_of_their_own(processes: tuple[Registry, Registry]) -> None:
    one, other = processes
    count = 60
    entries = await asyncio.gather(
        *(
            registry.create(SERVICE, "default", service(f"{name}{i}", type="NodePort"), OPTIONS)
            for name, registry in (("a", one), ("b", other))
            for i in range(count)
        )
    )
    ports = {entry.decode()["spec"]["ports"][0]["nodePort"] for entry in entries}
    assert len(ports) == 2 * count
    assert ports <= set(NODE_PORTS) - set(STATIC_NODE_PORTS)


async def test_an_address_that_two_ask_for_goes_to_one(processes: tuple[Registry, Registry]) -> None:
    one, other = processes
    entries = await asyncio.gather(
        one.create(SERVICE, "default", service("a", type="NodePort", clusterIP="10.96.1.1"), OPTIONS),
        other.create(SERVICE, "default", service("b", type="NodePort", clusterIP="10.96.1.1"), OPTIONS),
        return_exceptions=True,
    )
    [refused] = [entry for entry in entries if isinstance(entry, StatusError)]
    assert (refused.code, "provided IP is already allocated" in refused.message) == (422, True)


async def test_a_service_whose_allocation_was_taken_away_can_change_and_go(
    processes: tuple[Registry, Registry],
) -> None:
    one, other = processes
    entry = await one.create(SERVICE, "default", service("a", type="NodePort"), OPTIONS)
    port = str(entry.decode()["spec"]["ports"][0]["nodePort"])
    await other.wait_for_consistent_read()
    await one.store.commit(Transaction([], [Write(Key(PORTS, "", port), None)]))
    _, gone = await other.delete(SERVICE, "default", "a", DeleteOptions())
    assert gone
    entry = await one.create(SERVICE, "default", service("b", type="NodePort"), OPTIONS)
    address = entry.decode()["spec"]["clusterIP"]
    await one.store.commit(Transaction([], [Write(Key("ipaddresses.networking.k8s.io", "", address), None)]))

    def external(obj: dict[str, Any]) -> dict[str, Any]:
        obj["spec"] = {"type": "ExternalName", "externalName": "example.com"}
        return obj

    await one.modify(SERVICE, "default", "b", external, OPTIONS)


async def test_no_list_is_answered_from_a_history_that_is_over(processes: tuple[Registry, Registry]) -> None:
    one, _ = processes
    one.store.on_reset()  # type: ignore[attr-defined]
    for asked in (
        one.wait_for_consistent_read(),
        one.storage(CONFIG_MAP.resource).list_page(CONFIG_MAP, ListOptions()),
    ):
        with pytest.raises(StatusError) as refused:
            await asked
        assert refused.value.code == 503
    await one.cache.load()
    assert not (await one.storage(CONFIG_MAP.resource).list_page(CONFIG_MAP, ListOptions())).entries


async def test_a_list_that_waits_while_everything_is_loaded_again(processes: tuple[Registry, Registry]) -> None:
    one, other = processes
    await create(other, "1")
    page = asyncio.create_task(one.storage(CONFIG_MAP.resource).list_page(CONFIG_MAP, ListOptions()))
    await asyncio.sleep(0)
    one.store.on_reset()  # type: ignore[attr-defined]
    await one.cache.load()
    assert [entry.key.name for entry in (await page).entries] == ["a"]
