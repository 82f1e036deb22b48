"""An override changes how an object is in a member, never what it is: a tenant's ConfigMap stays a ConfigMap of that tenant."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.placement.interpreter import InterpretError
from kafila.placement.interpreter.answers import same_object
from kafila.registry import Registry
from tests.integration.reconcile.conftest import Lab, _known_queues, lab, two

__all__ = ["_known_queues", "lab", "two"]
UID = "resourcetemplate.karmada.io/uid"


class AdmitAll:
    """What an older version let pass."""

    plugins: frozenset[str] = frozenset()

    def mutate(self, *arguments: Any) -> None: ...

    def admit(self, *arguments: Any) -> None: ...


def plaintext(path: str, value: Any = "x", operator: str = "replace") -> Object:
    return {"plaintext": [{"path": path, "operator": operator, "value": value}]}


def image(path: str) -> Object:
    return {
        "imageOverrider": [
            {"predicate": {"path": path}, "component": "Registry", "operator": "replace", "value": "evil"}
        ]
    }


def field(path: str) -> Object:
    patch = {"subPath": "/0", "operator": "replace", "value": "x"}
    return {"fieldOverrider": [{"fieldPath": path, "yaml": [patch]}]}


def marks(which: str, key: str, operator: str = "add") -> Object:
    return {f"{which}Overrider": [{"operator": operator, "value": {key: "x"}}]}


CHANGES: dict[str, tuple[str, Object]] = {
    "kind": ("plaintext[0].path: Forbidden: kind", plaintext("/kind", "Secret")),
    "version": ("plaintext[0].path: Forbidden: apiVersion", plaintext("/apiVersion", "v2")),
    "name": ("plaintext[0].path: Forbidden: metadata.name", plaintext("/metadata/name")),
    "namespace": ("plaintext[0].path: Forbidden: metadata.namespace", plaintext("/metadata/namespace", "kube-system")),
    "namespace gone": (
        "plaintext[0].path: Forbidden: metadata.namespace",
        {"plaintext": [{"path": "/metadata/namespace", "operator": "remove"}]},
    ),
    "metadata": ("plaintext[0].path: Forbidden: metadata says", plaintext("/metadata", {"name": "x"})),
    "root": ("plaintext[0].path: Forbidden: the whole object", plaintext("", {"kind": "Secret"})),
    "no slash first": ("plaintext[0].path: Forbidden: kind", plaintext("x/kind", "Secret")),
    "uid": ("plaintext[0].path: Forbidden: metadata.uid", plaintext("/metadata/uid", "1", "add")),
    "owner": ("plaintext[0].path: Forbidden: metadata.ownerReferences", plaintext("/metadata/ownerReferences/-", {})),
    "mark": (
        "plaintext[0].path: Forbidden: metadata.labels[karmada.io/managed]",
        plaintext("/metadata/labels/karmada.io~1managed", "no", "add"),
    ),
    "mark in a map": (
        f"plaintext[0].path: Forbidden: metadata.annotations[{UID}]",
        plaintext("/metadata/annotations", {"a": "b", UID: "1"}, "add"),
    ),
    "image at the name": ("imageOverrider[0].predicate.path: Forbidden: metadata.name", image("/metadata/name")),
    "image at the kind": ("imageOverrider[0].predicate.path: Forbidden: kind", image("//kind/")),
    "text in the name": ("fieldOverrider[0].fieldPath: Forbidden: metadata.name", field("/metadata/name")),
    "text in a mark": (
        f"fieldOverrider[0].fieldPath: Forbidden: metadata.annotations[{UID}]",
        field("/metadata/annotations/resourcetemplate.karmada.io~1uid"),
    ),
    "label": ("labelsOverrider[0].value: Forbidden: metadata.labels", marks("labels", "work.karmada.io/permanent-id")),
    "annotation": ("annotationsOverrider[0].value: Forbidden: metadata.annotations", marks("annotations", UID)),
    "annotation gone": (
        "annotationsOverrider[0].value: Forbidden: metadata.annotations",
        marks("annotations", "work.karmada.io/name", "remove"),
    ),
}


def override(kind: str, overriders: Object, old_form: bool = False) -> Object:
    spec: Object = {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "web"}]}
    spec |= {"overriders": overriders} if old_form else {"overrideRules": [{"overriders": overriders}]}
    metadata = {"name": "o", "namespace": "default"} if kind == "OverridePolicy" else {"name": "o"}
    return {"apiVersion": "policy.karmada.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("case", CHANGES)
async def test_it_is_refused_when_it_is_written(lab: Lab, case: str) -> None:
    where, overriders = CHANGES[case]
    for kind in ("OverridePolicy", "ClusterOverridePolicy"):
        for old_form, at in ((False, "spec.overrideRules[0].overriders."), (True, "spec.overriders.")):
            with pytest.raises(StatusError) as refusal:
                await lab.create(override(kind, overriders, old_form))
            assert (refusal.value.code, refusal.value.reason) == (403, "Forbidden")
            assert at + where in refusal.value.message


async def test_what_leaves_the_object_what_it_is_is_taken(lab: Lab) -> None:
    harmless = {
        **plaintext("/metadata/labels", {"kind": "name"}, "add"),
        **image("/data/kind"),
        **field("/data/name"),
        **marks("labels", "managed"),
    }
    for kind in ("OverridePolicy", "ClusterOverridePolicy"):
        await lab.create(override(kind, harmless))


@pytest.mark.parametrize(
    ("overriders", "field"),
    [
        (plaintext("/kind", "Secret"), "kind"),
        (plaintext("/metadata/name", "other"), "metadata.name"),
        (plaintext("/metadata/namespace", "kube-system"), "metadata.namespace"),
        (plaintext("", {"apiVersion": "v1", "kind": "ConfigMap"}), "metadata.name"),
        (plaintext("", []), "metadata"),
        (plaintext("/metadata", "x"), "metadata"),
        (image("/metadata/name"), "metadata.name"),
        (marks("annotations", UID), f"metadata.annotations[{UID}]"),
    ],
    ids=str,
)
async def test_what_was_stored_before_is_not_applied_and_said(two: Lab, overriders: Object, field: str) -> None:
    older = two.registry
    two.registry = Registry(older.catalog, two.store, older.cache, AdmitAll())  # type: ignore[arg-type]
    policy = override("OverridePolicy", overriders)
    policy["spec"]["overrideRules"][0]["targetCluster"] = {"clusterNames": ["m1"]}
    await two.create(policy)
    two.registry = older
    await two.create(two.policy("policy", select=[{"apiVersion": "v1", "kind": "ConfigMap"}]))
    await two.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "default"}, "data": {}}
    )
    await two.rest()
    assert two.in_clusters("ConfigMap", "web") == ["m2"]
    assert [w["metadata"]["namespace"] for w in two.list("Work") if "web" in w["metadata"]["name"]] == ["karmada-es-m2"]
    message = f"override policy(default/o): {field} says what the object is and must not be changed"
    told = {(reason, text) for _, reason, text, _ in two.events("ConfigMap", "web")}
    assert ("SyncWorkFailed", message) in told
    assert any(reason == "ApplyOverridePolicyFailed" and field in text for reason, text in told)
    binding = two.get("ResourceBinding", "web-configmap")
    assert two.condition(binding, "FullyApplied")["status"] == "False"
    assert binding["status"]["aggregatedStatus"] == [
        {"clusterName": "m1", "appliedMessage": f"the Work cannot be written: {message}", "health": "Unknown"},
        {"clusterName": "m2", "applied": True, "health": "Healthy"},
    ]


@pytest.mark.parametrize("operation", ["ReviseReplica", "Retain"])
def test_what_scripts_and_webhooks_answer_is_the_same_object(operation: str) -> None:
    metadata = {"name": "web", "namespace": "default", "uid": "1", "labels": {"karmada.io/managed": "true", "a": "b"}}
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    for field, value in (("kind", "Secret"), ("apiVersion", "v2")):
        with pytest.raises(InterpretError, match=f"must not change {field}"):
            same_object({**obj, field: value}, obj, operation)
    for field, value in (("name", "x"), ("namespace", "kube-system"), ("uid", "2")):
        with pytest.raises(InterpretError, match=rf"must not change metadata\.{field}"):
            same_object({**obj, "metadata": {**metadata, field: value}}, obj, operation)
    forged = {"karmada.io/managed": "no", "work.karmada.io/permanent-id": "x", "a": "c"}
    made = same_object({**obj, "metadata": {**metadata, "labels": forged}}, obj, operation)
    assert made["metadata"]["labels"] == {"karmada.io/managed": "true", "a": "c"}
    with pytest.raises(InterpretError, match=r"metadata\.labels"):
        same_object({**obj, "metadata": {**metadata, "labels": ["x"]}}, obj, operation)


async def test_an_override_that_comes_later_leaves_the_copy_as_it_is(two: Lab) -> None:
    await two.create(two.policy("policy", "m1"))
    await two.create(two.deployment(replicas=2))
    await two.until(lambda: two.get("Deployment", "web").get("status", {}).get("readyReplicas") == 2)
    await two.rest()
    copy = two.in_member("m1", "Deployment", "web")
    bad = {"annotationsOverrider": [{"operator": "add", "value": {"a": "b"}}], **plaintext("/metadata/labels", "x")}
    policy = override("OverridePolicy", bad)
    policy["spec"]["resourceSelectors"] = [{"apiVersion": "apps/v1", "kind": "Deployment"}]
    await two.create(policy)
    await two.rest()
    assert (
        two.in_member("m1", "Deployment", "web")["metadata"]["resourceVersion"] == copy["metadata"]["resourceVersion"]
    )
    (item,) = two.get("ResourceBinding", "web-deployment")["status"]["aggregatedStatus"]
    assert (item.get("applied"), item["status"]["readyReplicas"]) == (None, 2)
    assert item["appliedMessage"] == (
        "the Work cannot be written: metadata.labels is no map of strings after the overrides"
    )
    await two.delete("OverridePolicy", "o")
    await two.rest()
    (item,) = two.get("ResourceBinding", "web-deployment")["status"]["aggregatedStatus"]
    assert (item["applied"], item.get("appliedMessage")) == (True, None)
    assert two.is_true(two.get("ResourceBinding", "web-deployment"), "FullyApplied")
