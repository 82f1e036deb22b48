"""Warnings on what is accepted, and the rules of device claims: tables of what kube-apiserver 1.36.3 answers."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.builtin.validation import csi, devices, slices
from kafila.catalog.builtin.warnings import kinds, service_warnings
from kafila.core.values import Object


def pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}


@pytest.mark.parametrize(
    ("obj", "texts"),
    [
        (pod(), []),
        (pod(imagePullSecrets=[{"name": "a"}, {"name": "a"}]), ['spec.imagePullSecrets[1].name: duplicate name "a"']),
        (
            pod(terminationGracePeriodSeconds=-1),
            ["spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"],
        ),
        (
            pod(containers=[{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]),
            ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'],
        ),
        (pod(containers=[{"name": "c", "env": [{"name": "A"}, {"name": "A", "value": "$(A)x"}]}]), []),
        (
            pod(containers=[{"name": "c", "resources": {"limits": {"memory": "1500m"}}}]),
            [
                'spec.containers[0].resources.limits[memory]: fractional byte value "1500m" is invalid, must be an integer'
            ],
        ),
        (
            pod(containers=[{"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 80}]}]),
            ["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"],
        ),
        (
            pod(volumes=[{"name": "v", "projected": {"sources": [{}]}}]),
            ['volume "v" (Projected) has no sources provided'],
        ),
        (
            pod(volumes=[{"name": "v", "configMap": {"name": "m", "items": [{"path": "a"}, {"path": "a/b"}]}}]),
            ['volume "v" (ConfigMap "m"): overlapping paths: "a/b" with "a"'],
        ),
        (
            pod(volumes=[{"name": "v", "gitRepo": {}}]),
            ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"],
        ),
    ],
)
def test_pods_are_warned_about(obj: Object, texts: list[str]) -> None:
    assert kinds.pod(obj) == texts


def test_services_are_warned_about() -> None:
    spec = {
        "type": "ClusterIP",
        "clusterIP": "10.0.0.1",
        "externalIPs": ["192.0.2.1"],
        "externalName": "a",
        "trafficDistribution": "PreferClose",
    }
    assert service_warnings({"metadata": {}, "spec": spec}) == [
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        'spec.externalName is ignored when spec.type is not "ExternalName"',
        'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"',
    ]
    headless = {"type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "ClientIP"}
    assert service_warnings({"metadata": {}, "spec": headless}) == [
        "spec.SessionAffinity is ignored for headless services"
    ]


def claim(**devices: Any) -> Object:
    return {"spec": {"devices": devices}}


EXACT = {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}


@pytest.mark.parametrize(
    ("obj", "fields"),
    [
        (claim(requests=[{"name": "r", "exactly": EXACT}]), []),
        (claim(requests=[{"name": "r"}]), ["spec.devices.requests[0]"]),
        (
            claim(requests=[{"name": "r", "exactly": {**EXACT, "deviceClassName": ""}}]),
            ["spec.devices.requests[0].exactly.deviceClassName"],
        ),
        (claim(requests=[{"name": "r", "exactly": {**EXACT, "count": 0}}]), ["spec.devices.requests[0].exactly.count"]),
        (
            claim(
                requests=[{"name": "r", "exactly": EXACT}], constraints=[{"requests": ["q"], "matchAttribute": "d/x"}]
            ),
            ["spec.devices.constraints[0].requests[0]"],
        ),
        (
            claim(requests=[{"name": "r", "exactly": EXACT}], constraints=[{"matchAttribute": "x"}]),
            ["spec.devices.constraints[0].matchAttribute"],
        ),
        (claim(config=[{"opaque": {"driver": "d", "parameters": []}}]), ["spec.devices.config[0].opaque.parameters"]),
    ],
)
def test_claims(obj: Object, fields: list[str]) -> None:
    assert [error.field for error in devices.validate_resource_claim(obj)] == fields


def test_slices_say_where_their_devices_are() -> None:
    pool = {"name": "p", "resourceSliceCount": 1}
    assert slices.validate_resource_slice({"spec": {"driver": "d", "pool": pool, "nodeName": "n"}}) == []
    (error,) = slices.validate_resource_slice(
        {"spec": {"driver": "d", "pool": pool, "nodeName": "n", "allNodes": True}}
    )
    assert error.field == "spec"
    (error,) = slices.validate_resource_slice_update({"spec": {"driver": "e"}}, {"spec": {"driver": "d"}})
    assert error.field == "spec.driver"


def test_csi_nodes_and_secrets() -> None:
    assert [e.field for e in csi.validate_csi_node({"spec": {"drivers": [{"name": "d"}]}})] == [
        "spec.drivers[0].nodeID"
    ]
    found: list[Any] = []
    csi.check_csi_secrets({"nodePublishSecretRef": {"name": "a"}}, "spec.csi", found)
    assert [e.field for e in found] == ["spec.csi.nodePublishSecretRef.namespace"]
