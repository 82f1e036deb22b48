"""What single kinds ask for, as kube-apiserver 1.36.3 was seen to say it."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.builtin.validation import batch, nodes, pod_update, resources, slices, volumes
from kafila.catalog.builtin.validation.gostructs import go_struct
from kafila.catalog.builtin.validation.windows import check_host_process, check_windows_options
from kafila.catalog.catalog import builtin_kinds
from kafila.catalog.tables import schema_of
from kafila.core.values import Object
from kafila.machinery import empty_lists


def _said(found: list[Any]) -> list[str]:
    return [str(error) for error in found]


@pytest.mark.parametrize("resource", ["jobs.batch", "replicationcontrollers"])
def test_these_leave_their_pods_behind(resource: str) -> None:
    strategies = {k.resource: k.strategy for k in builtin_kinds()}
    assert strategies[resource].dependents == "Orphan"
    assert strategies["deployments.apps"].dependents == "Background"


@pytest.mark.parametrize(
    "resource",
    [
        "flowschemas.flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        "servicecidrs.networking.k8s.io",
        "volumeattachments.storage.k8s.io",
        "resourceclaims.resource.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
    ],
)
def test_writes_of_status_keep_the_metadata(resource: str) -> None:
    assert not next(k for k in builtin_kinds() if k.resource == resource).strategy.status_metadata


def test_lists_that_go_always_writes_do_not_stay_empty() -> None:
    policy: Object = {"rules": [{"verbs": [], "apiGroups": []}]}
    empty_lists.forget(schema_of("io.k8s.api.rbac.v1.ClusterRole"), policy)
    assert policy == {"rules": [{"verbs": None, "apiGroups": []}]}  # apiGroups are left out where there are none


def test_structs_as_go_prints_them() -> None:
    taint = go_struct("api.core.v1.Taint", {"key": "a", "effect": "NoSchedule"})
    assert taint == {"Key": "a", "Value": "", "Effect": "NoSchedule", "TimeAdded": None}


def test_specs_of_changed_jobs_are_looked_at_twice() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Never", "containers": []}}
    job = {"metadata": {"name": "j"}, "spec": {"selector": {"matchLabels": {"a": "c"}}, "template": template}}
    text = '{"a":"b"}: `selector` does not match template `labels`'
    assert sum(text in said for said in _said(batch.validate_job_update(job, job))) == 1
    assert sum(text in said for said in _said(batch.validate_job(job))) == 1


def test_a_pod_cannot_lose_its_image() -> None:
    old = {"spec": {"containers": [{"name": "c", "image": "x"}]}}
    new = {"spec": {"containers": [{"name": "c", "image": ""}]}}
    assert _said(pod_update.validate_pod_update(new, old)) == ["spec.containers[0].image: Required value"]


def test_host_processes_are_of_windows_and_of_whole_pods() -> None:
    found: list[Any] = []
    check_windows_options({"runAsUserName": ""}, "spec.windowsOptions", found)
    assert _said(found) == [
        'spec.windowsOptions.runAsUserName: Invalid value: "": runAsUserName cannot be an empty string'
    ]
    found = []
    options = {"windowsOptions": {"hostProcess": True}}
    check_host_process({"containers": [{"name": "c", "securityContext": options}]}, "spec", found)
    assert any("hostNetwork must be true" in said for said in _said(found))


def test_claims_of_ephemeral_volumes_need_names() -> None:
    found: list[Any] = []
    claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}}
    volume = {"name": "v", "ephemeral": {"volumeClaimTemplate": claim}}
    volumes.check_volumes([volume], "spec.volumes", found, "p" * 252)
    assert [said for said in _said(found) if 'PVC name "ppp' in said]
    found = []
    volumes.check_volumes([volume], "spec.volumes", found, "p")
    assert found == []


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ({"name": "d"}, []),
        (
            {"name": "d", "nodeName": "n"},
            [
                "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if "
                "`perDeviceNodeSelection` is set to true in the ResourceSlice spec"
            ],
        ),
        (
            {"name": "d", "taints": [{"key": "k", "effect": "Gone"}]},
            [
                'spec.devices[0].taints[0].effect: Unsupported value: "Gone": supported values: "NoExecute", "NoSchedule", "None"'
            ],
        ),
        (
            {"name": "d", "attributes": {"a": {"int": 1, "string": "x"}}},
            ["exactly one value must be specified"],
        ),
    ],
)
def test_devices(device: Object, why: list[str]) -> None:
    pool = {"name": "p", "resourceSliceCount": 1}
    said = _said(
        slices.validate_resource_slice({"spec": {"driver": "d", "pool": pool, "nodeName": "n", "devices": [device]}})
    )
    assert len(said) == len(why)
    assert all(text in there for text, there in zip(why, said, strict=True))


def test_nodes() -> None:
    node: Object = {
        "spec": {"podCIDRs": ["x"]},
        "status": {"capacity": {"any": "-1", "pods": "1"}, "declaredFeatures": ["B", "B", "A", "a"]},
    }
    assert [error.field for error in nodes.validate_node(node)] == [
        "status.capacity.any",
        "status.declaredFeatures[1]",
        "status.declaredFeatures[2]",
        "status.declaredFeatures[3]",
        "spec.podCIDRs[0]",
    ]
    address = {"type": "Hostname", "address": "n"}
    twice = {"status": {"addresses": [address, address]}}
    assert _said(nodes.validate_node_update(twice, {})) == [
        'status.addresses[1]: Duplicate value: {"Type":"Hostname","Address":"n"}'
    ]


def test_a_container_has_no_requests_of_huge_pages() -> None:
    """The name is known, from quotas; no container may have it."""
    found: list[Any] = []
    resources.check_container_resource_name("requests.hugepages-2Mi", "p", found)
    assert _said(found) == ['p: Invalid value: "requests.hugepages-2Mi": must be a standard resource for containers']
