from __future__ import annotations

import asyncio

import pytest

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.reconcile import events
from kafila.reconcile.events import BURST, REMEMBERED, NewEvent, Recorder, event_name
from kafila.reconcile.karmada.event_sources import source_of
from kafila.reconcile.karmada.template.events import committed_with
from kafila.registry import Options, Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change
from kafila.store.interface import Transaction


def about(name: str = "web", uid: str = "u1") -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "uid": uid},
    }


async def stored(registry: Registry) -> list[Object]:
    kind = registry.kind("", "v1", "events")
    return [decode_entry(kind, entry) for entry in (await registry.storage(kind.resource).all(kind, ""))[0]]


async def written(recorder: Recorder) -> None:
    while recorder.busy():
        await asyncio.sleep(0)


async def test_shape(registry: Registry) -> None:
    recorder = Recorder(registry, "tester")
    recorder.start()
    recorder.event(about(), "Normal", "Done", "all is well")
    await written(recorder)
    (event,) = await stored(registry)
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "namespace": "default",
        "uid": "u1",
    }
    assert event["metadata"]["name"].startswith("web.")
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Normal", "Done", "all is well", 1)
    assert event["source"] == {"component": "tester"}
    await recorder.stop()


async def test_its_fields_have_the_owner_that_any_writer_of_them_gets(registry: Registry) -> None:
    recorder = Recorder(registry, "tester")
    recorder.start()
    recorder.event(about(), "Normal", "Done", "all is well")
    await written(recorder)
    (event,) = await stored(registry)
    (owner,) = event["metadata"]["managedFields"]
    kind, options = registry.kind("", "v1", "events"), Options(manager="tester")
    same = event | {"metadata": {"name": "same", "namespace": "default"}}
    other = decode_entry(kind, await registry.create(kind, "default", same, options))
    assert other["metadata"]["managedFields"] == [owner | {"time": other["metadata"]["creationTimestamp"]}]
    recorder.event(about(), "Normal", "Done", "all is well")
    await written(recorder)
    (counted,) = [found for found in await stored(registry) if found["count"] == 2]
    assert [entry["fieldsV1"] for entry in counted["metadata"]["managedFields"]] == [owner["fieldsV1"]]
    await recorder.stop()


async def test_a_namespace_that_is_gone_takes_no_other_events_along(registry: Registry) -> None:
    recorder = Recorder(registry, "tester")
    recorder.start()
    there, gone = about("there"), about("gone")
    gone["metadata"]["namespace"] = "gone"
    for obj in (there, gone, about("too")):
        recorder.event(obj, "Normal", "Done", "all is well")
    await written(recorder)
    assert {event["involvedObject"]["name"] for event in await stored(registry)} == {"there", "too"}
    await recorder.stop()


async def test_one_is_counted_though_the_new_ones_beside_it_push_it_out(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 2)
    recorder = Recorder(registry, "tester")
    recorder.start()
    recorder.event(about("a"), "Normal", "Done", "all is well")
    await written(recorder)
    for name in ("b", "c", "d", "a"):
        recorder.event(about(name), "Normal", "Done", "all is well")
    await written(recorder)
    counts = {event["involvedObject"]["name"]: event["count"] for event in await stored(registry)}
    assert counts == {"a": 2, "b": 1, "c": 1, "d": 1}
    await recorder.stop()


async def test_events_name_the_controller_that_karmada_has_for_it(registry: Registry) -> None:
    recorder = Recorder(registry, source_of=source_of)
    recorder.start()
    cluster_scoped = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    for obj, reason in (
        (about(), "SyncWorkSucceed"),
        (cluster_scoped, "SyncWorkSucceed"),
        (about(), "ScheduleBindingFailed"),
        (about(), "Unheard"),
    ):
        recorder.event(obj, "Normal", reason, "text")
    await written(recorder)
    assert {(e["reason"], e["source"]["component"], e["reportingComponent"]) for e in await stored(registry)} == {
        ("SyncWorkSucceed", "binding-controller", "binding-controller"),
        ("SyncWorkSucceed", "cluster-resource-binding-controller", "cluster-resource-binding-controller"),
        ("ScheduleBindingFailed", "default-scheduler", "default-scheduler"),
        ("Unheard", "kafila", "kafila"),
    }
    await recorder.stop()


async def test_equal_ones_are_counted_whether_written_or_waiting(registry: Registry) -> None:
    recorder = Recorder(registry)
    recorder.start()
    for _ in range(3):
        recorder.event(about(), "Normal", "Done", "same")
    await written(recorder)
    recorder.event(about(), "Normal", "Done", "same")
    recorder.event(about(uid="u2"), "Normal", "Done", "same")
    await written(recorder)
    assert sorted(e["count"] for e in await stored(registry)) == [1, 4]
    await recorder.stop()


async def test_one_that_expired_is_written_anew(registry: Registry) -> None:
    recorder = Recorder(registry)
    recorder.start()
    recorder.event(about(), "Normal", "Done", "same")
    await written(recorder)
    await registry.store.expire_events(0.0)
    assert await stored(registry) == []
    recorder.event(about(), "Normal", "Done", "same")
    await written(recorder)
    assert [e["count"] for e in await stored(registry)] == [1]
    await recorder.stop()


async def test_similar_ones_are_combined(registry: Registry) -> None:
    recorder = Recorder(registry)
    recorder.start()
    for number in range(15):
        recorder.event(about(), "Warning", "Failed", f"attempt {number}")
        await written(recorder)
    found = await stored(registry)
    assert len(found) == 10
    combined = [e for e in found if e["message"].startswith("(combined from similar events): ")]
    assert [e["count"] for e in combined] == [6]
    await recorder.stop()


async def test_a_flood_is_dropped_per_object(registry: Registry) -> None:
    recorder = Recorder(registry)
    recorder.start()
    for _ in range(int(BURST) + 20):
        recorder.event(about(), "Warning", "Failed", "again")
    recorder.event(about("other", "u2"), "Normal", "Done", "fine")
    await written(recorder)
    counts = {e["involvedObject"]["name"]: e["count"] for e in await stored(registry)}
    assert counts == {"web": int(BURST), "other": 1}
    await recorder.stop()


async def test_memory_is_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUEUE_LIMIT", 50)
    recorder = Recorder(registry)
    for number in range(REMEMBERED + 100):
        recorder.event(about(f"o{number}", f"u{number}"), "Normal", "Done", "x")
    assert len(recorder._pending) == 50
    assert len(recorder._buckets) == REMEMBERED
    assert len(recorder._similar) == REMEMBERED


@pytest.mark.parametrize(("name", "kept"), [("web", True), ("a.b", True), ("system:node", False), ("x" * 251, False)])
def test_names(name: str, kept: bool) -> None:
    assert event_name(name, 255).startswith(f"{name}.") is kept


class Transactions:
    """Counts what is committed, by the resources that are written together."""

    def __init__(self, registry: Registry) -> None:
        self.seen: list[list[str]] = []
        self._commit = registry.store.commit
        registry.store.commit = self.commit  # type: ignore[method-assign]

    async def commit(self, transaction: Transaction) -> list[int]:
        self.seen.append([write.key.resource for write in transaction.writes])
        return await self._commit(transaction)


async def test_events_of_a_commit_are_written_with_it(registry: Registry) -> None:
    recorder = Recorder(registry)
    recorder.start()
    kind = registry.kind("", "v1", "configmaps")

    def change(name: str) -> Change:
        return registry.stage_create(kind, "default", {"metadata": {"name": name, "namespace": "default"}}, Options())

    transactions = Transactions(registry)
    told = [NewEvent(about(), "Normal", "Made", "first"), NewEvent(about(), "Normal", "Made", "second")]
    await committed_with(registry, [change("a")], recorder.enclosed(told))
    assert transactions.seen == [["configmaps", "events", "events"]]
    # what is known is counted, in the background
    await committed_with(
        registry, [change("b")], recorder.enclosed([*told, NewEvent(about(), "Normal", "Made", "third")])
    )
    assert transactions.seen[1] == ["configmaps", "events"]
    await written(recorder)
    assert {e["message"]: e["count"] for e in await stored(registry)} == {"first": 2, "second": 2, "third": 1}
    # what failed is not told
    with pytest.raises(StatusError):
        await committed_with(
            registry, [change("a")], recorder.enclosed([NewEvent(about("new"), "Normal", "Made", "no")])
        )
    await written(recorder)
    assert "no" not in {e["message"] for e in await stored(registry)}
    await recorder.stop()


async def test_an_event_that_cannot_be_recorded_keeps_nothing_from_being_done(registry: Registry) -> None:
    recorder = Recorder(registry)
    kind = registry.kind("", "v1", "namespaces")
    change = registry.stage_create(kind, "", {"metadata": {"name": "made"}}, Options())
    elsewhere = about() | {"metadata": {"name": "web", "namespace": "gone", "uid": "u"}}
    enclosed = recorder.enclosed([NewEvent(elsewhere, "Normal", "Made", "text")])
    assert len(enclosed.changes) == 1
    await committed_with(registry, [change], enclosed)
    assert registry.cache.get("namespaces", "", "made") is not None
    assert await stored(registry) == []
