"""Kubernetes' own admission plugins: what they add, what they refuse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from kafila.admission import Admission
from kafila.admission.plugins.attributes import Lookups
from kafila.catalog.catalog import builtin_kinds
from kafila.catalog.kind import Kind
from kafila.core.admission_plugins import ON
from kafila.core.errors import StatusError
from kafila.core.values import Object

HIGH: Object = {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"}
BASE: Object = {"metadata": {"name": "base"}, "value": 5, "globalDefault": True}
KATA: Object = {
    "metadata": {"name": "kata"},
    "handler": "kata",
    "overhead": {"podFixed": {"cpu": "10m"}},
    "scheduling": {"nodeSelector": {"kata": "yes"}, "tolerations": [{"key": "kata", "operator": "Exists"}]},
}


def kind(resource: str) -> Kind:
    return next(k for k in builtin_kinds() if k.resource == resource)


def around(plugins: frozenset[str] = ON, **there: list[Object]) -> Admission:
    """Admission that finds these objects, by the first word of their resource."""

    def objects(resource: str) -> Iterable[Object]:
        return there.get(resource.partition(".")[0], ())

    def one(resource: str, namespace: str, name: str) -> Object | None:
        return next((obj for obj in objects(resource) if obj["metadata"]["name"] == name), None)

    return Admission(look=Lookups(objects, lambda resource, namespace: objects(resource), one), plugins=plugins)


def pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


def admitted(obj: Object, resource: str = "pods", old: Object | None = None, **there: list[Object]) -> Object:
    around(**there).mutate(kind(resource), "UPDATE" if old else "CREATE", obj, old, None)
    return obj["spec"]


def refusal(obj: Object, **there: list[Object]) -> str:
    with pytest.raises(StatusError) as refused:
        admitted(obj, **there)
    assert refused.value.code == 403
    return refused.value.status()["message"]


def test_a_plain_pod_gets_priority_and_tolerations() -> None:
    spec = admitted(pod())
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert [(t["key"], t["effect"], t["tolerationSeconds"]) for t in spec["tolerations"]] == [
        ("node.kubernetes.io/not-ready", "NoExecute", 300),
        ("node.kubernetes.io/unreachable", "NoExecute", 300),
    ]


@pytest.mark.parametrize(
    ("toleration", "added"),
    [
        ({"operator": "Exists"}, 0),
        ({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}, 1),
        ({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule"}, 2),
        ({"key": "other", "operator": "Exists"}, 2),
    ],
)
def test_what_the_pod_tolerates_already_is_left(toleration: Object, added: int) -> None:
    spec = admitted(pod(tolerations=[toleration]))
    assert spec["tolerations"][0] == toleration
    assert len(spec["tolerations"]) == 1 + added


def test_priority_comes_from_the_named_or_the_default_class() -> None:
    named = admitted(pod(priorityClassName="high"), priorityclasses=[HIGH, BASE])
    assert (named["priority"], named["preemptionPolicy"]) == (1000, "Never")
    by_default = admitted(pod(), priorityclasses=[HIGH, BASE])
    assert (by_default["priority"], by_default["priorityClassName"]) == (5, "base")


def test_a_pod_may_not_choose_its_priority() -> None:
    assert refusal(pod(priorityClassName="none")) == 'pods "p" is forbidden: no PriorityClass with name none was found'
    assert refusal(pod(priority=7)) == (
        'pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; '
        "priority admission controller computed 0 from the given PriorityClass name"
    )


def test_an_update_keeps_the_priority() -> None:
    old = pod(priority=3, preemptionPolicy="Never")
    assert admitted(pod(), old=old)["priority"] == 3


def test_a_runtime_class_brings_overhead_and_scheduling() -> None:
    spec = admitted(pod(runtimeClassName="kata", nodeSelector={"a": "b"}), runtimeclasses=[KATA])
    assert spec["overhead"] == {"cpu": "10m"}
    assert spec["nodeSelector"] == {"a": "b", "kata": "yes"}
    assert {"key": "kata", "operator": "Exists"} in spec["tolerations"]
    assert refusal(pod(runtimeClassName="none")).endswith('pod rejected: RuntimeClass "none" not found')
    assert "doesn't match" in refusal(pod(runtimeClassName="kata", overhead={"cpu": "1"}), runtimeclasses=[KATA])
    with pytest.raises(StatusError) as refused:
        around().admit(kind("pods"), "CREATE", pod(overhead={"cpu": "1"}), None, None)
    assert "without corresponding" in refused.value.status()["message"]
    assert "conflict: " in refusal(pod(runtimeClassName="kata", nodeSelector={"kata": "no"}), runtimeclasses=[KATA])


def test_a_new_node_is_tainted_until_it_is_ready() -> None:
    node: Object = {"metadata": {"name": "n"}}
    assert admitted(node, "nodes")["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    later: Object = {"metadata": {"name": "n"}, "spec": {}}
    assert admitted(later, "nodes", old=node) == {}


def test_defaults_of_storage_and_ingress_are_the_newest_marked_class() -> None:
    def marked(name: str, prefix: str, at: str) -> Object:
        annotations = {f"{prefix}.kubernetes.io/is-default-class": "true"}
        return {"metadata": {"name": name, "creationTimestamp": at, "annotations": annotations}}

    storage = [
        marked("old", "storageclass", "2020-01-01T00:00:00Z"),
        marked("new", "storageclass", "2021-01-01T00:00:00Z"),
    ]
    claim = admitted({"metadata": {"name": "c"}, "spec": {}}, "persistentvolumeclaims", storageclasses=storage)
    assert claim["storageClassName"] == "new"
    chosen = {"metadata": {"name": "c"}, "spec": {"storageClassName": ""}}
    assert admitted(chosen, "persistentvolumeclaims", storageclasses=storage)["storageClassName"] == ""
    classes = [marked("nginx", "ingressclass", "2020-01-01T00:00:00Z")]
    ingress = admitted({"metadata": {"name": "i"}, "spec": {}}, "ingresses.networking.k8s.io", ingressclasses=classes)
    assert ingress["ingressClassName"] == "nginx"


def test_only_one_priority_class_is_the_default() -> None:
    classes = kind("priorityclasses.scheduling.k8s.io")
    other = {"metadata": {"name": "other"}, "value": 1, "globalDefault": True}
    with pytest.raises(StatusError, match="already marked as default"):
        around(priorityclasses=[BASE]).admit(classes, "CREATE", other, None, None)
    around(priorityclasses=[BASE]).admit(classes, "UPDATE", BASE, BASE, None)
    around(priorityclasses=[HIGH]).admit(classes, "CREATE", other, None, None)


def claim(size: str, phase: str = "Bound") -> Object:
    spec = {"storageClassName": "fast", "resources": {"requests": {"storage": size}}}
    return {"metadata": {"name": "c", "namespace": "ns"}, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("old", "classes", "why"),
    [
        (claim("2Gi"), [], ""),  # not bigger
        (claim("1Gi"), [{"metadata": {"name": "fast"}, "allowVolumeExpansion": True}], ""),
        (claim("1Gi"), [{"metadata": {"name": "fast"}}], "only dynamically provisioned pvc can be resized"),
        (claim("1Gi"), [], "only dynamically provisioned pvc can be resized"),
        (claim("1Gi", "Pending"), [], "Only bound persistent volume claims can be expanded"),
    ],
)
def test_claims_grow_where_their_class_lets_them(old: Object, classes: list[Object], why: str) -> None:
    def change() -> None:
        around(storageclasses=classes).admit(kind("persistentvolumeclaims"), "UPDATE", claim("2Gi"), old, None)

    if not why:
        change()
        return
    with pytest.raises(StatusError) as refused:
        change()
    assert why in refused.value.status()["message"]


@pytest.mark.parametrize(("labels", "allowed"), [({}, False), ({"resource.kubernetes.io/admin-access": "true"}, True)])
def test_admin_access_is_for_marked_namespaces(labels: Object, allowed: bool) -> None:
    request = {"name": "r", "exactly": {"deviceClassName": "c", "adminAccess": True}}
    asked = {"metadata": {"name": "c", "namespace": "ns"}, "spec": {"devices": {"requests": [request]}}}
    namespaces = [{"metadata": {"name": "ns", "labels": labels}}]
    claims = kind("resourceclaims.resource.k8s.io")
    if allowed:
        around(namespaces=namespaces).admit(claims, "CREATE", asked, None, None)
        return
    with pytest.raises(StatusError) as refused:
        around(namespaces=namespaces).admit(claims, "CREATE", asked, None, None)
    assert refused.value.code == 422
