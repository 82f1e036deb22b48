"""ServiceExport and ServiceImport over simulated members: slices of one cluster are in the other, as long as they are exported."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.karmada.services.endpoint_slices import EndpointSlices

from .conftest import Lab

MCS = "multicluster.x-k8s.io/v1alpha1"


def service(name: str = "web", port: int = 80) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
    }


def export(name: str = "web") -> Object:
    return {"apiVersion": MCS, "kind": "ServiceExport", "metadata": {"name": name, "namespace": "default"}}


def importing(name: str = "web", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    metadata = {"name": name, "namespace": "default"}
    return {
        "apiVersion": MCS,
        "kind": "ServiceImport",
        "metadata": metadata,
        "spec": {"type": "ClusterSetIP", "ports": ports, **spec},
    }


def endpoint_slice(name: str = "web-1", of: str = "web", *addresses: str, port: str = "http", **extra: Any) -> Object:
    """As the member's own controller would make it."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {
                "kubernetes.io/service-name": of,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True}} for address in addresses or ("10.1.0.1",)
        ],
        "ports": [{"name": port, "port": 8080, "protocol": "TCP"}],
        **extra,
    }


def policy(lab: Lab, name: str, kind: str, *clusters: str, of: str = "web") -> Object:
    return lab.policy(name, *clusters, select=[{"apiVersion": MCS, "kind": kind, "name": of}])


async def in_member(lab: Lab, member: str, obj: Object) -> None:
    """Made in the member by somebody there."""
    theirs, registry = lab.members[member].registry, lab.registry
    lab.registry = theirs
    try:
        await lab.create(obj)
    finally:
        lab.registry = registry


async def exported(lab: Lab, *members: str) -> None:
    await lab.create(service())
    for member in members:
        await in_member(lab, member, endpoint_slice(f"web-{member}"))
    await lab.create(export())
    await lab.create(policy(lab, "exports", "ServiceExport", *members))
    await lab.rest()


def work(lab: Lab, member: str, name: str = "") -> Object:
    called = constants.work_name("EndpointSlice", name or f"web-{member}", "default")
    return lab.get("Work", called, f"karmada-es-{member}")


async def test_a_slice_of_an_exported_service_is_collected_and_imported(two: Lab) -> None:
    await exported(two, "m1")
    collected = work(two, "m1")
    assert collected["spec"]["suspendDispatching"] is True
    assert collected["metadata"]["finalizers"] == ["karmada.io/endpointslice-controller"]
    labels = dict(collected["metadata"]["labels"])
    permanent_id = labels.pop("work.karmada.io/permanent-id")
    assert labels == {
        "endpointslice.karmada.io/managed-by": "ServiceExport",
        "endpointslice.karmada.io/namespace": "default",
        "endpointslice.karmada.io/name": "web",
    }
    [manifest] = collected["spec"]["workload"]["manifests"]
    assert manifest["metadata"]["labels"]["karmada.io/managed"] == "true"
    assert manifest["endpoints"][0]["addresses"] == ["10.1.0.1"]
    found = two.get("EndpointSlice", "imported-m1-web-m1")
    assert found["metadata"]["labels"] == {
        "work.karmada.io/permanent-id": permanent_id,
        "kubernetes.io/service-name": "derived-web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.karmada.io",
    }
    assert found["metadata"]["annotations"] == {
        "work.karmada.io/namespace": "karmada-es-m1",
        "work.karmada.io/name": collected["metadata"]["name"],
    }
    assert found["endpoints"][0]["addresses"] == ["10.1.0.1"]
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


async def test_an_import_brings_service_and_slices_to_those_who_use_it(two: Lab) -> None:
    await exported(two, "m1")
    await two.create(importing())
    await two.create(policy(two, "imports", "ServiceImport", "m2"))
    await two.until(lambda: two.in_member("m2", "EndpointSlice", "imported-m1-web-m1"))
    await two.rest()
    derived = two.get("Service", "derived-web")
    assert derived["spec"]["type"] == "ClusterIP"
    assert derived["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]
    assert two.in_clusters("Service", "derived-web") == ["m2"]
    assert "ownerReferences" not in two.in_member("m2", "Service", "derived-web")["metadata"]
    assert two.in_clusters("EndpointSlice", "imported-m1-web-m1") == ["m2"]
    there = two.in_member("m2", "EndpointSlice", "imported-m1-web-m1")
    assert there["metadata"]["labels"]["kubernetes.io/service-name"] == "derived-web"
    assert there["endpoints"][0]["addresses"] == ["10.1.0.1"]
    said = [event[1:3] for event in two.events("ServiceImport", "web") if "Derived" in event[1]]
    assert said == [("SyncDerivedServiceSucceed", "Sync derived service for serviceImport(web) succeed.")]

    theirs = two.members["m1"].registry

    def changed(obj: Object) -> Object:
        obj["endpoints"][0]["addresses"] = ["10.1.0.9"]
        return obj

    from .conftest import USER

    await theirs.modify(two.kind("EndpointSlice"), "default", "web-m1", changed, USER)
    await two.until(
        lambda: two.in_member("m2", "EndpointSlice", "imported-m1-web-m1")["endpoints"][0]["addresses"] == ["10.1.0.9"]
    )


async def test_nothing_is_left_when_the_export_goes(two: Lab) -> None:
    await exported(two, "m1")
    await two.create(importing())
    await two.create(policy(two, "imports", "ServiceImport", "m2"))
    await two.until(lambda: two.in_member("m2", "EndpointSlice", "imported-m1-web-m1"))
    await two.delete("ServiceExport", "web")
    await two.rest()
    assert work(two, "m1") == {}
    assert two.get("EndpointSlice", "imported-m1-web-m1") == {}
    assert two.in_clusters("EndpointSlice", "imported-m1-web-m1") == []
    assert two.in_clusters("Service", "derived-web") == ["m2"]
    await two.delete("ServiceImport", "web")
    await two.rest()
    assert two.get("Service", "derived-web") == {}
    assert two.in_clusters("Service", "derived-web") == []


async def test_a_slice_that_goes_in_its_member_goes_everywhere(two: Lab) -> None:
    await exported(two, "m1")
    theirs = two.members["m1"].registry
    from kafila.registry.context import DeleteOptions

    await theirs.delete(two.kind("EndpointSlice"), "default", "web-m1", DeleteOptions())
    await two.until(lambda: not two.get("EndpointSlice", "imported-m1-web-m1"), "the imported slice goes")
    await two.rest()
    assert work(two, "m1") == {}


async def test_a_slice_that_comes_after_its_export_is_collected(two: Lab) -> None:
    await exported(two, "m1")
    await in_member(two, "m1", endpoint_slice("web-2", "web", "10.1.0.2"))
    await in_member(two, "m1", endpoint_slice("other-1", "other", "10.1.0.3"))
    await two.until(lambda: two.get("EndpointSlice", "imported-m1-web-2"))
    await two.rest()
    assert work(two, "m1", "other-1") == {}
    await two.create(export("other"))
    await two.create(policy(two, "other", "ServiceExport", "m1", of="other"))
    await two.until(lambda: two.get("EndpointSlice", "imported-m1-other-1"), "it is listed once more")


async def test_a_cluster_that_leaves_takes_its_slices_along(two: Lab) -> None:
    await exported(two, "m1", "m2")
    await two.until(lambda: two.get("EndpointSlice", "imported-m2-web-m2"))
    await two.delete("Cluster", "m1")
    await two.until(lambda: not two.get("Cluster", "m1") and not two.get("Namespace", "karmada-es-m1"))
    await two.rest()
    assert two.get("EndpointSlice", "imported-m1-web-m1") == {}
    assert two.get("EndpointSlice", "imported-m2-web-m2")


async def test_what_a_member_exports_by_itself_is_not_imported(two: Lab) -> None:
    """Another service is exported there: the slices are followed."""
    await exported(two, "m1")
    await in_member(two, "m1", endpoint_slice("stolen-1", "stolen"))
    await in_member(two, "m1", export("stolen"))
    await in_member(two, "m1", endpoint_slice("web-9", "web", "10.1.0.9"))
    await two.until(lambda: two.get("EndpointSlice", "imported-m1-web-9"))
    await two.rest()
    assert work(two, "m1", "stolen-1") == {}
    assert two.get("EndpointSlice", "imported-m1-stolen-1") == {}


async def test_clusters_that_export_different_ports_are_told_of(two: Lab) -> None:
    await two.create(service())
    await in_member(two, "m1", endpoint_slice("web-m1"))
    await in_member(two, "m2", endpoint_slice("web-m2", port="grpc"))
    await two.create(export())
    await two.create(policy(two, "exports", "ServiceExport", "m1", "m2"))
    await two.until(lambda: two.is_true(two.get("ServiceExport", "web"), "Conflict"))
    said = two.condition(two.get("ServiceExport", "web"), "Conflict")
    text = "the clusters export it with different ports: m1: http/TCP; m2: grpc/TCP"
    assert (said["reason"], said["message"]) == ("PortConflict", text)
    from .conftest import USER

    def mended(obj: Object) -> Object:
        obj["ports"][0]["name"] = "http"
        return obj

    await two.members["m2"].registry.modify(two.kind("EndpointSlice"), "default", "web-m2", mended, USER)
    await two.until(lambda: two.condition(two.get("ServiceExport", "web"), "Conflict").get("status") == "False")
    await two.rest()
    assert ("Warning", "PortConflict", text, 1) in two.events("ServiceExport", "web")


async def test_all_is_made_again_after_a_restart(two: Lab) -> None:
    await exported(two, "m1")
    before = await two.rest()
    await two.restart()
    await two.rest()
    assert [row for row in two.log_after(before) if row[0].startswith("endpointslices")] == []
    await in_member(two, "m1", endpoint_slice("web-2", "web", "10.1.0.2"))
    await two.until(lambda: two.get("EndpointSlice", "imported-m1-web-2"))


async def test_nothing_is_remembered_of_what_is_gone(two: Lab) -> None:
    """A slice was in the way of another one's name, and is taken away; then the export ends."""
    mine = endpoint_slice("imported-m1-web-m1", "else")
    mine["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "staff"
    await two.create(mine)
    await exported(two, "m1")
    said = ("Warning", "EndpointSliceRefused")
    called = constants.work_name("EndpointSlice", "web-m1", "default")
    await two.until(lambda: said in [event[:2] for event in two.events("Work", called)])
    (controller,) = [each for each in two.controllers._controllers if isinstance(each, EndpointSlices)]
    await two.delete("ServiceExport", "web")
    await two.until(lambda: not work(two, "m1"))
    await two.delete("EndpointSlice", "imported-m1-web-m1")
    await two.rest()
    assert (controller._slices, controller._told, controller._ports) == ({}, {}, {})
    await two.create(export())
    await two.until(lambda: two.get("EndpointSlice", "imported-m1-web-m1"))
    await two.delete("ServiceExport", "web")
    await two.rest()
    assert (controller._slices, controller._told, controller._ports) == ({}, {}, {})


async def derived(lab: Lab) -> Object:
    await lab.create(importing())
    await lab.until(lambda: lab.get("Service", "derived-web"))
    await lab.rest()
    return lab.get("Service", "derived-web")


async def test_a_derived_service_belongs_to_its_import(two: Lab) -> None:
    service = await derived(two)
    uid = two.get("ServiceImport", "web")["metadata"]["uid"]
    [owner] = service["metadata"]["ownerReferences"]
    assert (owner["apiVersion"], owner["kind"], owner["name"]) == (MCS, "ServiceImport", "web")
    assert (owner["uid"], owner["controller"]) == (uid, True)
    await two.change("ServiceImport", "web", lambda obj: obj["spec"].update(type="Headless"))
    await two.until(lambda: not two.get("Service", "derived-web"), "a headless one derives nothing")
    await two.change("ServiceImport", "web", lambda obj: obj["spec"].update(type="ClusterSetIP"))
    await two.until(lambda: two.get("Service", "derived-web"))


async def test_an_import_that_goes_while_nobody_looks(two: Lab) -> None:
    await derived(two)
    await two.controllers_stop()
    await two.delete("ServiceImport", "web")
    assert two.get("Service", "derived-web")
    await two.restart()
    await two.until(lambda: not two.get("Service", "derived-web"), "the garbage collector ends it")


async def test_a_service_of_somebody_else_stays_as_it_is(two: Lab) -> None:
    mine = await two.create(service("derived-web", 8080))
    await two.create(importing())
    await two.rest()
    text = "Service default/derived-web is not of this ServiceImport: it is left alone; rename or delete it"
    assert ("Warning", "SyncDerivedServiceFailed", text, 1) in two.events("ServiceImport", "web")
    assert two.get("Service", "derived-web") == mine
    await two.delete("ServiceImport", "web")
    await two.rest()
    assert two.get("Service", "derived-web") == mine
    await two.create(importing())
    await two.delete("Service", "derived-web")
    await two.until(lambda: two.get("Service", "derived-web").get("metadata", {}).get("ownerReferences"))


async def test_a_derived_service_of_an_earlier_version_and_of_karmada_is_taken_over(two: Lab) -> None:
    made = await derived(two)
    kind = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "derived-old", "namespace": "default"}}
    await two.create({**kind, "spec": {"type": "ClusterIP", "ports": made["spec"]["ports"]}})
    before = two.get("Service", "derived-old")
    await two.create(importing("old"))
    await two.until(lambda: two.get("Service", "derived-old")["metadata"].get("ownerReferences"))
    await two.rest()
    assert two.get("Service", "derived-old")["spec"] == before["spec"]
    assert two.get("Service", "derived-old")["metadata"]["uid"] == before["metadata"]["uid"]


async def test_an_import_that_is_made_anew_keeps_its_service(two: Lab) -> None:
    await derived(two)
    await two.controllers_stop()
    await two.delete("ServiceImport", "web")
    await two.create(importing())
    await two.restart()
    uid = two.get("ServiceImport", "web")["metadata"]["uid"]

    def is_of_the_new_one() -> bool:
        meta = two.get("Service", "derived-web").get("metadata", {})
        return [each["uid"] for each in meta.get("ownerReferences") or ()] == [uid]

    await two.until(is_of_the_new_one)
    await two.rest()
    assert is_of_the_new_one()
