"""A MultiClusterService: clusters, the claim on its Service, its binding and Works."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.detector.binding import BindingError, OwnerMismatch
from kafila.placement.services import multicluster as mc
from kafila.placement.services.collected import collected_work, uncollected

from .test_collected import found


def mcs(providers: Any = ("m1",), consumers: Any = ("m2",), **spec: Any) -> Object:
    return {
        "apiVersion": "networking.karmada.io/v1alpha1",
        "kind": "MultiClusterService",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "mcs-uid",
            "resourceVersion": "5",
            "finalizers": ["f"],
            "labels": {constants.MCS_PERMANENT_ID: "mcs-id"},
        },
        "spec": {
            "types": ["CrossCluster"],
            "providerClusters": [{"name": each} for each in providers],
            "consumerClusters": [{"name": each} for each in consumers],
            **spec,
        },
        "status": {"conditions": []},
    }


def service(**meta: Any) -> Object:
    head = {"name": "web", "namespace": "shop", "uid": "s", "resourceVersion": "9", **meta}
    return {"apiVersion": "v1", "kind": "Service", "metadata": head, "spec": {"ports": [{"port": 80}]}}


@pytest.mark.parametrize(("named", "allowed", "wanted"), [
    (("m1",), None, {"m1"}),
    (("m1", "gone"), None, {"m1", "gone"}),
    ((), None, {"m1", "m2", "m3"}),
    ((), frozenset({"m2"}), {"m2"}),
    (("m1", "m2"), frozenset({"m2"}), {"m2"}),
    (("m1",), frozenset({"m2"}), set()),
])  # fmt: skip
def test_clusters(named: Any, allowed: Any, wanted: Any) -> None:
    everything = ("m1", "m2", "m3")
    assert mc.providers(mcs(named), everything, allowed) == wanted
    assert mc.consumers(mcs((), named), everything, allowed) == wanted


def test_clusters_that_are_not_allowed_are_named() -> None:
    assert mc.not_allowed(mcs(), None) == ""
    assert mc.not_allowed(mcs(), frozenset({"m1", "m2"})) == ""
    assert "cluster(s) m2" in mc.not_allowed(mcs(), frozenset({"m1"}))
    assert mc.not_allowed(mcs((), ()), frozenset({"m1"})) == ""


def cluster(ready: str = "True", complete: str = "True", served: bool = True) -> Any:
    groups = [{"groupVersion": "discovery.k8s.io/v1", "resources": [{"name": "e", "kind": "EndpointSlice"}]}]
    conditions = [{"type": "Ready", "status": ready}, {"type": "CompleteAPIEnablements", "status": complete}]
    return {"metadata": {"name": "m1"}, "spec": {}, "status": {
        "conditions": conditions, "apiEnablements": groups if served else []}}  # fmt: skip


@pytest.mark.parametrize(("state", "wanted"), [
    (None, ("ClusterNotFound", "Provider cluster m1 is not found")),
    (cluster("False"), ("SyncServiceFailed", "Provider cluster m1 is not ready, skip to propagate MultiClusterService")),
    (cluster(served=False), ("APIIncompatible", "Provider cluster m1 does not support EndpointSlice")),
    (cluster(complete="False", served=False), None),
    (cluster(), None),
])  # fmt: skip
def test_clusters_that_cannot_be_used(state: Any, wanted: Any) -> None:
    assert mc.unusable(state, "m1", "Provider", "MultiClusterService") == wanted


def test_the_claim_on_a_service() -> None:
    labels = {"app": "web", constants.PP_PERMANENT_ID: "p", constants.CPP_PERMANENT_ID: "c"}
    notes = {constants.PP_NAME: "p", constants.PP_NAMESPACE: "shop", constants.CPP_NAME: "c", "theirs": "x"}
    claimed = mc.claimed_service(service(labels=labels, annotations=notes), mcs())
    assert claimed["metadata"]["labels"] == {
        "app": "web",
        "resourcetemplate.karmada.io/claimed-by": "MultiClusterService",
        "multiclusterservice.karmada.io/permanent-id": "mcs-id",
    }
    assert claimed["metadata"]["annotations"] == {
        "theirs": "x",
        "multiclusterservice.karmada.io/name": "web",
        "multiclusterservice.karmada.io/namespace": "shop",
    }
    assert mc.claimed_service(claimed, mcs()) is claimed
    assert mc.is_claimed_by(claimed, mcs())
    back = mc.given_back(claimed)
    assert back["metadata"]["labels"] == {"app": "web"}
    assert mc.given_back(back) is back


def test_its_binding() -> None:
    made = mc.service_binding(service(), mcs(), {"m2", "m1"})
    meta = made["metadata"]
    assert (meta["name"], meta["namespace"]) == ("web-service", "shop")
    assert meta["labels"].pop("resourcebinding.karmada.io/permanent-id")
    assert meta["labels"] == {
        "binding.karmada.io/managed-by": "MultiClusterService",
        "multiclusterservice.karmada.io/permanent-id": "mcs-id",
    }
    assert meta["ownerReferences"] == [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "s"}]
    assert meta["finalizers"] == ["karmada.io/binding-controller"]
    assert made["spec"] == {
        "resource": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": "shop",
            "name": "web",
            "uid": "s",
            "resourceVersion": "9",
        },
        "placement": {"clusterAffinity": {"clusterNames": ["m1", "m2"]}},
        "conflictResolution": "Overwrite",
    }


def test_what_others_decide_of_the_binding_stays() -> None:
    made = mc.service_binding(service(), mcs(), {"m1"})
    made["spec"]["clusters"] = [{"name": "m1"}]
    assert mc.service_binding(service(), mcs(), {"m1"}, made) is made
    more = mc.service_binding(service(), mcs(), {"m1", "m2"}, made)
    assert more["spec"]["clusters"] == [{"name": "m1"}]
    newer = service(resourceVersion="10")
    assert mc.service_binding(newer, mcs(), {"m1"}, made, changed=False) is made
    assert mc.service_binding(newer, mcs(), {"m1"}, made)["spec"]["resource"]["resourceVersion"] == "10"
    left = mc.released_binding({**more})
    assert left["metadata"]["labels"].keys() == {"resourcebinding.karmada.io/permanent-id"}
    assert "annotations" not in left["metadata"]
    assert mc.released_binding(left) is left


def test_a_binding_of_an_earlier_service_is_waited_for() -> None:
    made: Any = mc.service_binding(service(), mcs(), {"m1"})
    made["metadata"]["ownerReferences"][0]["controller"] = True
    with pytest.raises(OwnerMismatch):
        mc.service_binding(service(uid="later"), mcs(), {"m1"}, made)
    made["metadata"]["deletionTimestamp"] = "now"
    with pytest.raises(BindingError):
        mc.service_binding(service(), mcs(), {"m1"}, made)


def test_the_work_of_a_provider() -> None:
    work = mc.provider_work(mcs(), "m1")
    meta = work["metadata"]
    assert (meta["namespace"], meta["name"]) == (
        "karmada-es-m1",
        constants.work_name("MultiClusterService", "web", "shop"),
    )
    assert "finalizers" not in meta
    assert {key: meta["labels"][key] for key in meta["labels"] if key.startswith("multicluster")} == {
        "multiclusterservice.karmada.io/permanent-id": "mcs-id",
        "multiclusterservice.karmada.io/namespace": "shop",
        "multiclusterservice.karmada.io/name": "web",
    }
    assert work["spec"]["suspendDispatching"] is True
    [manifest] = work["spec"]["workload"]["manifests"]
    assert "status" not in manifest
    assert mc.provider_work(mcs(), "m1", work) is work
    assert mcs()["metadata"]["uid"] == "mcs-uid"


def test_the_work_of_a_consumer() -> None:
    collected = collected_work(found(), "m1", "web", (constants.MCS_KIND,), None)
    [held] = collected["spec"]["workload"]["manifests"]
    work = mc.dispatched_work(held, "m1", "m2", "web", collected["metadata"]["name"])
    meta = work["metadata"]
    assert (meta["namespace"], meta["name"]) == ("karmada-es-m2", collected["metadata"]["name"])
    assert meta["finalizers"] == ["karmada.io/execution-controller"]
    assert meta["annotations"] == {"endpointslice.karmada.io/provision-cluster": "m1"}
    [manifest] = work["spec"]["workload"]["manifests"]
    assert manifest["metadata"]["name"] == "m1-web-1"
    labels = manifest["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == "web"
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-dispatch-controller.karmada.io"
    assert manifest["metadata"]["annotations"]["endpointslice.karmada.io/provision-cluster"] == "m1"
    assert mc.dispatched_work(held, "m1", "m2", "web", collected["metadata"]["name"], work) is work
    assert held == collected_work(found(), "m1", "web", (constants.MCS_KIND,), None)["spec"]["workload"]["manifests"][0]
    assert manifest["endpoints"] == held["endpoints"]
    assert manifest["endpoints"][0] is not held["endpoints"][0]  # others write into theirs


def test_one_of_two_managers_lets_go() -> None:
    both = collected_work(found(), "m1", "web", (constants.MCS_KIND, constants.SERVICE_EXPORT_KIND), None)
    left = uncollected(both, constants.MCS_KIND)
    assert left is not None
    assert left["metadata"]["labels"]["endpointslice.karmada.io/managed-by"] == "ServiceExport"
    assert constants.MCS_NAME not in left["metadata"]["labels"]
    assert uncollected(left, constants.MCS_KIND) is left
    assert uncollected(left, constants.SERVICE_EXPORT_KIND) is None


@given(st.sets(st.sampled_from(("m1", "m2", "m3"))), st.sets(st.sampled_from(("m1", "m2", "m3"))))
def test_a_binding_brought_up_to_date_twice_is_the_same(before: set[str], after: set[str]) -> None:
    first = mc.service_binding(service(), mcs(), before)
    second = mc.service_binding(service(), mcs(), after, first)
    assert mc.service_binding(service(), mcs(), after, second) is second
    assert (second is first) == (before == after)
