"""Karmada's label keeps every kind, by whatever way it is to go."""

from __future__ import annotations

import pytest

from kafila.core.values import Object

from .conftest import MERGE_PATCH, Api

LABEL = "resourcetemplate.karmada.io/deletion-protected"
REFUSAL = (
    'admission webhook "resourcedeletionprotection.karmada.io" denied the request: This resource is protected, please make '
    f"sure to remove the label: {LABEL}"
)
RULES: Object = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
CONTAINER = {"name": "c", "image": "nginx:1"}
GROUP = "/apis/policy.karmada.io/v1alpha1"
OBJECTS: dict[str, Object] = {  # of every storage and every way of going that there is
    "/api/v1/namespaces": {},
    "/api/v1/namespaces/default/configmaps": {},
    "/api/v1/namespaces/default/pods": {"spec": {"containers": [CONTAINER]}},
    "/api/v1/namespaces/default/events": {"involvedObject": {"namespace": "default"}},
    "/apis/rbac.authorization.k8s.io/v1/clusterroles": RULES,
    f"{GROUP}/clustertaintpolicies": {
        "kind": "ClusterTaintPolicy",
        "apiVersion": "policy.karmada.io/v1alpha1",
        "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
    },
    f"{GROUP}/namespaces/default/propagationpolicies": {
        "kind": "PropagationPolicy",
        "apiVersion": "policy.karmada.io/v1alpha1",
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "Secret"}], "placement": {}},
    },
}


def protected(fields: Object, value: str = "Always") -> Object:
    return {"metadata": {"name": "kept", "labels": {LABEL: value}}, **fields}


@pytest.mark.parametrize("path", OBJECTS)
async def test_one_by_one_and_as_a_collection(api: Api, path: str) -> None:
    await api.made(path, protected(OBJECTS[path]))
    for request in (f"{path}/kept", f"{path}/kept?dryRun=All", f"{path}?fieldSelector=metadata.name=kept"):
        if path.endswith("/namespaces") and "fieldSelector" in request:
            continue  # namespaces cannot be deleted as a collection
        answer = await api.delete(request)
        assert answer.status_code == 403, request
        assert answer.json()["message"] == REFUSAL
        assert (answer.json()["reason"], answer.json()["status"]) == ("Forbidden", "Failure")
    assert (await api.get(f"{path}/kept")).json()["metadata"].get("deletionTimestamp") is None
    unlocked = {"metadata": {"labels": {LABEL: None}}}
    assert (await api.patch(f"{path}/kept", unlocked, MERGE_PATCH)).status_code == 200
    assert (await api.delete(f"{path}/kept")).status_code == 200


async def test_an_eviction_is_a_deletion(api: Api) -> None:
    path = "/api/v1/namespaces/default/pods"
    await api.made(path, protected(OBJECTS[path]))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "kept", "namespace": "default"}}
    answer = await api.post(f"{path}/kept/eviction", eviction)
    assert (answer.status_code, answer.json()["message"]) == (403, REFUSAL)


async def test_other_values_keep_nothing(api: Api) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    await api.made(path, protected({}, "always"))
    assert (await api.delete(f"{path}/kept")).status_code == 200
