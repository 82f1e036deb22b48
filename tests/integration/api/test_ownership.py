"""Whose fields are whose where kube-apiserver's answer surprises; what controllers of stock Kubernetes leave behind shows it."""

from __future__ import annotations

from typing import Any

from .conftest import Api
from .test_certificate_requests import REQUEST

APPS = "/apis/apps/v1/namespaces/default"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def owned(obj: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    """The fields of the one manager that wrote through ``subresource``."""
    (entry,) = [f for f in obj["metadata"]["managedFields"] if f.get("subresource", "") == subresource]
    return entry["fieldsV1"]


async def test_status_that_a_node_brings_along_is_nobodys(api: Api) -> None:
    node = {"metadata": {"name": "n", "labels": {"a": "b"}}, "status": {"capacity": {"cpu": "1"}}}
    made = await api.made("/api/v1/nodes", node)
    assert made["status"]["capacity"] == {"cpu": "1"}
    assert set(owned(made)) == {"f:metadata"}


async def test_binding_owns_nothing_and_is_no_generation(api: Api) -> None:
    pods = "/api/v1/namespaces/default/pods"
    await api.made(pods, {"metadata": {"name": "p"}, "spec": TEMPLATE["spec"]})
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    assert (await api.post(f"{pods}/p/binding", binding)).status_code == 201
    bound = (await api.get(f"{pods}/p")).json()
    assert bound["spec"]["nodeName"] == "n"
    assert bound["metadata"]["generation"] == 1
    assert [f.get("subresource", "") for f in bound["metadata"]["managedFields"]] == [""]


async def test_data_of_a_revision_is_owned_as_a_whole(api: Api) -> None:
    revision = {"metadata": {"name": "r"}, "revision": 1, "data": {"spec": {"template": {"x": 1}}}}
    assert owned(await api.made(f"{APPS}/controllerrevisions", revision)) == {"f:data": {}, "f:revision": {}}


async def test_scaling_is_recorded_without_a_time(api: Api) -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    await api.made(f"{APPS}/statefulsets", {"metadata": {"name": "s"}, "spec": spec})
    await api.patch(f"{APPS}/statefulsets/s/scale", {"spec": {"replicas": 3}})
    entries = (await api.get(f"{APPS}/statefulsets/s")).json()["metadata"]["managedFields"]
    assert [("time" in entry, entry.get("subresource")) for entry in entries] == [(False, "scale"), (True, None)]


async def test_labels_that_a_job_is_given_are_nobodys(api: Api) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    spec = {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}
    made = await api.made(jobs, {"metadata": {"name": "j"}, "spec": spec})
    assert made["metadata"]["labels"] == made["spec"]["template"]["metadata"]["labels"]
    made["status"] = {"ready": 0, "uncountedTerminatedPods": {}}
    written = (await api.put(f"{jobs}/j/status", made)).json()
    assert set(owned(written, "status")) == {"f:status"}
    assert "f:metadata" not in owned(written)


async def test_the_generation_of_a_daemons_template_is_its_creators(api: Api) -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    made = await api.made(f"{APPS}/daemonsets", {"metadata": {"name": "d"}, "spec": spec})
    annotation = "deprecated.daemonset.template.generation"
    assert made["metadata"]["annotations"] == {annotation: "1"}
    assert owned(made)["f:metadata"]["f:annotations"] == {".": {}, f"f:{annotation}": {}}


async def test_scaling_is_not_recorded_where_nobody_owns_the_replicas(api: Api) -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    path = f"{APPS}/deployments/d"
    apply = {"content-type": "application/apply-patch+yaml"}
    assert (await api.patch(f"{path}?fieldManager=a", config, headers=apply)).status_code == 201
    assert (await api.patch(f"{path}/scale", {"spec": {"replicas": 3}})).status_code == 200
    entries = (await api.get(path)).json()["metadata"]["managedFields"]
    assert [entry["manager"] for entry in entries] == ["a"]


async def test_nobody_owns_replicas_that_were_scaled_to_zero(api: Api) -> None:
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    path = f"{APPS}/deployments/z"
    await api.made(f"{APPS}/deployments", {"metadata": {"name": "z"}, "spec": spec})
    for count, owners in ((1, [True, False]), (0, [False]), (3, [False])):
        assert (await api.patch(f"{path}/scale", {"spec": {"replicas": count}})).status_code == 200
        entries = (await api.get(path)).json()["metadata"]["managedFields"]
        assert ["f:replicas" in entry["fieldsV1"]["f:spec"] for entry in entries] == owners


async def test_a_scale_with_fields_that_it_has_not_is_refused(api: Api) -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    await api.made(f"{APPS}/deployments", {"metadata": {"name": "s"}, "spec": spec})
    path = f"{APPS}/deployments/s/scale"
    strict = await api.patch(f"{path}?fieldValidation=Strict", {"spec": {"bogus": 1}})
    assert (strict.status_code, 'unknown field \\"spec.bogus\\"' in strict.text) == (422, True)
    warned = await api.patch(path, {"spec": {"bogus": 1}})
    assert (warned.status_code, warned.headers["warning"]) == (200, '299 - "unknown field \\"spec.bogus\\""')
    other = await api.put(path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "s"}})
    assert other.json()["message"].endswith("converting (v1.Deployment) to (autoscaling.Scale): unknown conversion")
    stranger = await api.put(path, {"metadata": {"name": "s", "uid": "x"}, "spec": {"replicas": 1}})
    assert stranger.status_code == 409


async def test_what_was_nobodys_belongs_to_nobody_after_an_apply_where_it_is_reset(api: Api) -> None:
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/c?fieldManager=a"
    spec = {"request": REQUEST, "signerName": "example.com/s", "usages": ["client auth"]}
    config = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "c"},
        "spec": spec,
    }
    apply = {"content-type": "application/apply-patch+yaml"}
    for _ in range(2):
        answer = await api.patch(path, config, headers=apply)
        assert "managedFields" not in answer.json()["metadata"]


async def test_who_sends_more_than_a_part_of_a_pod_owns_it(api: Api) -> None:
    pods = "/api/v1/namespaces/default/pods"
    spec = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]}
    await api.made(pods, {"metadata": {"name": "p"}, "spec": spec})
    change = {"spec": {"activeDeadlineSeconds": 3, "ephemeralContainers": [{"name": "e", "image": "i"}]}}
    answer = await api.patch(f"{pods}/p/ephemeralcontainers?fieldManager=d", change)
    assert (answer.status_code, "activeDeadlineSeconds" in answer.json()["spec"]) == (200, False)
    (entry,) = [e for e in answer.json()["metadata"]["managedFields"] if e["manager"] == "d"]
    assert set(entry["fieldsV1"]["f:spec"]) == {"f:activeDeadlineSeconds", "f:ephemeralContainers"}
