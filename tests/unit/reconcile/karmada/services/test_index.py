"""What is read off a Work: whose slices it asks for, whose slice it holds, and where a copy comes from."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.services.collected import collected_work
from kafila.placement.services.multicluster import dispatched_work, provider_work
from kafila.reconcile.karmada.kinds import WORKS
from kafila.reconcile.karmada.services.copies import Copies, Copy, copy_of
from kafila.reconcile.karmada.services.index import Asking, Service, asking_of, collected_for
from kafila.watch import Entry, Event
from tests.unit.placement.services.test_collected import found
from tests.unit.placement.services.test_multicluster import mcs

EXPORT, MCS = constants.SERVICE_EXPORT_KIND, constants.MCS_KIND


def entry(work: Any, revision: int = 1) -> Entry:
    meta = work["metadata"]
    stored = {field: value for field, value in work.items() if field not in ("apiVersion", "kind")}
    return Entry(Key(WORKS, meta["namespace"], meta["name"]), revision, orjson.dumps(stored))


def exporting(applied: str = "True", labels: Object | None = None, api: str = "multicluster.x-k8s.io/v1alpha1") -> Any:
    manifest = {"apiVersion": api, "kind": "ServiceExport", "metadata": {"name": "web", "namespace": "shop"}}
    return {
        "metadata": {
            "name": "w",
            "namespace": "karmada-es-m1",
            "labels": {constants.RB_PERMANENT_ID: "x"} if labels is None else labels,
        },
        "spec": {"workload": {"manifests": [manifest]}},
        "status": {"conditions": [{"type": "Applied", "status": applied}]},
    }


def test_a_binding_s_work_asks_for_what_is_exported() -> None:
    service = Service("karmada-es-m1", EXPORT, "shop", "web")
    assert asking_of(entry(exporting())) == Asking(service, True)
    assert asking_of(entry(exporting("False"))) == Asking(service, False)


@pytest.mark.parametrize(
    "work",
    [
        exporting(labels={}),
        exporting(labels={"endpointslice.karmada.io/name": "web"}),
        exporting(api="example.com/v1"),
        {**exporting(), "metadata": {**exporting()["metadata"], "namespace": "default"}},
        {**exporting(), "metadata": {**exporting()["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {**exporting(), "spec": {"workload": {"manifests": [{"kind": "ConfigMap", "x": {"kind": "ServiceExport"}}]}}},
    ],
)
def test_no_other_does(work: Any) -> None:
    assert asking_of(entry(work)) is None


def test_a_provider_s_work_asks() -> None:
    work = provider_work(mcs(), "m1")
    assert asking_of(entry(work)) == Asking(Service("karmada-es-m1", MCS, "shop", "web"), True)


def test_whose_slice_a_work_holds() -> None:
    both = collected_work(found(), "m1", "web", (EXPORT, MCS), None)
    assert collected_for(entry(both)) == (
        Service("karmada-es-m1", MCS, "shop", "web"),
        Service("karmada-es-m1", EXPORT, "shop", "web"),
    )
    assert collected_for(entry(exporting())) == ()


def copied(name: str = "web-1", provider: str = "m1", consumer: str = "m2") -> tuple[Any, Key]:
    source = collected_work(found(name), provider, "web", (MCS,), None)
    (held,) = source["spec"]["workload"]["manifests"]
    meta = source["metadata"]
    return (
        dispatched_work(held, provider, consumer, "web", meta["name"]),
        Key(WORKS, meta["namespace"], meta["name"]),
    )


def test_where_a_copy_comes_from() -> None:
    work, source = copied()
    assert copy_of(entry(work)) == Copy(source, ("shop", "web"), ("karmada-es-m2", "shop", "m1-web-1"))
    work["spec"]["workload"]["manifests"][0]["metadata"]["name"] = "other"
    assert copy_of(entry(work)) is None


def test_copies_are_known_until_they_are_gone() -> None:
    copies = Copies()
    one, source = copied()
    two, _ = copied(consumer="m3")
    for work in (one, two):
        assert copies.observe(Event(1, None, entry(work), None)) == {source}
    assert [key.namespace for key in copies.of(source)] == ["karmada-es-m2", "karmada-es-m3"]
    assert copies.sources("shop", "web") == [source] == copies.all_sources()
    target = ("karmada-es-m2", "shop", "m1-web-1")
    assert not copies.others_at(target, source)
    assert copies.others_at(target, source._replace(name="another"))
    for work in (one, two):
        gone = entry(work)
        assert copies.observe(Event(2, gone, None, gone)) == {source}
    assert not copies.of(source)
    assert copies.all_sources() == []
    assert copies.sources("shop", "web") == []
    assert not copies.others_at(target, source._replace(name="another"))
