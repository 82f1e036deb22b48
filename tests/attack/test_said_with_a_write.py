"""What is stored and not acted on, and an edit that takes copies away, are said in the answer to the write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kafila.admission import Admission
from kafila.admission.unacted import _FIELDS
from kafila.core.feature_gates import KNOWN, Gates
from kafila.core.values import Object
from kafila.placement.cluster_expression import ANNOTATION as EXPRESSION
from kafila.registry import Options
from kafila.workers import admission as around
from tests.integration.api.conftest import CATALOG, MERGE_PATCH, Api
from tests.integration.reconcile.conftest import Lab, _known_queues, lab, two

__all__ = ["_known_queues", "lab", "two"]
ROOT = Path(__file__).parents[2]
ALL_ON = frozenset(KNOWN)
ALL_OFF = frozenset[str]()


def warned(resource: str, spec: Object, gates: Gates = ALL_ON) -> list[str]:
    kind = CATALOG.storage_kind(resource)
    assert kind is not None
    return Admission(gates).warn(kind, {"metadata": {"name": "x"}, "spec": spec}, None)


FIELDS: list[tuple[str, str, Object, str]] = [
    (
        "propagationpolicies.policy",
        "StatefulFailoverInjection",
        {"failover": {"application": {"statePreservation": {"rules": [{}]}}}},
        "spec.failover.application.statePreservation",
    ),
    (
        "clusterpropagationpolicies.policy",
        "StatefulFailoverInjection",
        {"failover": {"application": {"statePreservation": {"rules": [{}]}}}},
        "spec.failover.application.statePreservation",
    ),
    (
        "propagationpolicies.policy",
        "GracefulEviction",
        {"failover": {"application": {"purgeMode": "Gracefully"}}},
        "spec.failover.application.purgeMode",
    ),
    ("propagationpolicies.policy", "Failover", {"failover": {"cluster": {}}}, "spec.failover.cluster"),
    ("propagationpolicies.policy", "PropagationPolicyPreemption", {"preemption": "Always"}, "spec.preemption"),
    ("propagationpolicies.policy", "PriorityBasedScheduling", {"schedulePriority": {}}, "spec.schedulePriority"),
    ("propagationpolicies.policy", "PropagateDeps", {"propagateDeps": True}, "spec.propagateDeps"),
    (
        "propagationpolicies.policy",
        "WorkloadAffinity",
        {"placement": {"workloadAffinity": {}}},
        "spec.placement.workloadAffinity",
    ),
    (
        "propagationpolicies.policy",
        "",
        {"placement": {"spreadConstraints": [{"spreadByLabel": "x"}]}},
        "spec.placement.spreadConstraints: spreadByLabel",
    ),
    ("clustertaintpolicies.policy", "Failover", {}, "ClusterTaintPolicy: has no effect"),
    ("federatedresourcequotas.policy", "FederatedQuotaEnforcement", {"overall": {"cpu": "1"}}, "spec.overall"),
    (
        "multiclusterservices.networking",
        "MultiClusterService",
        {"types": ["CrossCluster"]},
        "MultiClusterService: has no",
    ),
    ("multiclusterservices.networking", "", {"types": ["LoadBalancer"]}, "spec.types: LoadBalancer has no effect"),
    ("multiclusteringresses.networking", "", {"rules": []}, "spec: has no effect, here and in Karmada"),
    ("clusters.cluster", "CustomizedClusterResourceModeling", {"resourceModels": [{}]}, "spec.resourceModels"),
    (
        "resourceinterpretercustomizations.config",
        "MultiplePodTemplatesScheduling",
        {"customizations": {"componentResource": {}}},
        "spec.customizations.componentResource",
    ),
]


@pytest.mark.parametrize(("resource", "gate", "spec", "text"), FIELDS, ids=lambda value: str(value)[:30])
def test_a_field_that_nothing_acts_on_says_so(resource: str, gate: str, spec: Object, text: str) -> None:
    (found,) = warned(f"{resource}.karmada.io", spec, ALL_OFF if gate else ALL_ON)
    assert found.startswith(text)
    if gate:
        assert f"--feature-gates={gate}=true" in found
        assert warned(f"{resource}.karmada.io", spec) == []


def test_service_imports() -> None:
    resource = "serviceimports.multicluster.x-k8s.io"
    assert warned(resource, {"type": "ClusterSetIP"}) == []
    (found,) = warned(resource, {"type": "Headless"})
    assert found.startswith("spec.type: Headless has no effect")


def test_api_services() -> None:
    assert len(warned("apiservices.apiregistration.k8s.io", {"service": {"name": "x"}})) == 1
    assert warned("apiservices.apiregistration.k8s.io", {"group": "x"}) == []


def test_the_table_knows_of_all_that_the_documentation_calls_later() -> None:
    text = (ROOT / "docs/features.md").read_text()
    later = {
        kind.strip()
        for heading, section in re.findall(r"^## (.*)\n((?:(?!^## ).*\n)*)", text, re.M)
        if re.search(r"^\| `spec[^`]*` \|.*\*later part\*", section, re.M)
        for kind in heading.split(",")
    }
    kinds = {kind.kind for kind in map(CATALOG.storage_kind, _FIELDS) if kind is not None}
    made_by_us = {"ResourceBinding", "ClusterResourceBinding", "ServiceImport"}  # of a policy that was warned about
    assert later - made_by_us <= kinds


async def test_what_is_only_propagated_is_no_reason_to_warn(api: Api) -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    for path, obj in (
        ("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", {"spec": {"podSelector": {}}}),
        ("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", {"rules": [rule]}),
        ("/api/v1/namespaces/default/configmaps", {"data": {}}),
    ):
        answer = await api.post(path, {"metadata": {"name": "it"}, **obj})
        assert (answer.status_code, answer.headers.get("warning")) == (201, None)


async def test_it_comes_as_a_header_for_every_verb_and_a_dry_run(api: Api) -> None:
    path = "/apis/policy.karmada.io/v1alpha1/clustertaintpolicies"
    text = '299 - "ClusterTaintPolicy: has no effect: the feature gate Failover is off'
    spec = {"taints": [{"key": "a", "effect": "NoSchedule"}]}
    version = "policy.karmada.io/v1alpha1"
    made = {"apiVersion": version, "kind": "ClusterTaintPolicy", "metadata": {"name": "it"}, "spec": spec}
    answer = await api.post(f"{path}?dryRun=All", made)
    assert answer.headers["warning"].startswith(text)
    await api.made(path, made)
    answer = await api.patch(f"{path}/it", {"spec": {"taints": [{"key": "b", "effect": "NoSchedule"}]}}, MERGE_PATCH)
    assert (answer.status_code, answer.headers["warning"][: len(text)]) == (200, text)
    answer = await api.patch(f"{path}/it", {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
    assert answer.headers.get("warning") is None  # nothing of it was changed


# -- an edit that takes copies away --------------------------------------------------------------------------------------


async def edited(lab: Lab, placement: Object, dry_run: bool = True, name: str = "policy", **spec: Any) -> list[str]:
    """The warnings of an edit."""

    def change(obj: Object) -> Object:
        return {**obj, "spec": {**obj["spec"], "placement": placement, **spec}}

    kind = lab.kind("PropagationPolicy")
    options = Options(manager="tester", dry_run=dry_run, warnings=[])
    await lab.registry.modify(kind, "default", name, change, options)
    assert options.warnings is not None
    return options.warnings


async def place_three(lab: Lab) -> None:
    await lab.create(lab.policy("policy", "m1", "m2", select=[{"apiVersion": "v1", "kind": "ConfigMap"}]))
    for name in ("a", "b", "c"):
        await lab.create(lab.config(name))
    await lab.rest()
    assert len(lab.list("ResourceBinding")) == 3


async def test_an_edit_that_withdraws_says_what_it_takes_away(two: Lab) -> None:
    await place_three(two)
    typo = {"clusterAffinity": {"clusterNames": ["mmm1"]}}
    wanted = [
        'spec.placement: no cluster is named "mmm1"',
        "spec.placement: 3 objects leave clusters that do not fit any more: m1 (3), m2 (3); "
        "3 of them are left in none of the clusters they are in",
    ]
    assert await edited(two, typo) == wanted
    await two.rest()
    assert two.in_clusters("ConfigMap", "a") == ["m1", "m2"]  # of a dry run nothing is to be seen
    some = {"clusterAffinity": {"clusterNames": ["m2", "m3"]}}
    assert await edited(two, some) == [
        'spec.placement: no cluster is named "m3"',
        "spec.placement: 3 objects leave clusters that do not fit any more: m1 (3)",
    ]
    by_label = {"clusterAffinities": [{"affinityName": "x", "labelSelector": {"matchLabels": {"name": "m1"}}}]}
    assert await edited(two, by_label) == ["spec.placement: 3 objects leave clusters that do not fit any more: m2 (3)"]
    kept = await edited(two, by_label, preserveResourcesOnDeletion=True)
    assert kept == [
        "spec.placement: 3 objects leave clusters that do not fit any more: m2 (3); what runs there is preserved"
    ]
    assert await edited(two, {}) == []
    assert await edited(two, {"clusterAffinity": {"exclude": ["m9"]}}) == []
    assert await edited(two, typo, activationPreference="Lazy") == []
    assert await edited(two, typo, dry_run=False) == wanted
    await two.rest()
    assert two.in_clusters("ConfigMap", "a") == []


async def test_an_expression_that_withdraws_says_so_too(two: Lab) -> None:
    """Though it stands in an annotation."""
    await place_three(two)
    kind, options = two.kind("PropagationPolicy"), Options(manager="tester", dry_run=True, warnings=[])

    def change(obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "annotations": {EXPRESSION: "cluster.metadata.name == 'm1'"}}}

    await two.registry.modify(kind, "default", "policy", change, options)
    assert options.warnings == ["spec.placement: 3 objects leave clusters that do not fit any more: m2 (3)"]


async def test_a_cluster_policy_and_a_cap(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await place_three(two)
    monkeypatch.setattr(around, "MOST_READ", 2)
    found = await edited(two, {"clusterAffinity": {"clusterNames": [f"x{n:02}" for n in range(14)]}})
    listed = ", ".join(f'"x{n:02}"' for n in range(10))
    assert found == [
        f"spec.placement: no cluster is named {listed} and 4 more",
        "spec.placement: at least 2 objects leave clusters that do not fit any more: m1 (2), m2 (2); "
        "2 of them are left in none of the clusters they are in",
    ]


async def test_what_controllers_write_is_not_kept(two: Lab) -> None:
    """They share their options: warnings that nobody reads would add up for ever."""
    from kafila.reconcile.karmada.kinds import OPTIONS

    await two.create(two.policy())
    deployment = two.deployment()
    deployment["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80}, {"containerPort": 80}]
    await two.create(deployment)
    await two.rest()
    assert two.get("Deployment", "web")["metadata"]["labels"]["propagationpolicy.karmada.io/permanent-id"]
    assert OPTIONS.warnings is None
