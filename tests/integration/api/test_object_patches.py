"""The four kinds of patch over HTTP, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Api, configmap, deployment, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_strategic_merge_joins_lists_by_key(api: Api) -> None:
    await api.made(DEPLOYMENTS, deployment("d"))
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "x:1"}]}}}}
    new = (await api.patch(f"{DEPLOYMENTS}/d", sidecar, STRATEGIC_PATCH)).json()
    assert [c["name"] for c in new["spec"]["template"]["spec"]["containers"]] == ["sidecar", "c"]
    assert new["metadata"]["generation"] == 2


async def test_merge_patch_replaces_lists_and_removes_nulls(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a", x="1", y="2"))
    new = (await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": None, "z": "3"}})).json()
    assert new["data"] == {"y": "2", "z": "3"}


async def test_json_patch(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a", x="1"))
    operations = [{"op": "test", "path": "/data/x", "value": "1"}, {"op": "move", "from": "/data/x", "path": "/data/y"}]
    new = (await api.patch(f"{CONFIGMAPS}/a", operations, JSON_PATCH)).json()
    assert new["data"] == {"y": "1"}
    failed = await api.patch(f"{CONFIGMAPS}/a", operations, JSON_PATCH)
    assert failure(failed, 422, "Invalid")["message"].startswith("the server rejected our request")


async def test_a_patch_with_a_revision_insists_on_it(api: Api) -> None:
    made = await api.made(CONFIGMAPS, configmap("a"))
    locked = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"x": "1"}}
    assert (await api.patch(f"{CONFIGMAPS}/a", locked)).status_code == 200
    locked["data"] = {"x": "2"}
    failure(await api.patch(f"{CONFIGMAPS}/a", locked), 409, "Conflict")


REFUSED: list[tuple[str, Any, int, str, str]] = [
    ("application/json", {}, 415, "UnsupportedMediaType", "Unsupported Media Type"),
    (MERGE_PATCH, b'{"a":', 400, "BadRequest", "error decoding patch: unexpected end of JSON input"),
    (MERGE_PATCH, [], 400, "BadRequest", "cannot unmarshal array into Go value of type map[string]interface {}"),
    (JSON_PATCH, {}, 400, "BadRequest", "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
    (JSON_PATCH, [{"op": "remove", "path": "/nope"}], 422, "Invalid", "due to an error in our request"),
    (JSON_PATCH, [{"op": "add", "path": "/data", "value": "x"}], 422, "Invalid", "patch: Invalid value"),
    (MERGE_PATCH, {"data": {"x": 1}}, 422, "Invalid", "json: cannot unmarshal number"),
    (MERGE_PATCH, {"metadata": {"name": "b"}}, 400, "BadRequest", "does not match the name on the URL"),
    (MERGE_PATCH, {"metadata": {"labels": {"a b": "c"}}}, 422, "Invalid", "metadata.labels"),
    (APPLY_PATCH, {"kind": "ConfigMap"}, 422, "Invalid", "fieldManager: Required value: is required for apply patch"),
]


@pytest.mark.parametrize(("content_type", "body", "code", "reason", "text"), REFUSED)
async def test_refused_patches(api: Api, content_type: str, body: Any, code: int, reason: str, text: str) -> None:
    made = await api.made(CONFIGMAPS, configmap("a", x="1"))
    answer = await api.patch(f"{CONFIGMAPS}/a", body, content_type)
    assert text in failure(answer, code, reason)["message"]
    assert (await api.get(f"{CONFIGMAPS}/a")).json() == made


async def test_force_is_for_apply_alone(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    status = failure(await api.patch(f"{CONFIGMAPS}/a?force=true", {}), 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "force"


async def test_a_patch_of_nothing_is_not_found(api: Api) -> None:
    failure(await api.patch(f"{CONFIGMAPS}/a", {"data": {}}), 404, "NotFound")


async def test_unknown_fields_warn_or_fail(api: Api) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    warned = await api.patch(f"{CONFIGMAPS}/a", {"foo": 1})
    assert warned.headers.get_list("warning") == ['299 - "unknown field \\"foo\\""']
    ignored = await api.patch(f"{CONFIGMAPS}/a?fieldValidation=Ignore", {"foo": 1})
    assert "warning" not in ignored.headers
    strict = failure(await api.patch(f"{CONFIGMAPS}/a?fieldValidation=Strict", {"foo": 1}), 422, "Invalid")
    assert strict["message"].endswith('strict decoding error: unknown field "foo"')


async def test_apply_creates_and_owns(api: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1", "y": "1"}}
    made = await api.patch(f"{CONFIGMAPS}/a?fieldManager=one", body, APPLY_PATCH)
    assert made.status_code == 201
    (entry,) = made.json()["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("one", "Apply")
    assert entry["fieldsV1"] == {"f:data": {"f:x": {}, "f:y": {}}}
    again = await api.patch(f"{CONFIGMAPS}/a?fieldManager=one", body, APPLY_PATCH)
    assert (again.status_code, again.json()) == (200, made.json())

    body["data"] = {"x": "2"}
    conflict = failure(await api.patch(f"{CONFIGMAPS}/a?fieldManager=two", body, APPLY_PATCH), 409, "Conflict")
    assert conflict["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.x'
    assert conflict["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    forced = await api.patch(f"{CONFIGMAPS}/a?fieldManager=two&force=true", body, APPLY_PATCH)
    assert forced.json()["data"] == {"x": "2", "y": "1"}

    body["data"] = {}
    dropped = await api.patch(f"{CONFIGMAPS}/a?fieldManager=one", body, APPLY_PATCH)
    assert dropped.json()["data"] == {"x": "2"}


async def test_apply_takes_yaml(api: Api) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: 'yes'\n"
    assert (await api.patch(f"{CONFIGMAPS}/a?fieldManager=m", body, APPLY_PATCH)).json()["data"] == {"x": "yes"}
    assert (await api.patch(f"{CONFIGMAPS}/a?fieldManager=m&dryRun=All", body, APPLY_PATCH)).status_code == 200


async def test_writers_are_tracked(api: Api) -> None:
    made = await api.made(DEPLOYMENTS, deployment("d"))
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("tester", "Update", "apps/v1")
    status = {"status": {"replicas": 1}}
    await api.patch(f"{DEPLOYMENTS}/d/status?fieldManager=kubelet", status)
    new = (await api.patch(f"{DEPLOYMENTS}/d?fieldManager=me", {"spec": {"replicas": 3}})).json()
    entries = {(e["manager"], e.get("subresource", "")): e for e in new["metadata"]["managedFields"]}
    assert entries["kubelet", "status"]["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    assert entries["me", ""]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in entries["tester", ""]["fieldsV1"]["f:spec"]


async def test_what_the_server_fills_in_belongs_to_nobody(api: Api) -> None:
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    made = await api.made("/api/v1/namespaces/default/services", service)
    assert made["spec"]["clusterIP"]
    assert "f:clusterIP" not in made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]


async def test_the_status_is_a_subresource(api: Api) -> None:
    await api.made(DEPLOYMENTS, {**deployment("d"), "status": {"replicas": 9}})
    new = (await api.patch(f"{DEPLOYMENTS}/d", {"status": {"replicas": 5}})).json()
    assert new["status"] == {}
    new = (await api.patch(f"{DEPLOYMENTS}/d/status", {"status": {"replicas": 5}, "spec": {"replicas": 7}})).json()
    assert (new["status"], new["spec"]["replicas"]) == ({"replicas": 5}, 1)
    assert new["metadata"]["generation"] == 1
    assert (await api.get(f"{DEPLOYMENTS}/d/status")).json() == new
    failure(await api.get(f"{CONFIGMAPS}/a/status"), 404, "NotFound")


async def test_status_writes_and_metadata(api: Api) -> None:
    change = {"metadata": {"labels": {"l": "1"}, "annotations": {"a": "1"}}}
    await api.made(DEPLOYMENTS, deployment("d"))
    metadata = (await api.patch(f"{DEPLOYMENTS}/d/status", change)).json()["metadata"]
    assert ("labels" in metadata, metadata["annotations"]) == (False, {"a": "1"})
    works = "/apis/work.karmada.io/v1alpha1/namespaces/default/works"
    work = {"apiVersion": "work.karmada.io/v1alpha1", "kind": "Work", "metadata": {"name": "w"}, "spec": {}}
    await api.made(works, work)
    status = {"status": {"conditions": []}}
    metadata = (await api.patch(f"{works}/w/status", {**change, **status})).json()["metadata"]
    assert "l" not in metadata.get("labels", {})
    assert "a" not in metadata.get("annotations", {})


async def test_the_scale(api: Api) -> None:
    made = await api.made(DEPLOYMENTS, deployment("d", replicas=2))
    scale = (await api.get(f"{DEPLOYMENTS}/d/scale")).json()
    assert scale["kind"] == "Scale"
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 0, "selector": "app=d"})
    scale["spec"]["replicas"] = 3
    put = await api.put(f"{DEPLOYMENTS}/d/scale", scale)
    assert put.json()["spec"] == {"replicas": 3}
    failure(await api.put(f"{DEPLOYMENTS}/d/scale", {**scale, "spec": {"replicas": 4}}), 409, "Conflict")
    await api.patch(f"{DEPLOYMENTS}/d/scale?fieldManager=scaler", {"spec": {"replicas": 5}})
    new = (await api.get(f"{DEPLOYMENTS}/d")).json()
    assert (new["spec"]["replicas"], new["metadata"]["generation"]) == (5, 3)
    assert ("scaler", "scale") in [(e["manager"], e.get("subresource")) for e in new["metadata"]["managedFields"]]
    failure(await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": -1}}), 422, "Invalid")
    failure(await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": "many"}}), 422, "Invalid")
    failure(await api.put(f"{DEPLOYMENTS}/d/scale", made), 400, "BadRequest")
    applied = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 6}}
    answer = await api.patch(f"{DEPLOYMENTS}/d/scale?fieldManager=hpa&force=true", applied, APPLY_PATCH)
    assert answer.json()["spec"] == {"replicas": 6}


async def test_what_cannot_be_tracked_is_written_untracked(api: Api) -> None:
    """An element without its key has no name in managedFields. Only an apply is refused for that."""
    path = "/api/v1/namespaces/default/serviceaccounts"
    account = {"metadata": {"name": "a"}, "secrets": [{"namespace": "default"}]}
    made = await api.made(path, account)
    assert "managedFields" not in made["metadata"]
    changed = (await api.patch(f"{path}/a", {"metadata": {"labels": {"a": "b"}}})).json()
    assert (changed["metadata"]["labels"], "managedFields" in changed["metadata"]) == ({"a": "b"}, False)
