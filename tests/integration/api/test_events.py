"""Events by every verb, in both API groups: they are in no cache, and nobody can tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.store.interface import EVENTS, GuardFailed, Transaction

from .conftest import APPLY_PATCH, STRATEGIC_PATCH, Api

EVENTS_PATH = "/api/v1/namespaces/default/events"
NEW = "/apis/events.k8s.io/v1/namespaces/default/events"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


@pytest.fixture(params=[False, True], ids=["alone", "together"])
def way(request: pytest.FixtureRequest, api: Api) -> None:
    api.pushed = request.param


def event(name: str, about: str = "web", reason: str = "Done", kind: str = "Normal", **rest: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": about, "namespace": "default", "uid": f"uid-{about}"},
        "reason": reason,
        "message": "it is",
        "type": kind,
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        **rest,
    }


def names(listed: Object) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


async def test_written_read_counted_and_deleted(api: Api) -> None:
    made = await api.made(EVENTS_PATH, event("a"))
    assert (await api.get(f"{EVENTS_PATH}/a")).json() == made
    new = (await api.get(f"{NEW}/a")).json()
    assert (new["regarding"]["name"], new["deprecatedCount"]) == ("web", 1)
    again = await api.post(EVENTS_PATH, event("a"))
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyExists")
    counted = await api.patch(f"{EVENTS_PATH}/a", {"count": 2}, STRATEGIC_PATCH)
    assert counted.json()["count"] == 2
    body = counted.json()
    stale = await api.put(f"{EVENTS_PATH}/a", body | {"metadata": made["metadata"]})
    assert (stale.status_code, stale.json()["reason"]) == (409, "Conflict")
    put = await api.put(f"{EVENTS_PATH}/a", body | {"count": 3})
    assert put.json()["count"] == 3
    dry = await api.patch(f"{EVENTS_PATH}/a?dryRun=All", {"count": 9}, STRATEGIC_PATCH)
    assert dry.json()["count"] == 9
    assert (await api.post(f"{EVENTS_PATH}?dryRun=All", event("a"))).status_code == 409
    assert (await api.get(f"{EVENTS_PATH}/a")).json()["count"] == 3
    assert (await api.delete(f"{EVENTS_PATH}/a")).json()["status"] == "Success"
    for gone in (await api.get(f"{EVENTS_PATH}/a"), await api.delete(f"{EVENTS_PATH}/a")):
        assert (gone.status_code, gone.json()["message"]) == (404, 'events "a" not found')
    applied = await api.patch(f"{EVENTS_PATH}/b?fieldManager=me", event("b"), APPLY_PATCH)
    assert applied.status_code == 201
    assert api.cache.resource(EVENTS).objects == {}


async def test_of_two_who_count_none_is_lost(api: Api) -> None:
    await api.made(EVENTS_PATH, event("a", count=0))

    async def count(number: int) -> None:
        patch = {"metadata": {"labels": {f"l{number}": "x"}}}
        assert (await api.patch(f"{EVENTS_PATH}/a", patch, STRATEGIC_PATCH)).status_code == 200

    await asyncio.gather(*(count(number) for number in range(5)))
    assert len((await api.get(f"{EVENTS_PATH}/a")).json()["metadata"]["labels"]) == 5


async def test_finalizers_hold_an_event_too(api: Api) -> None:
    made = event("a")
    made["metadata"]["finalizers"] = ["example.com/f"]
    await api.made(EVENTS_PATH, made)
    assert (await api.delete(f"{EVENTS_PATH}/a")).json()["metadata"]["deletionTimestamp"]
    taken = await api.post(EVENTS_PATH, event("a"))
    assert taken.json()["message"] == 'object is being deleted: events "a" already exists'
    await api.patch(f"{EVENTS_PATH}/a", {"metadata": {"finalizers": None}}, STRATEGIC_PATCH)
    assert (await api.get(f"{EVENTS_PATH}/a")).status_code == 404


@pytest.mark.parametrize(
    ("path", "selector", "found"),
    [
        (EVENTS_PATH, "involvedObject.name=web", ["a", "b"]),
        (EVENTS_PATH, "involvedObject.uid=uid-db,type=Warning", ["c"]),
        (EVENTS_PATH, "involvedObject.kind=Pod,type!=Warning", ["a", "d"]),
        (EVENTS_PATH, "reason=Failed", ["b", "c"]),
        (EVENTS_PATH, "reason=", []),
        (EVENTS_PATH, "metadata.name=b", ["b"]),
        (EVENTS_PATH, "metadata.namespace=default,reason=Done", ["a"]),
        (EVENTS_PATH, 'reason=Say "so"', ["d"]),
        (NEW, "regarding.name=web", ["a", "b"]),
        (NEW, "type=Warning", ["b", "c"]),
    ],
)
async def test_field_selectors(api: Api, path: str, selector: str, found: list[str]) -> None:
    await api.made(EVENTS_PATH, event("a"))
    await api.made(EVENTS_PATH, event("b", reason="Failed", kind="Warning"))
    await api.made(EVENTS_PATH, event("c", about="db", reason="Failed", kind="Warning"))
    await api.made(EVENTS_PATH, event("d", about="db", reason='Say "so"'))
    assert names((await api.get(path, params={"fieldSelector": selector})).json()) == found


async def test_an_unknown_field_is_refused(api: Api) -> None:
    refused = await api.get(EVENTS_PATH, params={"fieldSelector": "message=x"})
    assert (refused.status_code, refused.json()["message"]) == (400, "field label not supported: message")


async def test_pages_are_of_one_revision(api: Api) -> None:
    for number in range(7):
        await api.made(EVENTS_PATH, event(f"e{number}"))
    first = (await api.get(EVENTS_PATH, params={"limit": 3})).json()
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["e0", "e1", "e2"], 4)
    await api.delete(f"{EVENTS_PATH}/e4")
    await api.made(EVENTS_PATH, event("e9"))
    second = (await api.get(EVENTS_PATH, params={"limit": 3, "continue": first["metadata"]["continue"]})).json()
    assert names(second) == ["e3", "e4", "e5"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    last = (await api.get(EVENTS_PATH, params={"limit": 3, "continue": second["metadata"]["continue"]})).json()
    assert (names(last), last["metadata"].get("continue")) == (["e6"], None)
    exact = {"resourceVersion": first["metadata"]["resourceVersion"], "resourceVersionMatch": "Exact"}
    assert names((await api.get(EVENTS_PATH, params=exact)).json()) == [f"e{number}" for number in range(7)]
    some = (await api.get(EVENTS_PATH, params={"limit": 1, "fieldSelector": "reason=Done"})).json()
    assert (names(some), some["metadata"].get("remainingItemCount")) == (["e0"], None)
    assert some["metadata"]["continue"]
    everywhere = (await api.get("/api/v1/events", params={"limit": 2})).json()
    assert names((await api.get("/api/v1/events", params={"continue": everywhere["metadata"]["continue"]})).json()) == [
        "e2", "e3", "e5", "e6", "e9",
    ]  # fmt: skip
    future = await api.get(EVENTS_PATH, params={"resourceVersion": api.cache.revision + 50})
    assert future.json()["reason"] == "Timeout"


async def test_tables(api: Api) -> None:
    await api.made(EVENTS_PATH, event("a"))
    table = (await api.client.get(EVENTS_PATH, headers=TABLE)).json()
    assert table["kind"] == "Table"
    assert [row["cells"][1:4] for row in table["rows"]] == [["Normal", "Done", "pod/web"]]


async def test_collections_are_deleted_by_selector(api: Api) -> None:
    await api.made(EVENTS_PATH, event("a"))
    await api.made(EVENTS_PATH, event("b", reason="Failed"))
    deleted = (await api.delete(f"{EVENTS_PATH}?fieldSelector=reason%3DFailed")).json()
    assert names(deleted) == ["b"]
    assert names((await api.get(EVENTS_PATH)).json()) == ["a"]


@pytest.mark.usefixtures("way")
async def test_watches(api: Api) -> None:
    await api.made(EVENTS_PATH, event("old"))
    begin = (await api.get(EVENTS_PATH)).json()["metadata"]["resourceVersion"]
    live = await api.watch(EVENTS_PATH, f"resourceVersion={begin}").start()
    warned = await api.watch(EVENTS_PATH, f"resourceVersion={begin}&fieldSelector=type%3DWarning").start()
    await api.made(EVENTS_PATH, event("a"))
    await api.patch(f"{EVENTS_PATH}/a", {"count": 2}, STRATEGIC_PATCH)
    await api.patch(f"{EVENTS_PATH}/a", {"type": "Warning"}, STRATEGIC_PATCH)
    await api.patch(f"{EVENTS_PATH}/a", {"type": "Normal"}, STRATEGIC_PATCH)
    await api.made("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "other"}})
    await api.delete(f"{EVENTS_PATH}/a")
    told = [("ADDED", "a"), *[("MODIFIED", "a")] * 3, ("DELETED", "a")]
    assert await live.events(5) == told
    assert await warned.events(2) == [("ADDED", "a"), ("DELETED", "a")]
    late = await api.watch(EVENTS_PATH, f"resourceVersion={begin}").start()
    assert await late.events(5) == told
    fresh = await api.watch(EVENTS_PATH, "").start()
    assert await fresh.events(1) == [("ADDED", "old")]
    new = await api.watch(NEW, f"resourceVersion={begin}").start()
    assert (await new.event())["object"]["regarding"]["name"] == "web"
    for stream in (live, warned, late, fresh, new):
        await stream.leave()


@pytest.mark.usefixtures("way")
async def test_a_watch_goes_on_in_another_process(api: Api) -> None:
    other = await Api(api.store.database).open()
    other.pushed = api.pushed
    stream = await other.watch(EVENTS_PATH, "").start()
    for number in range(3):
        await api.made(EVENTS_PATH, event(f"e{number}"))
        assert await stream.events(1) == [("ADDED", f"e{number}")]
    assert names((await other.get(EVENTS_PATH)).json()) == ["e0", "e1", "e2"]
    await stream.leave()
    await other.close()


@pytest.mark.usefixtures("way")
async def test_those_that_expire_are_deleted_in_watches_and_a_watch_from_before_begins_again(api: Api) -> None:
    for number in range(3):
        await api.made(EVENTS_PATH, event(f"e{number}", kind="Warning" if number else "Normal"))
    begin = (await api.get(EVENTS_PATH)).json()["metadata"]["resourceVersion"]
    live = await api.watch(EVENTS_PATH, f"resourceVersion={begin}").start()
    warned = await api.watch(EVENTS_PATH, f"resourceVersion={begin}&fieldSelector=type%3DWarning").start()
    await api.store.expire_events(0.0)
    assert names((await api.get(EVENTS_PATH)).json()) == []
    ended = [("DELETED", f"e{number}") for number in range(3)]
    assert await live.events(3) == ended
    assert await warned.events(2) == ended[1:]
    # who left while it was told is told again, and nothing is missed
    late = await api.watch(EVENTS_PATH, f"resourceVersion={begin}").start()
    assert await late.events(3) == ended
    await api.made(EVENTS_PATH, event("e0"))
    for stream in (live, late):
        assert await stream.events(1) == [("ADDED", "e0")]
    await api.store.expire_events(0.0, grace=0.0)
    gone = await api.watch(EVENTS_PATH, f"resourceVersion={begin}").start()
    assert (await gone.event())["object"]["reason"] == "Expired"
    stale = await api.get(EVENTS_PATH, params={"resourceVersion": begin, "resourceVersionMatch": "Exact"})
    assert (stale.status_code, stale.json()["reason"]) == (410, "Expired")
    for stream in (live, warned, late, gone):
        await stream.leave()


async def test_unwatched_they_are_not_kept_in_memory(api: Api) -> None:
    for number in range(20):
        await api.made(EVENTS_PATH, event(f"e{number}"))
    resource = api.cache.resource(EVENTS)
    assert (resource.events, len(resource.objects)) == ([], 0)


async def test_they_go_with_their_namespace(api: Api) -> None:
    from kafila.reconcile.kubernetes.namespaces import NamespaceController

    controller = NamespaceController(api.registry)
    await controller.start()
    await api.made("/api/v1/namespaces", {"metadata": {"name": "ends"}})
    path = "/api/v1/namespaces/ends/events"
    made = event("a")
    made["metadata"]["namespace"] = made["involvedObject"]["namespace"] = "ends"
    await api.made(path, made)
    stream = await api.watch("/api/v1/events", "").start()
    assert await stream.events(1) == [("ADDED", "a")]
    await api.delete("/api/v1/namespaces/ends")
    assert await stream.events(1) == [("DELETED", "a")]
    assert names((await api.get(path)).json()) == []
    await stream.leave()
    await controller.stop()


async def test_a_collection_goes_in_the_order_of_its_list(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with kube-apiserver's one worker, whichever read the database answers first."""
    original, order = api.registry.store.event, ["e0", "e1", "e2", "e3"]

    async def later_ones_first(namespace: str, name: str) -> Any:
        for _ in range(10 * (len(order) - order.index(name))):
            await asyncio.sleep(0)
        return await original(namespace, name)

    for name in order:
        made = await api.made(EVENTS_PATH, event(name))
    start = made["metadata"]["resourceVersion"]
    monkeypatch.setattr(api.registry.store, "event", later_ones_first)
    assert (await api.delete(EVENTS_PATH)).status_code == 200
    stream = await api.watch(EVENTS_PATH, f"resourceVersion={start}").start()
    assert await stream.events(len(order)) == [("DELETED", name) for name in order]
    await stream.leave()


async def test_those_of_a_namespace_that_ends_are_read_in_pages_and_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all of them go, or are counted where they are held."""
    from kafila.reconcile.kubernetes import namespaces

    monkeypatch.setattr(namespaces, "AT_ONCE", 2)
    read: list[int] = []
    original = api.registry.store.list_events

    async def noted(asked: Any) -> Any:
        page = await original(asked)
        read.append(len(page.objects))
        return page

    await api.made("/api/v1/namespaces", {"metadata": {"name": "ends"}})
    path = "/api/v1/namespaces/ends/events"
    for number in range(5):
        made = event(f"e{number}")
        made["metadata"] |= {"namespace": "ends", "finalizers": ["example.com/held"]}
        made["involvedObject"]["namespace"] = "ends"
        await api.made(path, made)
    controller = namespaces.NamespaceController(api.registry)
    await controller.start()
    monkeypatch.setattr(api.registry.store, "list_events", noted)
    await api.delete("/api/v1/namespaces/ends")
    await controller.queue.idle()
    found = (await api.get("/api/v1/namespaces/ends")).json()["status"]["conditions"]
    told = {each["type"]: each["message"] for each in found}
    assert "events. has 5 resource instances" in told["NamespaceContentRemaining"]
    assert set(read[:4]) == {1, 2}
    assert read == [2, 2, 1, 1] * (len(read) // 4)
    for number in range(5):
        assert (await api.patch(f"{path}/e{number}", {"metadata": {"finalizers": None}})).status_code == 200
    controller.queue.add("ends")
    await controller.queue.idle()
    assert (await api.get("/api/v1/namespaces/ends")).status_code == 404
    await controller.stop()


async def test_those_of_a_namespace_that_ends_go_page_by_page(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one transaction each, unless somebody writes one of them meanwhile: then one by one."""
    from kafila.reconcile.kubernetes import namespaces

    monkeypatch.setattr(namespaces, "AT_ONCE", 4)
    await api.made("/api/v1/namespaces", {"metadata": {"name": "ends"}})
    path = "/api/v1/namespaces/ends/events"
    for number in range(10):
        made = event(f"e{number}")
        made["metadata"]["namespace"] = made["involvedObject"]["namespace"] = "ends"
        await api.made(path, made)
    written: list[int] = []
    commit = api.registry.store.commit

    async def noted(transaction: Transaction) -> list[int]:
        deleted = [write.key.name for write in transaction.writes if write.body is None]
        if "e5" in deleted and len(deleted) > 1:  # its author is quicker
            raise GuardFailed(transaction.guards[0], 99)
        written.append(len(deleted))
        return await commit(transaction)

    monkeypatch.setattr(api.registry.store, "commit", noted)
    controller = namespaces.NamespaceController(api.registry)
    await controller.start()
    stream = await api.watch(path, "").start()
    assert len(await stream.events(10)) == 10
    await api.delete("/api/v1/namespaces/ends")
    await controller.queue.idle()
    assert [each for each in written if each] == [4, 1, 1, 1, 1, 2, 1]  # the last is the namespace
    assert (await api.get("/api/v1/namespaces/ends")).status_code == 404
    assert sorted(await stream.events(10)) == [("DELETED", f"e{number}") for number in range(10)]
    await stream.leave()
    await controller.stop()
