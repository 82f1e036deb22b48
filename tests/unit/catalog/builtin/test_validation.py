"""What the server refuses, in its own words (as kube-apiserver 1.36 answers)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kafila.catalog.builtin import strategy_for
from kafila.core.resources import GroupVersionKind

POD: dict[str, Any] = {"containers": [{"name": "c", "image": "nginx:1"}]}
TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": POD}
BASES: dict[str, dict[str, Any]] = {
    "/v1/Pod": {"spec": POD},
    "/v1/Service": {"spec": {"ports": [{"port": 80}]}},
    "/v1/ConfigMap": {"data": {"a": "b"}},
    "/v1/Secret": {"data": {"a": "eA=="}},
    "/v1/PersistentVolumeClaim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "/v1/LimitRange": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    "/v1/ResourceQuota": {"spec": {"hard": {"pods": "1"}}},
    "apps/v1/Deployment": {"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}},
    "apps/v1/StatefulSet": {"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}},
    "batch/v1/Job": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}},
    "batch/v1/CronJob": {
        "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}},
        }
    },
    "networking.k8s.io/v1/Ingress": {
        "spec": {
            "rules": [
                {
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "s", "port": {"number": 80}}},
                            }
                        ]
                    }
                }
            ]
        }
    },
    "networking.k8s.io/v1/NetworkPolicy": {"spec": {"podSelector": {}}},
    "rbac.authorization.k8s.io/v1/RoleBinding": {"roleRef": {"kind": "Role", "name": "r"}},
    "storage.k8s.io/v1/StorageClass": {"provisioner": "a.b/c"},
    "scheduling.k8s.io/v1/PriorityClass": {"value": 1},
    "policy/v1/PodDisruptionBudget": {"spec": {"minAvailable": 1}},
}


def made(gvk: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    """The base object of a kind as it arrives at validation; each change is a path and a value (None deletes)."""
    obj = copy.deepcopy(BASES[gvk])
    obj["metadata"] = {"name": "x", "namespace": "default", "uid": "U"}
    for path, value in changes:
        *parents, last = path.split(".")
        node: Any = obj
        for name in parents:
            node = node[int(name)] if name.isdigit() else node.setdefault(name, {})
        if value is None:
            del node[last]
        else:
            node[last] = value
    group, version, kind = gvk.split("/")
    strategy = strategy_for(GroupVersionKind(group, version, kind))
    strategy.default(obj)
    strategy.prepare_for_create(obj)
    return obj


def refusals(gvk: str, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    group, version, kind = gvk.split("/")
    strategy = strategy_for(GroupVersionKind(group, version, kind))
    found = strategy.validate(obj)
    found += strategy.validate_create(obj) if old is None else strategy.validate_update(obj, old)
    return [str(error) for error in found]


@pytest.mark.parametrize("gvk", BASES)
def test_bases_are_valid(gvk):
    assert refusals(gvk, made(gvk)) == []
    assert refusals(gvk, made(gvk), made(gvk)) == []


C = "spec.containers.0."
PORTS = [{"name": "http", "containerPort": 80}, {"name": "http", "containerPort": 70000, "protocol": "ICMP"}]


@pytest.mark.parametrize(
    ("gvk", "path", "value", "texts"),
    [
        ("/v1/Pod", "spec.containers", [], ["spec.containers: Required value"]),
        ("/v1/Pod", C + "image", "", ["spec.containers[0].image: Required value"]),
        ("/v1/Pod", C + "name", "a.b", ['spec.containers[0].name: Invalid value: "a.b": must not contain dots']),
        (
            "/v1/Pod",
            C + "ports",
            PORTS,
            [
                'spec.containers[0].ports[1].name: Duplicate value: "http"',
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
                'spec.containers[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
            ],
        ),
        (
            "/v1/Pod",
            C + "volumeMounts",
            [{"name": "no", "mountPath": "/a"}],
            ['spec.containers[0].volumeMounts[0].name: Not found: "no"'],
        ),
        (
            "/v1/Pod",
            C + "resources",
            {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
            ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
        ),
        (
            "/v1/Pod",
            C + "livenessProbe",
            {},
            ["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
        ),
        (
            "/v1/Pod",
            C + "env",
            [{"name": "a=b"}],
            [
                'spec.containers[0].env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of '
                "printable ASCII characters other than '='"
            ],
        ),
        (
            "/v1/Pod",
            "spec.restartPolicy",
            "Maybe",
            ['spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"'],
        ),
        (
            "/v1/Pod",
            "spec.volumes",
            [{"name": "v", "secret": {"secretName": "s"}, "emptyDir": {}}],
            ["spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            "apps/v1/Deployment",
            "spec.template.metadata.labels",
            {"app": "b"},
            ['spec.template.metadata.labels: Invalid value: {"app":"b"}: `selector` does not match template `labels`'],
        ),
        (
            "apps/v1/Deployment",
            "spec.selector",
            None,
            [
                "spec.selector: Required value",
                'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
            ],
        ),
        (
            "apps/v1/Deployment",
            "spec.replicas",
            -1,
            ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            "apps/v1/Deployment",
            "spec.strategy",
            {"type": "Sideways"},
            [
                'spec.strategy: Unsupported value: {"Type":"Sideways","RollingUpdate":null}: '
                'supported values: "Recreate", "RollingUpdate"'
            ],
        ),
        ("/v1/Service", "spec.ports", [], ["spec.ports: Required value"]),
        (
            "/v1/Service",
            "spec.ports.0.nodePort",
            30000,
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        ("/v1/Service", "spec.type", "ExternalName", ["spec.externalName: Required value"]),
        (
            "/v1/ConfigMap",
            "data",
            {"..": "x"},
            [
                "data[..]: Invalid value: \"..\": must not be '..'",
            ],
        ),
        ("/v1/Secret", "type", "kubernetes.io/tls", ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        (
            "batch/v1/Job",
            "spec.template.spec.restartPolicy",
            "Always",
            ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
        ),
        (
            "batch/v1/CronJob",
            "spec.schedule",
            "60 * * * *",
            ['spec.schedule: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60'],
        ),
        (
            "batch/v1/CronJob",
            "spec.schedule",
            "* * * *",
            ['spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]'],
        ),
        (
            "batch/v1/CronJob",
            "spec.timeZone",
            "Mars/Base",
            ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base'],
        ),
        (
            "batch/v1/CronJob",
            "metadata.name",
            "x" * 53,
            [f'metadata.name: Invalid value: "{"x" * 53}": must be no more than 52 characters'],
        ),
        (
            "networking.k8s.io/v1/Ingress",
            "spec.rules.0.http.paths.0.path",
            "a",
            ['spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path'],
        ),
        (
            "networking.k8s.io/v1/NetworkPolicy",
            "spec.ingress",
            [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}],
            [
                'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'
            ],
        ),
        (
            "rbac.authorization.k8s.io/v1/RoleBinding",
            "subjects",
            [{"kind": "Robot", "name": "r"}],
            ['subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"'],
        ),
        (
            "/v1/PersistentVolumeClaim",
            "spec.accessModes",
            [],
            ["spec.accessModes: Required value: at least 1 access mode is required"],
        ),
        (
            "/v1/LimitRange",
            "spec.limits.0.min",
            {"cpu": "2"},
            [
                'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
                'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1',
                'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1',
            ],
        ),
        (
            "/v1/ResourceQuota",
            "spec.hard",
            {"pods": "1500m"},
            ['spec.hard[pods]: Invalid value: "1500m": must be an integer'],
        ),
        (
            "policy/v1/PodDisruptionBudget",
            "spec.minAvailable",
            "120%",
            ['spec.minAvailable: Invalid value: "120%": must not be greater than 100%'],
        ),
    ],
)
def test_refused_when_new(gvk, path, value, texts):
    assert refusals(gvk, made(gvk, (path, value))) == texts


STATEFUL = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


@pytest.mark.parametrize(
    ("gvk", "changes", "texts"),
    [
        (
            "apps/v1/Deployment",
            [("spec.selector.matchLabels.b", "c"), ("spec.template.metadata.labels.b", "c")],
            ['spec.selector: Invalid value: {"matchLabels":{"app":"a","b":"c"}}: field is immutable'],
        ),
        ("apps/v1/Deployment", [("spec.replicas", 3)], []),
        ("apps/v1/StatefulSet", [("spec.serviceName", "s")], [STATEFUL]),
        ("/v1/Secret", [("type", "Other")], ['type: Invalid value: "Other": field is immutable']),
        ("/v1/Pod", [(C + "image", "nginx:2")], []),
        (
            "rbac.authorization.k8s.io/v1/RoleBinding",
            [("roleRef.name", "s")],
            [
                'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"s"}: '
                "cannot change roleRef"
            ],
        ),
        (
            "storage.k8s.io/v1/StorageClass",
            [("provisioner", "x.y/z")],
            ['provisioner: Invalid value: "x.y/z": field is immutable'],
        ),
        ("scheduling.k8s.io/v1/PriorityClass", [("value", 2)], ["value: Forbidden: may not be changed in an update."]),
        ("batch/v1/Job", [("spec.parallelism", 5), ("spec.completions", 1)], []),
    ],
)
def test_refused_when_changed(gvk, changes, texts):
    assert refusals(gvk, made(gvk, *changes), made(gvk)) == texts


def test_pods_hardly_change():
    (text,) = refusals("/v1/Pod", made("/v1/Pod", (C + "command", ["a"])), made("/v1/Pod"))
    assert text.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,")


def test_immutable_configuration():
    old = made("/v1/ConfigMap", ("immutable", True))
    texts = refusals("/v1/ConfigMap", made("/v1/ConfigMap", ("data", {"a": "c"})), old)
    assert texts == [
        "immutable: Forbidden: field is immutable when `immutable` is set",
        "data: Forbidden: field is immutable when `immutable` is set",
    ]


def test_finalizers_of_built_in_kinds_have_a_domain():
    texts = refusals("/v1/ConfigMap", made("/v1/ConfigMap", ("metadata.finalizers", ["mine", "a.b/c", "orphan"])))
    assert texts == [
        'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified'
    ]
