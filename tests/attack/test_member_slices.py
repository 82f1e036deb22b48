"""EndpointSlices of hostile members and agents: nothing of another's is replaced, no other service gets their endpoints, and too much is
not taken, while what others do goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.placement import constants
from kafila.registry.context import DeleteOptions
from kafila.store.interface import Transaction, Write
from tests.integration.reconcile.conftest import Lab
from tests.integration.reconcile.test_exported_services import (
    endpoint_slice,
    export,
    in_member,
    policy,
    service,
    work,
)
from tests.integration.reconcile.test_multi_cluster_services import shared


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Service ``web`` is exported by m1, whose slices the tests make; members m1 and m2."""
    found = await Lab(feature_gates="MultiClusterService=true").start()
    await found.join("m1", "m2")
    await found.create(service())
    await in_member(found, "m1", endpoint_slice("web-good"))
    await found.create(export())
    await found.create(policy(found, "exports", "ServiceExport", "m1"))
    await found.until(lambda: found.get("EndpointSlice", "imported-m1-web-good"))
    yield found
    await found.close()


async def sent(
    lab: Lab, member: str, name: str, namespace: str = "default", metadata: Object | None = None, **changes: Any
) -> None:
    """What no API server would have let in."""
    obj, uid = {**endpoint_slice(name), **changes}, f"uid-{len(name)}"
    head = {**obj["metadata"], "namespace": namespace, "uid": uid, **(metadata or {})}
    content = {field: value for field, value in obj.items() if field not in ("metadata", "kind", "apiVersion")}
    key = Key("endpointslices.discovery.k8s.io", namespace, name)
    write = Write(key, orjson.dumps({"metadata": head, **content}), uid, False)
    await lab.members[member].registry.store.commit(Transaction([], [write]))


async def still_collected(lab: Lab) -> None:
    await in_member(lab, "m1", endpoint_slice("web-later"))
    await lab.until(lambda: lab.get("EndpointSlice", "imported-m1-web-later"))
    await lab.rest()
    assert lab.is_true(lab.get("Cluster", "m1"), "Ready")


def imported(lab: Lab) -> set[str]:
    return {each["metadata"]["name"] for each in lab.list("EndpointSlice")} - {"kubernetes"}


def refusals(lab: Lab, kind: str = "ServiceExport") -> list[str]:
    return [event[2] for event in lab.events(kind, "web") if event[1] == "EndpointSliceRefused"]


@pytest.mark.parametrize("name", ["../../secrets/token", "UPPER", "a" * 254, "a/b"])
async def test_names_that_are_none(lab: Lab, name: str) -> None:
    await sent(lab, "m1", name)
    await still_collected(lab)
    assert imported(lab) == {"imported-m1-web-good", "imported-m1-web-later"}
    assert any("its name is no name of an EndpointSlice" in text for text in refusals(lab))


async def test_labels_and_annotations_of_others(lab: Lab) -> None:
    theirs = work(lab, "m1", "web-good")["metadata"]["labels"][constants.WORK_PERMANENT_ID]
    labels = {
        "kubernetes.io/service-name": "web",
        constants.MANAGED: "true",
        constants.WORK_PERMANENT_ID: theirs,
        constants.RB_PERMANENT_ID: "another",
        constants.PP_PERMANENT_ID: "another",
        constants.DELETION_PROTECTED: "Always",
    }
    notes = {
        constants.WORK_NAMESPACE: "karmada-es-m2",
        constants.WORK_NAME: "another",
        constants.PROVISION_CLUSTER: "m2",
    }
    await sent(lab, "m1", "web-evil", metadata={"labels": labels, "annotations": notes, "finalizers": ["a/b"]})
    await lab.until(lambda: lab.get("EndpointSlice", "imported-m1-web-evil"))
    await lab.rest()
    found = lab.get("EndpointSlice", "imported-m1-web-evil")["metadata"]
    assert found["labels"].keys() == {
        constants.WORK_PERMANENT_ID,
        "kubernetes.io/service-name",
        "endpointslice.kubernetes.io/managed-by",
    }
    assert found["labels"][constants.WORK_PERMANENT_ID] != theirs
    assert found["annotations"] == {
        constants.WORK_NAMESPACE: "karmada-es-m1",
        constants.WORK_NAME: work(lab, "m1", "web-evil")["metadata"]["name"],
    }
    assert "finalizers" not in found
    collected = work(lab, "m1", "web-evil")["metadata"]["labels"]
    assert not collected.keys() & {constants.RB_PERMANENT_ID, constants.PP_PERMANENT_ID, constants.DELETION_PROTECTED}


async def test_a_hundred_thousand_endpoints(lab: Lab) -> None:
    await sent(lab, "m1", "web-huge", endpoints=[{"addresses": ["10.0.0.1"]}] * 100_000)
    await lab.until(lambda: refusals(lab))
    (text,) = refusals(lab)
    assert text == (
        "EndpointSlice(default/web-huge) of cluster m1 is not taken: it has 100000 endpoints, of which an EndpointSlice "
        "has 1000 at most"
    )
    await still_collected(lab)
    assert work(lab, "m1", "web-huge") == {}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "localhost", "224.0.0.1"])
async def test_addresses_of_whoever_asks(lab: Lab, address: str) -> None:
    await sent(lab, "m1", "web-near", endpoints=[{"addresses": [address]}])
    await lab.until(lambda: refusals(lab))
    assert address in refusals(lab)[0]
    await still_collected(lab)
    assert work(lab, "m1", "web-near") == {}


@pytest.mark.parametrize("changes", [{"endpoints": "x"}, {"ports": [1]}, {"endpoints": [{"addresses": {"a": 1}}]}])
async def test_shapes_that_are_none(lab: Lab, changes: Object) -> None:
    await sent(lab, "m1", "web-odd", **changes)
    await lab.until(lambda: refusals(lab))
    await still_collected(lab)
    assert work(lab, "m1", "web-odd") == {}


async def test_a_slice_that_becomes_bad_is_taken_back(lab: Lab) -> None:
    await sent(lab, "m1", "web-good", endpoints=[{"addresses": ["127.0.0.1"]}])
    await lab.until(lambda: not lab.get("EndpointSlice", "imported-m1-web-good"))
    await lab.rest()
    assert work(lab, "m1", "web-good") == {}


async def test_a_work_of_another_object_is_not_replaced(lab: Lab) -> None:
    name = constants.work_name("EndpointSlice", "web-taken", "default")
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}}
    await lab.create(
        {
            "apiVersion": "work.karmada.io/v1alpha1",
            "kind": "Work",
            "metadata": {"name": name, "namespace": "karmada-es-m1"},
            "spec": {"workload": {"manifests": [manifest]}, "suspendDispatching": True},
        }
    )
    await in_member(lab, "m1", endpoint_slice("web-taken"))
    await still_collected(lab)
    (held,) = work(lab, "m1", "web-taken")["spec"]["workload"]["manifests"]
    assert held["kind"] == "ConfigMap"
    assert "imported-m1-web-taken" not in imported(lab)
    assert any(f"the Work karmada-es-m1/{name} is another object's" in text for text in refusals(lab))


def forged(name: str, labels: Object, cluster: str = "m1", namespace: str = "default", **manifest: Any) -> Object:
    """What an agent may write into its own namespace."""
    return {
        "apiVersion": "work.karmada.io/v1alpha1",
        "kind": "Work",
        "metadata": {"name": name, "namespace": f"karmada-es-{cluster}", "labels": labels},
        "spec": {
            "suspendDispatching": True,
            "workload": {
                "manifests": [
                    {
                        **endpoint_slice(name),
                        "metadata": {
                            "name": name,
                            "namespace": namespace,
                            "labels": {"kubernetes.io/service-name": "web"},
                        },
                        **manifest,
                    }
                ]
            },
        },
    }


async def test_an_agent_that_exports_by_itself(lab: Lab) -> None:
    """Neither another's service, nor one that it says it exports: only what a binding has brought there."""
    labels = {
        constants.ENDPOINTSLICE_MANAGED_BY: "ServiceExport",
        constants.ENDPOINTSLICE_NAMESPACE: "default",
        constants.ENDPOINTSLICE_NAME: "web",
    }
    await lab.create(forged("forged", labels, "m2"))  # m2 does not export it
    said = {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport"}
    export_work = forged("said", {"mine": "x"}, "m2")
    export_work["spec"]["workload"]["manifests"] = [{**said, "metadata": {"name": "web", "namespace": "default"}}]
    await lab.create(export_work)
    await lab.create(forged("elsewhere", {**labels, constants.ENDPOINTSLICE_NAMESPACE: "kube-system"}))
    await lab.create(forged("system", labels, namespace="kube-system"))
    await lab.create(forged("secret", labels, kind="Secret", apiVersion="v1"))
    await still_collected(lab)
    assert imported(lab) == {"imported-m1-web-good", "imported-m1-web-later"}


async def test_an_agent_that_provides_by_itself(lab: Lab) -> None:
    """m2 is no provider, and m1 only of its own namespace's service."""
    await lab.create(shared(("m1",), ("m1", "m2")))
    await lab.until(lambda: lab.in_member("m2", "EndpointSlice", "m1-web-good"))
    labels = {
        constants.ENDPOINTSLICE_MANAGED_BY: "MultiClusterService",
        constants.MCS_NAMESPACE: "default",
        constants.MCS_NAME: "web",
    }
    await lab.create(forged("forged", labels, "m2"))
    await lab.create(forged("system", labels, namespace="kube-system"))
    await lab.create(forged("secret", labels, kind="Secret", apiVersion="v1"))
    await still_collected(lab)
    for member in ("m1", "m2"):
        there = {each["metadata"]["name"] for each in lab.list("EndpointSlice", lab.members[member].registry)} - {
            "kubernetes"
        }
        assert there <= {"web-good", "web-later", "m1-web-good", "m1-web-later"}
        assert not lab.in_member(member, "Secret", "m1-secret")


async def test_two_clusters_whose_slices_would_have_one_name(lab: Lab) -> None:
    """``m1`` with ``a-x`` and ``m1-a`` with ``x``: who comes later replaces nothing, neither here nor at a consumer."""
    await lab.join("m1-a")
    await in_member(lab, "m1-a", endpoint_slice("x", "web", "10.9.0.1"))
    await lab.change(
        "PropagationPolicy",
        "exports",
        lambda obj: obj["spec"]["placement"]["clusterAffinity"].update(clusterNames=["m1", "m1-a"]),
    )
    await lab.create(shared(("m1", "m1-a"), ("m2",)))
    await lab.until(lambda: lab.get("EndpointSlice", "imported-m1-a-x"))
    await lab.until(lambda: lab.in_member("m2", "EndpointSlice", "m1-a-x"))
    await in_member(lab, "m1", endpoint_slice("a-x", "web", "10.6.6.6"))
    await lab.until(lambda: work(lab, "m1", "a-x"))
    await lab.rest()
    for found in (lab.get("EndpointSlice", "imported-m1-a-x"), lab.in_member("m2", "EndpointSlice", "m1-a-x")):
        assert found["endpoints"][0]["addresses"] == ["10.9.0.1"]
    assert any("comes from another cluster too" in text for text in refusals(lab, "MultiClusterService"))
    name = work(lab, "m1", "a-x")["metadata"]["name"]
    assert ("Warning", "EndpointSliceRefused") in [event[:2] for event in lab.events("Work", name)]


async def test_more_slices_than_are_collected(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from kafila.reconcile.karmada.services import collector

    monkeypatch.setattr(collector, "MOST", 2)
    for number in range(4):
        await in_member(lab, "m1", endpoint_slice(f"web-{number}"))
    await lab.until(lambda: refusals(lab))
    await lab.rest()
    assert len([each for each in lab.list("Work") if constants.ENDPOINTSLICE_NAME in each["metadata"]["labels"]]) == 2
    assert "2 EndpointSlices of this cluster are collected already" in refusals(lab)[0]
    before = imported(lab)
    assert len(before) == 2
    await gone(lab, "m1", *(name.removeprefix("imported-m1-") for name in before))
    await lab.until(lambda: len(imported(lab) - before) == 2, "those for which there was no room")


async def gone(lab: Lab, member: str, *names: str) -> None:
    for name in names:
        await lab.members[member].registry.delete(lab.kind("EndpointSlice"), "default", name, DeleteOptions())


async def test_more_slices_than_are_taken_whoever_collects_them(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pull mode it is the cluster's own agent that collects."""
    from kafila.reconcile.karmada.services import taken

    monkeypatch.setattr(taken, "MOST", 2)
    await lab.create(shared(("m1",), ("m2",)))
    for number in range(4):
        await in_member(lab, "m1", endpoint_slice(f"web-{number}"))

    def collected() -> int:
        return len([each for each in lab.list("Work") if constants.ENDPOINTSLICE_NAME in each["metadata"]["labels"]])

    def brought() -> set[str]:
        there = {each["metadata"]["name"] for each in lab.list("EndpointSlice", lab.members["m2"].registry)}
        return {name for name in there if name.startswith("m1-")}

    await lab.until(lambda: collected() == 5 and refusals(lab) and refusals(lab, "MultiClusterService"))
    await lab.rest()
    told = "EndpointSlices of cluster m1 are not taken: 2 of this cluster are taken already"
    assert (refusals(lab), refusals(lab, "MultiClusterService")) == ([told], [told])
    before = imported(lab)
    assert len(before) == 2
    at_consumer = brought()
    assert len(at_consumer) == 2
    await lab.controllers_stop()  # whoever leads next takes the same
    await lab.restart()
    await lab.rest()
    assert (imported(lab), brought()) == (before, at_consumer)
    here = {name.removeprefix("imported-m1-") for name in before}
    await gone(lab, "m1", *(here | {name.removeprefix("m1-") for name in at_consumer}))
    await lab.until(lambda: imported(lab) and not imported(lab) & before, "others have their places")
    await lab.until(lambda: brought() and not brought() & at_consumer)
