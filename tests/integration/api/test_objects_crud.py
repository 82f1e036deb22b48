"""Create, read, update: what a client of any Kubernetes API server relies on."""

from __future__ import annotations

import re

from .conftest import Api, configmap, deployment, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_create_fills_what_the_server_owns(api: Api) -> None:
    body = configmap("a", key="value")
    body["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "selfLink": "/x", "generation": 7}
    made = await api.made(CONFIGMAPS, body)
    metadata = made["metadata"]
    assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", metadata["uid"])
    assert metadata["creationTimestamp"] > "2026"
    assert metadata["namespace"] == "default"
    assert metadata["resourceVersion"].isdecimal()
    assert "selfLink" not in metadata
    assert metadata["generation"] == 7  # kinds that have none leave it alone
    assert (await api.get(f"{CONFIGMAPS}/a")).json() == made


async def test_create_twice_conflicts(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    status = failure(await api.post(CONFIGMAPS, configmap("a")), 409, "AlreadyExists")
    assert status["message"] == 'configmaps "a" already exists'
    assert status["details"] == {"name": "a", "kind": "configmaps"}


async def test_create_with_a_resource_version_is_refused(api: Api) -> None:
    body = configmap("a")
    body["metadata"]["resourceVersion"] = "5"
    status = (await api.post(CONFIGMAPS, body)).json()  # kube-apiserver makes no Status of its own of it
    assert (status["code"], "reason" in status) == (500, False)
    assert status["message"] == "resourceVersion should not be set on objects to be created"


async def test_generate_name(api: Api) -> None:
    body = {"metadata": {"generateName": "x" * 80 + "-"}}
    names = {(await api.made(CONFIGMAPS, body))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch("x{58}[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in names)


async def test_a_missing_object_is_named(api: Api) -> None:
    status = failure(await api.get(f"{DEPLOYMENTS}/nope"), 404, "NotFound")
    assert status["message"] == 'deployments.apps "nope" not found'
    assert status["details"] == {"name": "nope", "group": "apps", "kind": "deployments"}


async def test_an_update_of_an_old_revision_conflicts(api: Api) -> None:
    made = await api.made(DEPLOYMENTS, deployment("d"))
    made["spec"]["replicas"] = 2
    updated = (await api.put(f"{DEPLOYMENTS}/d", made)).json()
    assert updated["metadata"]["generation"] == 2
    assert int(updated["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    status = failure(await api.put(f"{DEPLOYMENTS}/d", made), 409, "Conflict")
    assert "the object has been modified; please apply your changes to the latest version" in status["message"]


async def test_an_update_without_a_resource_version_is_unconditional(api: Api) -> None:
    await api.made(DEPLOYMENTS, deployment("d"))
    answer = await api.put(f"{DEPLOYMENTS}/d", deployment("d", replicas=4))
    assert answer.json()["spec"]["replicas"] == 4


async def test_an_update_that_changes_nothing_keeps_the_revision(api: Api) -> None:
    made = await api.made(DEPLOYMENTS, deployment("d"))
    before = api.cache.revision
    assert (await api.put(f"{DEPLOYMENTS}/d", made)).json() == made
    patched = await api.patch(f"{DEPLOYMENTS}/d", {"spec": {"replicas": 1}})
    assert patched.json() == made
    assert api.cache.revision == before


async def test_names_in_body_and_path_must_agree(api: Api) -> None:
    made = await api.made(CONFIGMAPS, configmap("a"))
    status = failure(await api.put(f"{CONFIGMAPS}/b", made), 400, "BadRequest")
    assert status["message"] == "the name of the object (a) does not match the name on the URL (b)"
    made["metadata"]["namespace"] = "other"
    status = failure(await api.put(f"{CONFIGMAPS}/a", made), 400, "BadRequest")
    assert status["message"] == "the namespace of the provided object does not match the namespace sent on the request"


async def test_dry_run_answers_and_stores_nothing(api: Api) -> None:
    revision = api.cache.revision
    made = await api.post(f"{CONFIGMAPS}?dryRun=All", configmap("a"))
    assert made.status_code == 201
    assert "resourceVersion" not in made.json()["metadata"]
    failure(await api.get(f"{CONFIGMAPS}/a"), 404, "NotFound")
    assert api.cache.revision == revision

    stored = await api.made(CONFIGMAPS, configmap("a", x="1"))
    revision = api.cache.revision
    for answer in (
        await api.put(f"{CONFIGMAPS}/a?dryRun=All", configmap("a", x="2")),
        await api.patch(f"{CONFIGMAPS}/a?dryRun=All", {"data": {"x": "2"}}),
    ):
        assert answer.json()["data"] == {"x": "2"}
        assert answer.json()["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert (await api.delete(f"{CONFIGMAPS}/a?dryRun=All")).status_code == 200
    assert (await api.delete(f"{CONFIGMAPS}?dryRun=All")).status_code == 200
    assert api.cache.revision == revision
    assert (await api.get(f"{CONFIGMAPS}/a")).json() == stored
    failure(await api.post(f"{CONFIGMAPS}?dryRun=Some", configmap("b")), 422, "Invalid")


async def test_a_status_of_a_pod_keeps_its_quality_of_service(api: Api) -> None:
    """Old kubelets leave it out."""
    containers = [{"name": "c", "image": "i"}]
    pods = "/api/v1/namespaces/default/pods"
    made = await api.made(pods, {"metadata": {"name": "p"}, "spec": {"containers": containers}})
    assert made["status"]["qosClass"] == "BestEffort"
    answer = await api.put(f"{pods}/p/status", {**made, "status": {"phase": "Running"}})
    assert answer.status_code == 200, answer.text
    status = answer.json()["status"]
    assert (status["phase"], status["qosClass"]) == ("Running", "BestEffort")
