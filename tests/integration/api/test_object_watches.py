"""Watch streams: what is sent, when it ends, and what is left behind."""

from __future__ import annotations

import asyncio

import pytest

from kafila.core.resources import Key
from kafila.store.interface import Transaction, Write

from .conftest import MERGE_PATCH, PATIENCE, Api, configmap, deployment

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(params=[False, True], ids=["alone", "together"], autouse=True)
def way(request: pytest.FixtureRequest, api: Api) -> None:
    """Every watch is served alone, and by the short way that watchers share."""
    api.pushed = request.param


async def revision(api: Api, path: str = CONFIGMAPS) -> str:
    return (await api.get(path)).json()["metadata"]["resourceVersion"]


async def test_changes_after_a_revision(api: Api) -> None:
    start = await revision(api)
    await api.made(CONFIGMAPS, configmap("a"))
    stream = await api.watch(CONFIGMAPS, f"resourceVersion={start}").start()
    assert (stream.status, stream.headers["content-type"]) == (200, "application/json")
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "1"}})
    await api.delete(f"{CONFIGMAPS}/a")
    await api.made("/api/v1/namespaces/kube-system/configmaps", configmap("elsewhere"))
    await api.made(CONFIGMAPS, configmap("b"))
    assert await stream.events(4) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]
    await stream.leave()


async def test_the_deleted_event_carries_the_revision_of_the_deletion(api: Api) -> None:
    made = await api.made(CONFIGMAPS, configmap("a", x="1"))
    stream = api.watch(CONFIGMAPS, f"resourceVersion={made['metadata']['resourceVersion']}")
    await api.delete(f"{CONFIGMAPS}/a")
    event = await stream.event()
    assert event["type"] == "DELETED"
    assert event["object"]["data"] == {"x": "1"}
    assert event["object"]["kind"] == "ConfigMap"
    assert int(event["object"]["metadata"]["resourceVersion"]) == api.cache.revision
    await stream.leave()


async def test_a_new_watch_begins_with_what_is_there(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    for query in ("", "resourceVersion=0"):
        stream = api.watch(CONFIGMAPS, query)
        assert await stream.events(1) == [("ADDED", "a")]
        await stream.leave()


async def test_initial_events_end_with_a_bookmark(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    stream = api.watch(CONFIGMAPS, query)
    assert await stream.events(1) == [("ADDED", "a")]
    bookmark = await stream.event()
    assert bookmark == {
        "type": "BOOKMARK",
        "object": {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {
                "resourceVersion": str(api.cache.revision),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        },
    }
    await api.made(CONFIGMAPS, configmap("b"))
    assert await stream.events(1) == [("ADDED", "b")]
    await stream.leave()


async def test_what_happens_while_the_client_hesitates_is_told_once(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    stream = api.watch(CONFIGMAPS, query)
    stream.window.clear()  # not even the headers are taken
    await api.made(CONFIGMAPS, configmap("b"))
    stream.window.set()
    assert await stream.events(2) == [("ADDED", "a"), ("ADDED", "b")]
    assert (await stream.event())["object"]["metadata"]["resourceVersion"] == str(api.cache.revision)
    await api.made(CONFIGMAPS, configmap("c"))
    assert await stream.events(1) == [("ADDED", "c")]
    await stream.leave()


async def test_options_that_do_not_fit_are_refused(api: Api) -> None:
    for query, text in (
        ("watch=1&sendInitialEvents=true", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ("watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", "forbidden for watch unless sendInitialEvents"),
        ("watch=1&continue=x", "resourceVersionMatch is forbidden when continue is provided"),
    ):
        answer = await api.get(f"{CONFIGMAPS}?{query}")
        assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")
        assert text in answer.json()["message"]
    for query, code in (("watch=1&timeoutSeconds=abc", 400), ("watch=1&resourceVersion=abc", 500)):  # as there
        assert (await api.get(f"{CONFIGMAPS}?{query}")).status_code == code


async def test_a_watch_ends_after_its_timeout_with_a_last_bookmark(api: Api) -> None:
    stream = api.watch(CONFIGMAPS, "timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=1")
    await stream.rest()
    assert stream.ended
    await asyncio.wait_for(stream.task, PATIENCE)


async def test_objects_enter_and_leave_a_selector(api: Api) -> None:
    start = await revision(api)
    stream = api.watch(CONFIGMAPS, f"labelSelector=on%3Dyes&resourceVersion={start}")
    await api.made(CONFIGMAPS, configmap("a", x="1"))
    on = {"metadata": {"labels": {"on": "yes"}}}
    await api.patch(f"{CONFIGMAPS}/a", on)
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "2"}})
    left = await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"on": "no"}}, "data": {"x": "3"}})
    await api.patch(f"{CONFIGMAPS}/a", on)
    assert await stream.events(2) == [("ADDED", "a"), ("MODIFIED", "a")]
    gone = await stream.event()
    assert gone["type"] == "DELETED"
    assert gone["object"]["data"] == {"x": "2"}  # what it was while it was selected
    assert gone["object"]["metadata"]["resourceVersion"] == left.json()["metadata"]["resourceVersion"]
    assert await stream.events(1) == [("ADDED", "a")]
    await stream.leave()


async def test_a_revision_that_is_gone_ends_with_an_error_event(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    await api.store.compact(0)
    resource = api.cache.resource("configmaps")
    resource.events.clear()
    resource.dropped = api.cache.revision
    stream = api.watch(CONFIGMAPS, "resourceVersion=1")
    event = await stream.event()
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: 1 (")
    await stream.rest()
    await stream.task


async def test_what_memory_has_dropped_comes_from_the_log(api: Api) -> None:
    start = await revision(api)
    for i in range(3):
        await api.made(CONFIGMAPS, configmap(f"c-{i}"))
    await api.delete(f"{CONFIGMAPS}/c-1")
    resource = api.cache.resource("configmaps")
    resource.events.clear()
    resource.dropped = api.cache.revision
    stream = api.watch(CONFIGMAPS, f"resourceVersion={start}")
    assert await stream.events(4) == [("ADDED", "c-0"), ("ADDED", "c-1"), ("ADDED", "c-2"), ("DELETED", "c-1")]
    await api.made(CONFIGMAPS, configmap("d"))
    assert await stream.events(1) == [("ADDED", "d")]
    await stream.leave()


async def test_a_slow_reader_loses_nothing_and_holds_nobody_up(api: Api) -> None:
    start = await revision(api)
    slow = await api.watch(CONFIGMAPS, f"resourceVersion={start}").start()
    fast = await api.watch(CONFIGMAPS, f"resourceVersion={start}").start()
    slow.window.clear()
    writes = [
        Write(
            Key("configmaps", "default", f"c-{i:05}"), b'{"metadata":{"name":"c-%05d","namespace":"default"}}' % i, "u"
        )
        for i in range(6000)  # more than memory keeps
    ]
    for first in range(0, len(writes), 500):
        await api.store.commit(Transaction([], writes[first : first + 500]))
    expected = [("ADDED", f"c-{i:05}") for i in range(6000)]
    assert await fast.events(6000) == expected
    slow.window.set()
    assert await slow.events(6000) == expected
    await slow.leave()
    await fast.leave()


async def test_a_client_that_leaves_takes_its_tasks_along(api: Api) -> None:
    before = set(asyncio.all_tasks())
    streams = [await api.watch(CONFIGMAPS).start() for _ in range(20)]
    slow = await api.watch(CONFIGMAPS).start()
    slow.window.clear()
    await api.made(CONFIGMAPS, configmap("a"))
    for stream in (*streams, slow):
        await stream.leave()
    await asyncio.sleep(0)
    assert set(asyncio.all_tasks()) <= before
    assert len(api.cache.resource("configmaps").waiters) == 0


async def test_the_server_ends_watches_when_it_stops(api: Api) -> None:
    stream = await api.watch(CONFIGMAPS).start()
    api.app.draining.set()
    await stream.rest()
    await stream.task


async def test_tables_send_their_columns_once(api: Api) -> None:
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    stream = api.watch("/apis/apps/v1/namespaces/default/deployments", accept=accept)
    for name in ("a", "b"):
        await api.made("/apis/apps/v1/namespaces/default/deployments", deployment(name))
    first, second = await stream.event(), await stream.event()
    assert first["object"]["kind"] == second["object"]["kind"] == "Table"
    assert [c["name"] for c in first["object"]["columnDefinitions"]][:2] == ["Name", "Ready"]
    assert second["object"]["columnDefinitions"] is None
    assert first["object"]["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    await stream.leave()


async def test_metadata_streams(api: Api) -> None:
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    stream = api.watch(CONFIGMAPS, accept=accept)
    await api.made(CONFIGMAPS, configmap("a", x="1"))
    event = await stream.event()
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert "data" not in event["object"]
    await stream.leave()


async def test_old_watch_paths(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    await api.made(CONFIGMAPS, configmap("b"))
    stream = api.watch("/api/v1/watch/namespaces/default/configmaps/b")
    assert await stream.events(1) == [("ADDED", "b")]
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "1"}})
    await api.patch(f"{CONFIGMAPS}/b", {"data": {"x": "1"}}, type=MERGE_PATCH)
    assert await stream.events(1) == [("MODIFIED", "b")]
    await stream.leave()


async def test_a_single_object_is_not_watched_by_the_parameter(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    assert (await api.get(f"{CONFIGMAPS}/a?watch=true")).json()["kind"] == "ConfigMap"
