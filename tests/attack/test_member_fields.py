"""What a member adds to a copy stays when something else changes here: else the member's API refuses all of it, or it is taken
back and added again for ever.

Each case: what we write, what the member made of it when it was created or since, what is written now, and what comes of it.
Updates are judged by the same rules as kube-apiserver's (`make diff-kube` compares them; tests/clusters shows some on real ones).
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement.interpreter import NATIVE
from kafila.placement.work.member_object import member_update
from tests.integration.reconcile.conftest import Lab
from tests.integration.reconcile.conftest import lab as _lab

lab = _lab
MANAGED = {"karmada.io/managed": "true"}


class Case(NamedTuple):
    name: str
    manifest: Object  # without metadata
    added: Object  # merged into it: the member's doing
    changed: Object  # merged into the manifest: ours
    wanted: Object  # a part of what the member has then


def merged(obj: Any, patch: Any) -> Any:
    """Lists of objects with names and more are merged by these, other lists are replaced."""
    if isinstance(obj, dict) and isinstance(patch, dict):
        return {**obj, **{key: merged(obj.get(key), value) for key, value in patch.items()}}
    if _are_named(obj) and _are_named(patch):
        by_name = {each["name"]: each for each in obj}
        for each in patch:
            by_name[each["name"]] = merged(by_name.get(each["name"], {}), each)
        return list(by_name.values())
    return copy.deepcopy(patch)


def _are_named(items: Any) -> bool:
    return (
        isinstance(items, list)
        and bool(items)
        and all(isinstance(i, dict) and "name" in i and len(i) > 1 for i in items)
    )


def has(obj: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(obj, dict) and all(has(obj.get(key), value) for key, value in part.items())
    if isinstance(part, list) and part and isinstance(part[0], dict):
        return isinstance(obj, list) and len(obj) >= len(part) and all(map(has, obj, part))
    return obj == part


def pod(**spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "nginx:1"}], **spec}}


def named(*names: str) -> list[Object]:
    return [{"name": name} for name in names]


NEW_IMAGE: Object = {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}
TEMPLATE: Object = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}
NO_HOOK: Object = {
    "name": "hook.example.com",
    "clientConfig": {"url": "https://hook.example.com"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
CASES = (
    Case(
        "Pod: a sidecar, what limits and a webhook give to containers",
        pod(),
        {
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                        "env": [{"name": "A", "value": "1"}],
                        "imagePullPolicy": "Always",
                        "volumeMounts": [{"name": "t", "mountPath": "/t"}],
                        "securityContext": {"runAsNonRoot": True},
                    },
                    {"name": "sidecar", "image": "proxy:1"},
                ],
                "initContainers": [{"name": "setup", "image": "setup:1"}],
                "volumes": [{"name": "t", "emptyDir": {}}],
            }
        },
        NEW_IMAGE,
        {
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "image": "nginx:2",
                        "resources": {"limits": {"cpu": "1"}},
                        "imagePullPolicy": "Always",
                    },
                    {"name": "sidecar", "image": "proxy:1"},
                ],
                "initContainers": [{"name": "setup"}],
            }
        },
    ),
    Case(
        "Pod: tolerations are added to",
        pod(tolerations=[{"key": "ours", "operator": "Exists"}]),
        {
            "spec": {
                "tolerations": [
                    {"key": "ours", "operator": "Exists"},
                    {"key": "theirs", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                ]
            }
        },
        merged(NEW_IMAGE, {"spec": {"tolerations": [{"key": "new", "operator": "Exists"}]}}),
        {
            "spec": {
                "tolerations": [{"key": "ours"}, {"key": "theirs"}, *[{"effect": "NoExecute"}] * 2, {"key": "new"}],
                "containers": [{"image": "nginx:2"}],
            }
        },
    ),
    Case(
        "Pod: classes, secrets and selectors that admission fills in",
        pod(nodeSelector={"disk": "fast"}),
        {
            "spec": {
                "nodeSelector": {"disk": "fast", "pool": "a"},
                "imagePullSecrets": named("registry"),
                "schedulerName": "theirs",
                "readinessGates": [{"conditionType": "example.com/ready"}],
                "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
            }
        },
        NEW_IMAGE,
        {
            "spec": {
                "nodeSelector": {"pool": "a"},
                "imagePullSecrets": named("registry"),
                "containers": [{"image": "nginx:2"}],
            }
        },
    ),
    Case(
        "Pod: a gate that was opened there stays open, one that is opened here opens",
        pod(schedulingGates=named("example.com/a", "example.com/b", "example.com/c")),
        {"spec": {"schedulingGates": named("example.com/b", "example.com/c")}},
        {"spec": {"schedulingGates": named("example.com/a", "example.com/b")}},
        {"spec": {"schedulingGates": named("example.com/b")}},
    ),
    Case(
        "Service: ports, families and the class of its load balancer",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "spec": {
                "type": "LoadBalancer",
                "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}],
                "selector": {"app": "web"},
            },
        },
        {
            "spec": {
                "loadBalancerClass": "example.com/lb",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}],
            }
        },
        {"spec": {"selector": {"app": "other"}}},
        {
            "spec": {
                "loadBalancerClass": "example.com/lb",
                "selector": {"app": "other"},
                "ports": [{"nodePort": 30080}, {"nodePort": 30081}],
            }
        },
    ),
    Case(
        "Service: the family that the member has",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "spec": {"ports": [{"port": 80}], "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"},
        },
        {"spec": {"ipFamilies": ["IPv4"]}},
        {"spec": {"selector": {"app": "other"}}},
        {"spec": {"ipFamilies": ["IPv4"], "selector": {"app": "other"}}},
    ),
    Case(
        "Service: the family that the member has, with the policy that is asked for",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "spec": {"ports": [{"port": 80}], "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"},
        },
        {"spec": {"ipFamilies": ["IPv4"]}},
        {"spec": {"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "PreferDualStack"}},
        {"spec": {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "PreferDualStack"}},
    ),
    Case(
        "PersistentVolumeClaim: its default class, and a size that it has grown to",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
        {
            "spec": {
                "storageClassName": "fast",
                "volumeName": "pv-1",
                "resources": {"requests": {"storage": "2Gi"}},
            },
            "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}},
        },
        {"metadata": {"labels": {"new": "1"}}},
        {
            "metadata": {"labels": {"new": "1"}},
            "spec": {"storageClassName": "fast", "volumeName": "pv-1", "resources": {"requests": {"storage": "2Gi"}}},
        },
    ),
    Case(
        "PersistentVolume: whose it is, and a size that it has grown to",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": "/data"},
            },
        },
        {
            "spec": {
                "capacity": {"storage": "2Gi"},
                "claimRef": {"namespace": "default", "name": "data", "uid": "1"},
                "nodeAffinity": {
                    "required": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
                        ]
                    }
                },
            }
        },
        {"metadata": {"labels": {"new": "1"}}},
        {"metadata": {"labels": {"new": "1"}}, "spec": {"capacity": {"storage": "2Gi"}, "claimRef": {"name": "data"}}},
    ),
    Case(
        "Job: what a queue gives to its pods",
        {"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 1, "template": TEMPLATE}},
        {
            "spec": {
                "managedBy": "kueue.x-k8s.io/multikueue",
                "template": {
                    "metadata": {"labels": {"queue": "a"}},
                    "spec": {"nodeSelector": {"pool": "a"}, "tolerations": [{"key": "pool", "operator": "Exists"}]},
                },
            }
        },
        {"spec": {"parallelism": 3}},
        {
            "spec": {
                "parallelism": 3,
                "managedBy": "kueue.x-k8s.io/multikueue",
                "template": {"metadata": {"labels": {"queue": "a"}}, "spec": {"nodeSelector": {"pool": "a"}}},
            }
        },
    ),
    Case(
        "StatefulSet: replicas that an autoscaler owns",
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"labels": {"resourcetemplate.karmada.io/retain-replicas": "true"}},
            "spec": {
                "replicas": 1,
                "serviceName": "it",
                "selector": {"matchLabels": {"app": "it"}},
                "template": {
                    "metadata": {"labels": {"app": "it"}},
                    "spec": {"containers": [{"name": "c", "image": "a"}]},
                },
            },
        },
        {"spec": {"replicas": 5}},
        {"spec": {"minReadySeconds": 1}},
        {"spec": {"replicas": 5, "minReadySeconds": 1}},
    ),
    Case(
        "Ingress: its default class",
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
        },
        {"spec": {"ingressClassName": "theirs"}},
        {"spec": {"defaultBackend": {"service": {"name": "other"}}}},
        {"spec": {"ingressClassName": "theirs", "defaultBackend": {"service": {"name": "other"}}}},
    ),
    Case(
        "ClusterRole: rules that are gathered there",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part": "1"}}]},
            "rules": [],
        },
        {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        {"metadata": {"labels": {"new": "1"}}},
        {"metadata": {"labels": {"new": "1"}}, "rules": [{"resources": ["pods"]}]},
    ),
    Case(
        "ServiceAccount: secrets of both sides",
        {"apiVersion": "v1", "kind": "ServiceAccount", "imagePullSecrets": named("ours")},
        {"secrets": named("token"), "imagePullSecrets": named("ours", "theirs")},
        {"metadata": {"labels": {"new": "1"}}},
        {"secrets": named("token"), "imagePullSecrets": named("ours", "theirs")},
    ),
    Case(
        "ConfigMap: closed there",
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}},
        {"immutable": True},
        {"metadata": {"labels": {"new": "1"}}},
        {"metadata": {"labels": {"new": "1"}}, "immutable": True},
    ),
    Case(
        "ValidatingWebhookConfiguration: the authority that an injector writes",
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "webhooks": [NO_HOOK],
        },
        {"webhooks": [{"name": NO_HOOK["name"], "clientConfig": {"caBundle": "Q0E="}}]},
        {"webhooks": [{"name": NO_HOOK["name"], "timeoutSeconds": 3}]},
        {"webhooks": [{"timeoutSeconds": 3, "clientConfig": {"caBundle": "Q0E=", "url": "https://hook.example.com"}}]},
    ),
    Case(
        "APIService: the authority that an injector writes",
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "spec": {
                "group": "example.com",
                "version": "v1",
                "groupPriorityMinimum": 100,
                "versionPriority": 1,
                "service": {"namespace": "default", "name": "it"},
            },
        },
        {"spec": {"caBundle": "Q0E="}},
        {"spec": {"versionPriority": 2}},
        {"spec": {"versionPriority": 2, "caBundle": "Q0E="}},
    ),
    Case(
        "CustomResourceDefinition: the authority of its conversion",
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "gadgets", "kind": "Gadget"},
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
                ],
                "conversion": {
                    "strategy": "Webhook",
                    "webhook": {
                        "clientConfig": {"url": "https://hook.example.com"},
                        "conversionReviewVersions": ["v1"],
                    },
                },
            },
        },
        {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": "LS0tLS1CRUdJTg=="}}}}},
        {"metadata": {"labels": {"new": "1"}}},
        {
            "metadata": {"labels": {"new": "1"}},
            "spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": "LS0tLS1CRUdJTg=="}}}},
        },
    ),
)


def manifest(case: Case) -> Object:
    name = "v1.example.com" if case.manifest["kind"] == "APIService" else "it"
    if case.manifest["kind"] == "CustomResourceDefinition":
        name = "gadgets.example.com"
    given = case.manifest.get("metadata", {})
    return merged({"metadata": {"name": name, "labels": {**MANAGED}}}, {**case.manifest, "metadata": given})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_the_member_added_stays_and_what_is_changed_here_arrives(lab: Lab, case: Case) -> None:
    ours = manifest(case)
    found = await lab.create(merged(ours, case.added))
    if "status" in case.added:
        kind, name = case.manifest["kind"], found["metadata"]["name"]
        found = await lab.change(kind, name, lambda obj: obj.update(status=case.added["status"]), subresource="status")
    update = member_update(merged(ours, case.changed), found, "m1")
    assert update is not None
    written = await put(lab, update)
    assert has(written, case.wanted), written


async def put(lab: Lab, update: Object) -> Object:
    def replaced(obj: Object) -> None:
        metadata = {**obj["metadata"], **update["metadata"]}
        status = {"status": obj["status"]} if "status" in obj else {}
        obj.clear()
        obj.update({**update, "metadata": metadata, **status})

    kind = "Ingress.networking.k8s.io" if update["kind"] == "Ingress" else update["kind"]
    return await lab.change(kind, update["metadata"]["name"], replaced)


async def test_an_ephemeral_container_stays(lab: Lab) -> None:
    ours = manifest(CASES[0])
    await lab.create(ours)
    debugger = {"name": "debug", "image": "busybox", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"}
    found = await lab.change(
        "Pod", "it", lambda obj: obj["spec"].update(ephemeralContainers=[debugger]), subresource="ephemeralcontainers"
    )
    update = member_update(merged(ours, NEW_IMAGE), found, "m1")
    assert update is not None
    written = await put(lab, update)
    assert [each["name"] for each in written["spec"]["ephemeralContainers"]] == ["debug"]
    assert written["spec"]["containers"][0]["image"] == "nginx:2"


async def test_what_is_asked_for_and_forbidden_is_refused_and_not_swallowed(lab: Lab) -> None:
    ours = manifest(CASES[0])
    found = await lab.create(ours)
    changed = merged(ours, {"spec": {"containers": [{"name": "c", "command": ["sleep"]}]}})
    update = member_update(changed, found, "m1")
    assert update is not None
    with pytest.raises(StatusError, match="pod updates may not change fields other than"):
        await put(lab, update)


def test_each_retained_kind_has_a_case() -> None:
    from kafila.placement.interpreter.native import _RETAIN
    from kafila.placement.interpreter.thirdparty.table import THIRD_PARTY

    shown = {(case.manifest["apiVersion"].rpartition("/")[0], case.manifest["kind"]) for case in CASES}
    elsewhere = {("apps", "Deployment"), ("apps", "ReplicaSet"), ("", "Secret")}
    hooks = {("admissionregistration.k8s.io", "MutatingWebhookConfiguration")}
    found = {
        gvk for gvk in _RETAIN if f"{gvk.group}/{gvk.version}/{gvk.kind}" not in THIRD_PARTY
    }  # those: test_third_party.py
    assert {(gvk.group, gvk.kind) for gvk in found} == shown | elsewhere | hooks
    assert NATIVE
