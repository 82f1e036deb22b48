"""The Works of members' EndpointSlices: labels and finalizers are those of who asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.services.collected import collected_work, managers, work_name

EXPORT, MCS = constants.SERVICE_EXPORT_KIND, constants.MCS_KIND


def found(name: str = "web-1", address: str = "10.0.0.1") -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "uid": "u", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [],
    }


def made(*asked_by: str, existing: Any = None, **of: str) -> Any:
    return collected_work(found(**of), "m1", "web", asked_by, existing)


def test_a_work_for_an_export() -> None:
    work = made(EXPORT)
    meta = work["metadata"]
    permanent_id = meta["labels"].pop("work.karmada.io/permanent-id")
    assert meta["name"] == constants.work_name("EndpointSlice", "web-1", "shop") == work_name("shop", "web-1")
    assert meta["namespace"] == "karmada-es-m1"
    assert meta["finalizers"] == ["karmada.io/endpointslice-controller"]
    assert meta["labels"] == {
        "endpointslice.karmada.io/namespace": "shop",
        "endpointslice.karmada.io/name": "web",
        "endpointslice.karmada.io/managed-by": "ServiceExport",
    }
    assert work["spec"]["suspendDispatching"] is True
    [manifest] = work["spec"]["workload"]["manifests"]
    assert manifest["metadata"]["labels"] == {
        "kubernetes.io/service-name": "web",
        "karmada.io/managed": "true",
        "work.karmada.io/permanent-id": permanent_id,
    }
    assert manifest["metadata"]["annotations"]["resourcetemplate.karmada.io/uid"] == "u"
    assert "uid" not in manifest["metadata"]


def test_a_work_for_a_multi_cluster_service() -> None:
    meta = made(MCS)["metadata"]
    assert meta["finalizers"] == ["karmada.io/mcs-endpointslice-dispatch-controller"]
    assert {key: value for key, value in meta["labels"].items() if key != constants.WORK_PERMANENT_ID} == {
        "multiclusterservice.karmada.io/namespace": "shop",
        "multiclusterservice.karmada.io/name": "web",
        "endpointslice.karmada.io/managed-by": "MultiClusterService",
    }


def test_both_ask_and_one_stops() -> None:
    both = made(EXPORT, MCS, existing=made(EXPORT))
    assert both["metadata"]["labels"]["endpointslice.karmada.io/managed-by"] == "MultiClusterService.ServiceExport"
    assert managers(both["metadata"]["labels"]) == {EXPORT, MCS}
    assert len(both["metadata"]["finalizers"]) == 2
    left = made(MCS, existing=both)
    assert constants.ENDPOINTSLICE_NAME not in left["metadata"]["labels"]
    assert left["metadata"]["labels"][constants.MCS_NAME] == "web"
    assert managers(left["metadata"]["labels"]) == {MCS}
    assert len(left["metadata"]["finalizers"]) == 2  # whoever made something of it lets go


def test_the_same_slice_is_the_same_work() -> None:
    work = made(EXPORT)
    assert made(EXPORT, existing=work) is work
    changed = made(EXPORT, existing=work, address="10.0.0.2")
    assert changed is not work
    assert changed["metadata"]["name"] == work["metadata"]["name"]


def test_nothing_is_shared_with_what_is_kept_of_the_member() -> None:
    given = found()
    collected_work(given, "m1", "web", (EXPORT,), None)
    assert given == found()


@pytest.mark.parametrize(("said", "known"), [
    ("", set()),
    ("ServiceExport", {EXPORT}),
    ("MultiClusterService.ServiceExport", {EXPORT, MCS}),
    ("ServiceExport.MultiClusterService", {EXPORT, MCS}),
    ("else.ServiceExport", {EXPORT}),
])  # fmt: skip
def test_who_has_asked(said: str, known: set[str]) -> None:
    assert managers({constants.ENDPOINTSLICE_MANAGED_BY: said}) == known


def test_a_long_name_gets_a_work_too() -> None:
    name = "a" * 250
    work = made(EXPORT, name=name)
    assert len(work["metadata"]["name"]) <= 253
    assert work["metadata"]["name"] == work_name("shop", name)
