"""MultiClusterService over simulated members: endpoints of providers are at the consumers, under the same Service."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement import constants
from kafila.reconcile.karmada.services import dispatch, portions
from kafila.registry import Registry
from kafila.registry.context import DeleteOptions
from kafila.registry.threads import BIG
from kafila.store.memory import MemoryStore

from .conftest import USER, Lab
from .test_exported_services import endpoint_slice, export, in_member, policy, service

DISPATCHED = ("Normal", "DispatchEndpointSliceSucceed", "EndpointSlice are dispatched successfully")


def shared(
    providers: tuple[str, ...] = ("m1",), consumers: tuple[str, ...] = ("m2",), name: str = "web", **spec: Any
) -> Object:
    return {
        "apiVersion": "networking.karmada.io/v1alpha1",
        "kind": "MultiClusterService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "types": ["CrossCluster"],
            "providerClusters": [{"name": each} for each in providers],
            "consumerClusters": [{"name": each} for each in consumers],
            **spec,
        },
    }


@pytest.fixture
async def gated() -> AsyncIterator[Lab]:
    lab = await Lab(feature_gates="MultiClusterService=true").start()
    await lab.join("m1", "m2")
    yield lab
    await lab.close()


async def offered(lab: Lab, *providers: str) -> None:
    """A Service with a slice in each provider."""
    await lab.create(service())
    for member in providers:
        await in_member(lab, member, endpoint_slice("web-abcde" if len(providers) == 1 else f"web-{member}"))


def source(lab: Lab, name: str = "web-abcde", member: str = "m1") -> Object:
    return lab.get("Work", constants.work_name("EndpointSlice", name, "default"), f"karmada-es-{member}")


async def test_slices_of_providers_are_at_the_consumers(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.rest()
    mcs = gated.get("MultiClusterService", "web")
    permanent_id = mcs["metadata"]["labels"]["multiclusterservice.karmada.io/permanent-id"]
    assert mcs["metadata"]["finalizers"] == ["karmada.io/multiclusterservice-controller"]
    applied, dispatched = (gated.condition(mcs, each) for each in ("ServiceApplied", "EndpointSliceDispatched"))
    assert (applied["status"], applied["reason"]) == ("True", "ServiceAppliedSucceed")
    assert applied["message"] == "Service is propagated to target clusters."
    assert (dispatched["status"], dispatched["reason"]) == ("True", "EndpointSliceDispatchedSucceed")
    assert dispatched["message"] == "EndpointSlice are dispatched successfully"
    said = gated.events("MultiClusterService", "web")
    assert ("Normal", "SyncServiceSucceed", "Service is propagated to target clusters.", 1) in said
    assert (*DISPATCHED, 1) in said

    template = gated.get("Service", "web")
    assert template["metadata"]["labels"] == {
        "resourcetemplate.karmada.io/claimed-by": "MultiClusterService",
        "multiclusterservice.karmada.io/permanent-id": permanent_id,
    }
    named = {"multiclusterservice.karmada.io/name": "web", "multiclusterservice.karmada.io/namespace": "default"}
    assert template["metadata"]["annotations"] == named
    assert gated.in_clusters("Service", "web") == ["m1", "m2"]

    binding = gated.get("ResourceBinding", "web-service")
    assert binding["spec"]["placement"] == {"clusterAffinity": {"clusterNames": ["m1", "m2"]}}
    assert binding["spec"]["conflictResolution"] == "Overwrite"
    labels = binding["metadata"]["labels"]
    assert labels["binding.karmada.io/managed-by"] == "MultiClusterService"
    assert labels["multiclusterservice.karmada.io/permanent-id"] == permanent_id
    assert binding["metadata"]["annotations"].items() >= named.items()
    assert binding["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Service", "name": "web", "uid": template["metadata"]["uid"]}
    ]
    assert binding["metadata"]["finalizers"] == ["karmada.io/binding-controller"]
    assert gated.is_true(binding, "FullyApplied")

    said_so = gated.get("Work", constants.work_name("MultiClusterService", "web", "default"), "karmada-es-m1")
    assert said_so["spec"]["suspendDispatching"] is True
    assert said_so["metadata"]["labels"]["multiclusterservice.karmada.io/permanent-id"] == permanent_id
    assert "finalizers" not in said_so["metadata"]
    assert gated.in_clusters("MultiClusterService", "web") == []

    collected = source(gated)
    assert collected["metadata"]["finalizers"] == ["karmada.io/mcs-endpointslice-dispatch-controller"]
    copy = source(gated, member="m2")
    assert copy["metadata"]["annotations"] == {"endpointslice.karmada.io/provision-cluster": "m1"}
    assert copy["metadata"]["finalizers"] == ["karmada.io/execution-controller"]
    there = gated.in_member("m2", "EndpointSlice", "m1-web-abcde")
    assert there["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    managed_by = there["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
    assert managed_by == "endpointslice-dispatch-controller.karmada.io"
    assert there["metadata"]["annotations"]["endpointslice.karmada.io/provision-cluster"] == "m1"
    assert there["endpoints"][0]["addresses"] == ["10.1.0.1"]
    assert gated.in_clusters("EndpointSlice", "m1-web-abcde") == ["m2"]


async def test_changes_of_endpoints_and_ends_of_slices_follow(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))

    def changed(obj: Object) -> Object:
        obj["endpoints"].append({"addresses": ["10.1.0.9"]})
        return obj

    theirs, kind = gated.members["m1"].registry, gated.kind("EndpointSlice")
    await theirs.modify(kind, "default", "web-abcde", changed, USER)
    await gated.until(lambda: len(gated.in_member("m2", "EndpointSlice", "m1-web-abcde")["endpoints"]) == 2)
    await theirs.delete(kind, "default", "web-abcde", DeleteOptions())
    await gated.until(lambda: not gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.rest()
    assert source(gated) == {}
    assert source(gated, member="m2") == {}


async def test_clusters_come_and_go(gated: Lab) -> None:
    await offered(gated, "m1", "m2")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-m1"))
    await gated.rest()
    assert gated.in_clusters("EndpointSlice", "m2-web-m2") == []

    def both(obj: Object) -> None:
        obj["spec"]["providerClusters"] = obj["spec"]["consumerClusters"] = [{"name": "m1"}, {"name": "m2"}]

    await gated.change("MultiClusterService", "web", both)
    await gated.until(lambda: gated.in_member("m1", "EndpointSlice", "m2-web-m2"))
    await gated.rest()
    assert gated.in_clusters("EndpointSlice", "m1-web-m1") == ["m2"]

    def back(obj: Object) -> None:
        obj["spec"]["providerClusters"] = obj["spec"]["consumerClusters"] = [{"name": "m2"}]

    await gated.change("MultiClusterService", "web", back)
    await gated.until(lambda: not gated.in_member("m1", "Service", "web"), "m1 is no consumer any more")
    await gated.rest()
    assert source(gated, "web-m1") == {}
    assert gated.in_clusters("EndpointSlice", "m1-web-m1") == []
    assert gated.in_clusters("EndpointSlice", "m2-web-m2") == []


async def test_all_clusters_and_one_that_joins(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(shared((), ()))
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.join("m3")
    await gated.until(lambda: gated.in_member("m3", "EndpointSlice", "m1-web-abcde"))
    await gated.delete("Cluster", "m1")
    await gated.until(lambda: not gated.get("Cluster", "m1"))
    await gated.until(lambda: not gated.in_clusters("EndpointSlice", "m1-web-abcde"), "its slices go with it")


async def test_the_end_gives_all_back(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.delete("MultiClusterService", "web")
    await gated.rest()
    assert gated.get("MultiClusterService", "web") == {}
    assert source(gated) == {}
    assert gated.in_clusters("EndpointSlice", "m1-web-abcde") == []
    assert "labels" not in gated.get("Service", "web")["metadata"]
    binding = gated.get("ResourceBinding", "web-service")
    assert binding["metadata"]["labels"].keys() == {"resourcebinding.karmada.io/permanent-id"}
    assert gated.in_clusters("Service", "web") == ["m1", "m2"]  # as after a policy
    assert gated.get("Work", constants.work_name("MultiClusterService", "web", "default"), "karmada-es-m1") == {}


@pytest.mark.parametrize("which", ["resourcebindings", "services"])
async def test_what_could_not_be_given_back_is_given_back_later(gated: Lab, which: str) -> None:
    await offered(gated, "m1")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.rest()
    await unchangeable(gated, which)
    await gated.delete("MultiClusterService", "web")
    await gated.until(
        lambda: any("failed to delete service work" in told[2] for told in gated.events("MultiClusterService", "web"))
    )
    await gated.delete("ValidatingAdmissionPolicyBinding", "unchangeable", "")
    await gated.until(lambda: not gated.get("MultiClusterService", "web"))
    assert "labels" not in gated.get("Service", "web")["metadata"]
    binding = gated.get("ResourceBinding", "web-service")
    assert binding["metadata"]["labels"].keys() == {"resourcebinding.karmada.io/permanent-id"}


async def unchangeable(lab: Lab, resource: str) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": [resource]}
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "unchangeable"}}
    validations = [{"expression": "false", "message": "not now"}]
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": validations}
    await lab.create({**api, "kind": "ValidatingAdmissionPolicy", "spec": spec})
    bound = {"policyName": "unchangeable", "validationActions": ["Deny"]}
    await lab.create({**api, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound})


async def test_a_policy_lets_go_of_the_service_and_may_have_it_again(gated: Lab) -> None:
    await offered(gated, "m1")
    select = [{"apiVersion": "v1", "kind": "Service", "name": "web"}]
    await gated.create(gated.policy("policy", "m1", select=select))
    await gated.until(lambda: gated.in_member("m1", "Service", "web"))
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "Service", "web"))
    await gated.rest()
    assert constants.PP_PERMANENT_ID not in gated.get("Service", "web")["metadata"]["labels"]
    await gated.change("PropagationPolicy", "policy", lambda obj: obj["spec"].update(priority=3))
    await gated.rest()
    assert gated.in_clusters("Service", "web") == ["m1", "m2"]
    await gated.delete("MultiClusterService", "web")
    await gated.until(lambda: gated.in_clusters("Service", "web") == ["m1"], "the policy has it again")


async def test_without_its_service_it_waits(gated: Lab) -> None:
    await gated.create(shared())
    await gated.until(lambda: gated.condition(gated.get("MultiClusterService", "web"), "ServiceApplied"))
    said = gated.condition(gated.get("MultiClusterService", "web"), "ServiceApplied")
    assert (said["status"], said["reason"]) == ("False", "ServiceAppliedFailed")
    assert said["message"] == 'Service "web" not found'
    await offered(gated, "m1")
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.until(lambda: gated.is_true(gated.get("MultiClusterService", "web"), "ServiceApplied"))
    assert ("Warning", "SyncServiceFailed", 'Service "web" not found', 1) in gated.events("MultiClusterService", "web")
    await gated.change("Service", "web", lambda obj: obj["spec"]["ports"][0].update(port=81))
    await gated.until(lambda: gated.in_member("m2", "Service", "web")["spec"]["ports"][0]["port"] == 81)


async def test_unknown_clusters_are_told_of(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(shared(("m1", "gone"), ("m2", "lost")))
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.rest()
    said = gated.events("MultiClusterService", "web")
    assert ("Warning", "ClusterNotFound", "Provider cluster gone is not found", 1) in said
    assert ("Warning", "ClusterNotFound", "Consumer cluster lost is not found", 1) in said


async def test_an_export_and_a_multi_cluster_service_share_a_work(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(export())
    await gated.create(policy(gated, "exports", "ServiceExport", "m1"))
    await gated.create(shared())
    managed_by = "endpointslice.karmada.io/managed-by"
    await gated.until(lambda: gated.get("EndpointSlice", "imported-m1-web-abcde"))
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.rest()
    assert source(gated)["metadata"]["labels"][managed_by] == "MultiClusterService.ServiceExport"
    await gated.delete("MultiClusterService", "web")
    await gated.rest()
    assert source(gated)["metadata"]["labels"][managed_by] == "ServiceExport"
    assert source(gated)["metadata"]["finalizers"] == ["karmada.io/endpointslice-controller"]
    assert gated.get("EndpointSlice", "imported-m1-web-abcde")
    assert gated.in_clusters("EndpointSlice", "m1-web-abcde") == []
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.delete("ServiceExport", "web")
    await gated.rest()
    assert source(gated)["metadata"]["labels"][managed_by] == "MultiClusterService"
    assert source(gated)["metadata"]["finalizers"] == ["karmada.io/mcs-endpointslice-dispatch-controller"]
    assert gated.get("EndpointSlice", "imported-m1-web-abcde") == {}


async def without_collecting_for_multi_cluster_services(lab: Lab) -> None:
    lab.settings = lab.settings.model_copy(update={"controllers": "*,-endpointsliceCollect"})
    await lab.restart()
    await lab.until(lambda: lab.is_true(lab.get("Cluster", "m1"), "Ready"))
    await lab.rest()


async def test_what_was_collected_stays_while_its_collector_is_off(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.rest()
    before = source(gated)
    await without_collecting_for_multi_cluster_services(gated)
    await in_member(gated, "m1", service("other"))
    await in_member(gated, "m1", endpoint_slice("other-1", "other"))
    await gated.create(export("other"))
    await gated.create(policy(gated, "exports", "ServiceExport", "m1", of="other"))
    await gated.until(lambda: source(gated, "other-1"), "the other collector works")
    await gated.rest()
    assert source(gated)["metadata"]["uid"] == before["metadata"]["uid"]
    assert source(gated)["spec"] == before["spec"]
    assert gated.in_clusters("EndpointSlice", "m1-web-abcde") == ["m2"]
    await gated.members["m1"].registry.delete(gated.kind("EndpointSlice"), "default", "web-abcde", DeleteOptions())
    await gated.until(lambda: not source(gated), "what is gone in the member goes")


async def test_an_export_that_ends_while_the_other_collector_is_off(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(export())
    await gated.create(policy(gated, "exports", "ServiceExport", "m1"))
    await gated.create(shared())
    await gated.until(lambda: gated.get("EndpointSlice", "imported-m1-web-abcde"))
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.rest()
    before = source(gated)
    await without_collecting_for_multi_cluster_services(gated)
    await gated.delete("ServiceExport", "web")
    await gated.until(lambda: not gated.get("EndpointSlice", "imported-m1-web-abcde"))
    await gated.rest()
    assert source(gated)["metadata"]["labels"]["endpointslice.karmada.io/managed-by"] == "MultiClusterService"
    assert source(gated)["metadata"]["finalizers"] == ["karmada.io/mcs-endpointslice-dispatch-controller"]
    assert source(gated)["metadata"]["uid"] == before["metadata"]["uid"]
    assert gated.in_clusters("EndpointSlice", "m1-web-abcde") == ["m2"]


async def refused(lab: Lab, name: str) -> None:
    """No Work brings a slice of this name."""
    rule = {"apiGroups": ["work.karmada.io"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["works"]}
    expression = f"object.spec.workload.manifests.all(m, m.metadata.name != '{name}')"
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "slices"}}
    validations = [{"expression": expression, "message": "not this one"}]
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": validations}
    await lab.create({**api, "kind": "ValidatingAdmissionPolicy", "spec": spec})
    bound = {"policyName": "slices", "validationActions": ["Deny"]}
    await lab.create({**api, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound})


async def test_a_slice_that_could_not_be_brought_and_is_gone(gated: Lab) -> None:
    await refused(gated, "m1-web-bad")
    await offered(gated, "m1")
    await in_member(gated, "m1", endpoint_slice("web-bad"))
    await gated.create(shared())

    def dispatched() -> Object:
        return gated.condition(gated.get("MultiClusterService", "web"), "EndpointSliceDispatched")

    await gated.until(lambda: dispatched().get("status") == "False")
    assert (dispatched()["reason"], "not this one" in dispatched()["message"]) == (
        "EndpointSliceDispatchedFailed",
        True,
    )
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.members["m1"].registry.delete(gated.kind("EndpointSlice"), "default", "web-bad", DeleteOptions())
    await gated.until(lambda: dispatched()["status"] == "True", "nothing is in the way any more")


async def test_two_providers_with_slices_of_one_name(gated: Lab) -> None:
    """As slices are called that somebody makes by hand: each has its own Work, everywhere."""
    await gated.create(service())
    for member, address in (("m1", "10.1.0.1"), ("m2", "10.2.0.1")):
        await in_member(gated, member, endpoint_slice("web-static", "web", address))
    await gated.create(shared(("m1", "m2"), ("m1", "m2")))
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-static"))
    await gated.until(lambda: gated.in_member("m1", "EndpointSlice", "m2-web-static"))
    await gated.rest()
    there = gated.in_member("m1", "EndpointSlice", "m2-web-static")
    assert there["endpoints"][0]["addresses"] == ["10.2.0.1"]
    assert gated.in_member("m1", "EndpointSlice", "web-static")["endpoints"][0]["addresses"] == ["10.1.0.1"]


async def test_a_restart_changes_nothing(gated: Lab) -> None:
    await offered(gated, "m1")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    before = await gated.rest()
    await gated.restart()
    await gated.rest()
    ours = ("works", "resourcebindings", "services.", "multiclusterservices", "endpointslices")
    assert [row for row in gated.log_after(before) if row[0].startswith(ours)] == []


async def test_a_namespace_that_may_not_use_a_cluster(gated: Lab) -> None:
    await offered(gated, "m1")
    notes = {"placement.kafila.io/allowed-clusters": "m2"}
    await gated.change("Namespace", "default", lambda obj: obj["metadata"].update(annotations=notes))
    await gated.create(shared(("m1", "m2"), ("m1", "m2")))
    await gated.rest()
    assert gated.in_clusters("Service", "web") == ["m2"]
    assert source(gated) == {}
    said = gated.events("MultiClusterService", "web")
    assert any(event[1] == "ClustersNotAllowed" and "cluster(s) m1" in event[2] for event in said)


async def test_without_the_gate_nothing_is_done() -> None:
    lab = await Lab(feature_gates="").start()
    try:
        await lab.join("m1", "m2")
        await offered(lab, "m1")
        await lab.create(shared())
        await lab.rest()
        assert "finalizers" not in lab.get("MultiClusterService", "web")["metadata"]
        assert lab.in_clusters("Service", "web") == []
    finally:
        await lab.close()


async def test_a_large_slice_is_made_for_one_cluster_after_the_other_beside_the_event_loop(
    gated: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction each, when a portion is full; what is up to date already is neither made nor written again."""
    made: list[tuple[str, bool]] = []
    transactions: list[int] = []
    original, commit = dispatch.dispatched_work, Registry.commit_together

    def noted(found: Object, provider: str, consumer: str, *arguments: Any) -> Any:
        made.append((consumer, threading.current_thread() is threading.main_thread()))
        return original(found, provider, consumer, *arguments)

    async def counted(self: Registry, changes: Any) -> Any:
        if any((each.writes[0].key.name, len(each.body) > BIG) == (called, True) for each in changes if each.writes):
            transactions.append(len(changes))
        return await commit(self, changes)

    called = constants.work_name("EndpointSlice", "web-abcde", "default")
    monkeypatch.setattr(dispatch, "dispatched_work", noted)
    monkeypatch.setattr(Registry, "commit_together", counted)
    monkeypatch.setattr(portions, "PORTION", BIG)
    await gated.join("m3")
    await gated.create(service())
    addresses = [f"10.1.{number // 200}.{number % 200}" for number in range(800)]
    await in_member(gated, "m1", endpoint_slice("web-abcde", "web", *addresses))
    await gated.create(shared(("m1",), ()))
    await gated.until(lambda: gated.in_clusters("EndpointSlice", "m1-web-abcde") == ["m2", "m3"])
    await gated.rest()
    assert len(gated.in_member("m3", "EndpointSlice", "m1-web-abcde")["endpoints"]) == 800
    assert {consumer for consumer, _ in made} == {"m2", "m3"}
    assert not any(on_loop for _, on_loop in made)
    assert transactions == [1, 1]


async def test_what_the_gate_made_ends_without_it(gated: Lab) -> None:
    """Nothing is made any more, and what is deleted goes, with its Works and slices."""
    await offered(gated, "m1")
    await gated.create(shared())
    await gated.until(lambda: gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.stop()
    gated.settings = gated.settings.model_copy(update={"feature_gates": "MultiClusterService=false"})
    gated.store = MemoryStore(gated.database)
    await gated.start()
    await gated.create(shared(name="other"))
    await gated.rest()
    assert gated.in_member("m2", "EndpointSlice", "m1-web-abcde"), "what there is stays"
    assert "finalizers" not in gated.get("MultiClusterService", "other")["metadata"]
    await gated.delete("MultiClusterService", "web")
    await gated.until(lambda: not gated.get("MultiClusterService", "web"))
    await gated.until(lambda: not gated.in_member("m2", "EndpointSlice", "m1-web-abcde"))
    await gated.until(lambda: not source(gated))
    await gated.rest()
    assert not [work for work in gated.list("Work") if work["metadata"].get("deletionTimestamp")]
