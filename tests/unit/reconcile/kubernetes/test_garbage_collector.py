from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.reconcile.kubernetes.garbage_collector import GarbageCollector
from kafila.reconcile.kubernetes.namespaces import NamespaceController
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.watch import Event

USER = Options(manager="tester")


class Cluster:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.kind = registry.kind("", "v1", "configmaps")
        self.garbage = GarbageCollector(registry)
        self.namespaces = NamespaceController(registry)

    async def make(
        self, name: str, *owners: Object, namespace: str = "default", finalizers: Any = (), **labels: str
    ) -> Object:
        metadata: Object = {"name": name, "ownerReferences": list(owners), "labels": labels}
        if finalizers:
            metadata["finalizers"] = list(finalizers)
        obj = decode_object(self.kind, {"metadata": metadata}, USER)
        entry = await self.registry.create(self.kind, namespace, obj, USER)
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": entry.meta.uid}

    async def delete(self, name: str, propagation: Any = "Background", namespace: str = "default") -> None:
        await self.registry.delete(self.kind, namespace, name, DeleteOptions(propagation=propagation))

    async def change(self, name: str, change: Any, namespace: str = "default") -> None:
        def changed(obj: Object) -> Object:
            change(obj["metadata"])
            return obj

        await self.registry.modify(self.kind, namespace, name, changed, USER)

    async def rest(self) -> None:
        for _ in range(20):
            while self.garbage.queue.busy(0.1) or self.namespaces.queue.busy(0.1):
                await asyncio.sleep(0)
            await asyncio.sleep(0)

    def names(self, namespace: str = "default") -> list[str]:
        return [e.key.name for e in self.registry.cache.resource("configmaps").entries(namespace)]

    def owners(self, name: str) -> list[str]:
        entry = self.registry.cache.get("configmaps", "default", name)
        assert entry is not None
        return [r.name for r in entry.meta.ownerReferences or ()]


@pytest.fixture
async def cluster(registry: Registry) -> AsyncIterator[Cluster]:
    found = Cluster(registry)
    await found.garbage.start()
    await found.namespaces.start()
    yield found
    await found.garbage.stop()
    await found.namespaces.stop()


async def test_background(cluster: Cluster) -> None:
    root = await cluster.make("root")
    child = await cluster.make("child", root)
    await cluster.make("grandchild", child)
    await cluster.make("other")
    await cluster.delete("root")
    await cluster.rest()
    assert cluster.names() == ["other"]


async def test_foreground_waits_for_what_blocks(cluster: Cluster) -> None:
    root = await cluster.make("root")
    await cluster.make("blocks", root | {"blockOwnerDeletion": True}, finalizers=["example.com/hold"])
    await cluster.make("lingers", root, finalizers=["example.com/hold"])
    await cluster.delete("root", "Foreground")
    await cluster.rest()
    assert cluster.names() == ["blocks", "lingers", "root"]
    await cluster.change("blocks", lambda m: m.pop("finalizers"))
    await cluster.rest()
    assert cluster.names() == ["lingers"]


async def test_foreground_stops_waiting_when_nothing_blocks_any_more(cluster: Cluster) -> None:
    root = await cluster.make("root")
    await cluster.make("blocks", root | {"blockOwnerDeletion": True}, finalizers=["example.com/hold"])
    await cluster.delete("root", "Foreground")
    await cluster.rest()
    await cluster.change("blocks", lambda m: m["ownerReferences"][0].update(blockOwnerDeletion=False))
    await cluster.rest()
    assert "root" not in cluster.names()


async def test_foreground_spares_what_another_owner_keeps(cluster: Cluster) -> None:
    one, two = await cluster.make("one"), await cluster.make("two")
    await cluster.make("shared", one | {"blockOwnerDeletion": True}, two)
    await cluster.delete("one", "Foreground")
    await cluster.rest()
    assert cluster.names() == ["shared", "two"]
    assert cluster.owners("shared") == ["two"]


async def test_orphans_stay(cluster: Cluster) -> None:
    root = await cluster.make("root")
    await cluster.make("child", root)
    await cluster.delete("root", "Orphan")
    await cluster.rest()
    assert cluster.names() == ["child"]
    assert cluster.owners("child") == []


async def test_the_last_owner_counts(cluster: Cluster) -> None:
    one, two = await cluster.make("one"), await cluster.make("two")
    await cluster.make("child", one, two)
    await cluster.delete("one")
    await cluster.rest()
    assert cluster.owners("child") == ["two"]
    await cluster.delete("two")
    await cluster.rest()
    assert cluster.names() == []


@pytest.mark.parametrize("change", [{"uid": "00000000-0000-0000-0000-000000000000"}, {"name": "nobody"}])
async def test_an_owner_that_never_was(cluster: Cluster, change: Object) -> None:
    root = await cluster.make("root")
    await cluster.make("child", root | change)
    await cluster.rest()
    assert cluster.names() == ["root"]


async def test_a_recreated_owner_is_another_one(cluster: Cluster) -> None:
    root = await cluster.make("root")
    await cluster.make("child", root)
    await cluster.delete("root")
    await cluster.make("root")
    await cluster.rest()
    assert cluster.names() == ["root"]


async def test_owners_of_unknown_kinds_are_believed(cluster: Cluster) -> None:
    root = await cluster.make("root")
    await cluster.make("child", root | {"apiVersion": "example.com/v1", "kind": "Unknown"})
    await cluster.rest()
    assert cluster.names() == ["child", "root"]


async def test_an_owner_in_another_namespace_does_not_exist(cluster: Cluster) -> None:
    root = await cluster.make("root")
    await cluster.make("child", root, namespace="kube-public")
    await cluster.rest()
    assert cluster.names("kube-public") == []


async def test_a_start_finds_what_was_left(cluster: Cluster) -> None:
    root = await cluster.make("root")
    await cluster.make("child", root)
    await cluster.garbage.stop()
    await cluster.delete("root")
    await cluster.garbage.start()
    await cluster.rest()
    assert cluster.names() == []


async def test_others_have_their_turn_while_a_start_looks_at_everything(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kafila.watch.resource.CHUNK", 5)
    root = await cluster.make("root")
    for number in range(40):
        await cluster.make(f"child-{number:02}", root | {"blockOwnerDeletion": True})
    await cluster.garbage.stop()
    start, turns = asyncio.create_task(cluster.garbage.start()), 0
    while not start.done():
        await asyncio.sleep(0)
        turns += 1
        if turns == 3:  # in the middle of it
            await cluster.make("a-late-child", root | {"blockOwnerDeletion": True})
            await cluster.change("child-39", lambda m: m.update(labels={"a": "b"}))
            await cluster.delete("child-38")
            await cluster.delete("root", "Foreground")
    assert turns > 40 / 5
    await cluster.rest()
    assert cluster.names() == []


# -- namespaces --------------------------------------------------------------------------------------------------------


async def namespace(cluster: Cluster, name: str = "gone") -> Any:
    kind = cluster.registry.kind("", "v1", "namespaces")
    await cluster.registry.create(kind, "", decode_object(kind, {"metadata": {"name": name}}, USER), USER)
    return kind


def conditions(cluster: Cluster, name: str = "gone") -> dict[str, tuple[str, str, str]]:
    entry = cluster.registry.cache.get("namespaces", "", name)
    assert entry is not None
    found = (entry.decode().get("status") or {}).get("conditions") or ()
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in found}


async def test_a_namespace_takes_its_content_along(cluster: Cluster) -> None:
    kind = await namespace(cluster)
    for name in ("one", "two"):
        await cluster.make(name, namespace="gone")
    await cluster.registry.delete(kind, "", "gone", DeleteOptions())
    await cluster.rest()
    assert cluster.registry.cache.get("namespaces", "", "gone") is None
    assert cluster.names("gone") == []


async def test_policies_and_bindings_go_after_what_they_placed(cluster: Cluster) -> None:
    """So nothing loses its claim first, by which it is counted (registry/deletions.py), and no template is written once more."""
    registry, asked = cluster.registry, dict[str, None]()
    kind = await namespace(cluster)
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "one"}
    selector = {"apiVersion": "v1", "kind": "Secret"}
    for group, version, plural, spec in (
        ("policy.karmada.io", "v1alpha1", "propagationpolicies", {"resourceSelectors": [selector], "placement": {}}),
        ("work.karmada.io", "v1alpha2", "resourcebindings", {"resource": reference}),
        ("", "v1", "secrets", {}),
    ):
        each = registry.kind(group, version, plural)
        obj = {"apiVersion": each.api_version, "kind": each.kind, "metadata": {"name": "one"}}
        made = decode_object(each, obj | ({"spec": spec} if spec else {}), USER)
        await registry.create(each, "gone", made, USER)

    def note(event: Event) -> None:
        if event.new is None or event.new.meta.deletionTimestamp:
            asked[event.key.resource] = None

    registry.cache.listen_to_all(note)
    await registry.delete(kind, "", "gone", DeleteOptions())
    await cluster.rest()
    assert list(asked)[:2] == ["namespaces", "secrets"]
    assert sorted(list(asked)[2:]) == ["propagationpolicies.policy.karmada.io", "resourcebindings.work.karmada.io"]


async def test_a_namespace_waits_for_finalizers_and_says_so(cluster: Cluster) -> None:
    kind = await namespace(cluster)
    await cluster.make("held", namespace="gone", finalizers=["example.com/hold"])
    await cluster.make("free", namespace="gone")
    await cluster.registry.delete(kind, "", "gone", DeleteOptions())
    await cluster.rest()
    assert cluster.names("gone") == ["held"]
    found = conditions(cluster)
    assert found["NamespaceContentRemaining"] == (
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: configmaps. has 1 resource instances",
    )
    assert found["NamespaceFinalizersRemaining"] == (
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
    )
    assert found["NamespaceDeletionContentFailure"][0] == "False"
    await cluster.change("held", lambda m: m.pop("finalizers"), "gone")
    await cluster.rest()
    assert cluster.registry.cache.get("namespaces", "", "gone") is None


async def test_protected_content_keeps_a_namespace_but_nothing_else(cluster: Cluster) -> None:
    kind = await namespace(cluster)
    label = "resourcetemplate.karmada.io/deletion-protected"
    await cluster.make("protected", namespace="gone", **{label: "Always"})
    await cluster.make("free", namespace="gone")
    await cluster.registry.delete(kind, "", "gone", DeleteOptions())
    await cluster.rest()
    assert cluster.names("gone") == ["protected"]
    failure = conditions(cluster)["NamespaceDeletionContentFailure"]
    assert failure[:2] == ("True", "ContentDeletionFailed")
    assert "protected" in failure[2]
    revision = cluster.registry.cache.revision
    cluster.namespaces.queue.add("gone")
    await cluster.rest()
    assert cluster.registry.cache.revision == revision


async def test_an_owner_that_was_seen_to_go_has_gone_whether_its_kind_is_known_or_not(cluster: Cluster) -> None:
    """A kind goes with its definition, as soon as the last of its objects has gone."""
    root = await cluster.make("root")
    await cluster.make("child", root | {"apiVersion": "example.com/v1", "kind": "Unknown"})
    await cluster.rest()
    await cluster.delete("root")
    await cluster.rest()
    assert cluster.names() == []
