"""Deletion: finalizers, propagation, preconditions, collections, namespaces that end."""

from __future__ import annotations

import pytest

from .conftest import Api, configmap, deployment, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_a_free_object_goes_at_once(api: Api) -> None:
    made = await api.made(DEPLOYMENTS, deployment("d"))
    answer = await api.delete(f"{DEPLOYMENTS}/d")
    details = {"name": "d", "group": "apps", "kind": "deployments", "uid": made["metadata"]["uid"]}
    assert answer.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
    failure(await api.delete(f"{DEPLOYMENTS}/d"), 404, "NotFound")


async def test_finalizers_hold_an_object(api: Api) -> None:
    body = configmap("a")
    body["metadata"]["finalizers"] = ["example.com/one", "example.com/two"]
    await api.made(CONFIGMAPS, body)
    marked = (await api.delete(f"{CONFIGMAPS}/a")).json()
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert (await api.delete(f"{CONFIGMAPS}/a")).json() == marked
    again = failure(await api.post(CONFIGMAPS, body), 409, "AlreadyExists")
    assert again["message"].startswith("object is being deleted: ")
    more = {"metadata": {"finalizers": [*body["metadata"]["finalizers"], "example.com/three"]}}
    status = failure(await api.patch(f"{CONFIGMAPS}/a", more), 422, "Invalid")
    assert "no new finalizers can be added if the object is being deleted" in status["message"]
    failure(await api.post(CONFIGMAPS, configmap("a")), 409, "AlreadyExists")
    assert (await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": ["example.com/two"]}})).status_code == 200
    stream = api.watch(CONFIGMAPS, f"resourceVersion={api.cache.revision}")
    last = await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}, "data": {"last": "word"}})
    assert last.status_code == 200
    event = await stream.event()
    assert (event["type"], event["object"]["data"]) == ("DELETED", {"last": "word"})
    await stream.leave()
    failure(await api.get(f"{CONFIGMAPS}/a"), 404, "NotFound")


POLICIES = [
    ({"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
    ({"propagationPolicy": "Orphan"}, ["orphan"]),
    ({"orphanDependents": True}, ["orphan"]),
]


@pytest.mark.parametrize(("options", "finalizers"), POLICIES)
@pytest.mark.parametrize("where", ["body", "query"])
async def test_propagation_is_left_to_the_collector(api: Api, options: dict, finalizers: list[str], where: str) -> None:
    await api.made(DEPLOYMENTS, deployment("d"))
    if where == "body":
        answer = await api.delete(f"{DEPLOYMENTS}/d", {"kind": "DeleteOptions", "apiVersion": "v1", **options})
    else:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        answer = await api.delete(f"{DEPLOYMENTS}/d?{query}")
    metadata = answer.json()["metadata"]
    assert metadata["finalizers"] == finalizers
    assert metadata["generation"] == 2


BAD_OPTIONS = [
    ({"propagationPolicy": "Some"}, 422, 'supported values: "Foreground", "Background", "Orphan", "nil"'),
    ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422, "cannot be both set"),
    ({"propagationPolicy": 5}, 400, "cannot unmarshal number"),
    ({"kind": "Foo", "apiVersion": "v1"}, 400, 'no kind "Foo" is registered'),
    ({"dryRun": ["Some"]}, 422, "dryRun"),
    ({"gracePeriodSeconds": "x"}, 400, "cannot unmarshal string"),
    ([], 400, "json: cannot unmarshal array into Go value of type struct"),
]


@pytest.mark.parametrize(("options", "code", "text"), BAD_OPTIONS)
async def test_options_that_make_no_sense(api: Api, options: object, code: int, text: str) -> None:
    await api.made(CONFIGMAPS, configmap("a"))
    answer = await api.delete(f"{CONFIGMAPS}/a", options)
    assert text in failure(answer, code, "Invalid" if code == 422 else "BadRequest")["message"]
    assert (await api.get(f"{CONFIGMAPS}/a")).status_code == 200
    failure(await api.delete(f"{CONFIGMAPS}/a?gracePeriodSeconds=x"), 400, "BadRequest")


async def test_preconditions(api: Api) -> None:
    made = await api.made(CONFIGMAPS, configmap("a"))
    wrong = {"preconditions": {"uid": "other"}}
    assert (
        "UID in the precondition (other)"
        in failure(await api.delete(f"{CONFIGMAPS}/a", wrong), 409, "Conflict")["message"]
    )
    old = {"preconditions": {"resourceVersion": "1"}}
    failure(await api.delete(f"{CONFIGMAPS}/a", old), 409, "Conflict")
    right = {"preconditions": {k: made["metadata"][k] for k in ("uid", "resourceVersion")}}
    assert (await api.delete(f"{CONFIGMAPS}/a", right)).status_code == 200


async def test_a_collection_is_deleted_by_selector_and_page(api: Api) -> None:
    for i in range(5):
        body = configmap(f"c-{i}")
        body["metadata"]["labels"] = {"go": "yes" if i else "no"}
        body["metadata"]["finalizers"] = ["example.com/x"] if i == 4 else []
        await api.made(CONFIGMAPS, body)
    first = (await api.delete(f"{CONFIGMAPS}?labelSelector=go%3Dyes&limit=2")).json()
    assert [item["metadata"]["name"] for item in first["items"]] == ["c-1", "c-2"]
    rest = (await api.delete(f"{CONFIGMAPS}?labelSelector=go%3Dyes")).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c-3", "c-4"]
    left = (await api.get(CONFIGMAPS)).json()["items"]
    assert [(i["metadata"]["name"], "deletionTimestamp" in i["metadata"]) for i in left] == [
        ("c-0", False),
        ("c-4", True),
    ]
    failure(await api.delete("/api/v1/configmaps"), 405, "MethodNotAllowed")


async def test_nothing_is_created_in_a_namespace_that_ends(api: Api) -> None:
    failure(await api.post("/api/v1/namespaces/nope/configmaps", configmap("a")), 404, "NotFound")
    await api.made("/api/v1/namespaces", {"metadata": {"name": "team"}})
    await api.made("/api/v1/namespaces/team/configmaps", configmap("a"))
    ending = (await api.delete("/api/v1/namespaces/team")).json()
    assert ending["status"] == {"phase": "Terminating"}
    assert ending["spec"] == {"finalizers": ["kubernetes"]}
    status = failure(await api.post("/api/v1/namespaces/team/configmaps", configmap("b")), 403, "Forbidden")
    assert "unable to create new content in namespace team because it is being terminated" in status["message"]
    assert status["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace team is being terminated",
            "field": "metadata.namespace",
        }
    ]
    ending["spec"]["finalizers"] = []
    assert (await api.put("/api/v1/namespaces/team/finalize", ending)).status_code == 200
    failure(await api.get("/api/v1/namespaces/team"), 404, "NotFound")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_some_namespaces_stay(api: Api, name: str) -> None:
    status = failure(await api.delete(f"/api/v1/namespaces/{name}"), 403, "Forbidden")
    assert status["message"] == f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    failure(await api.delete("/api/v1/namespaces"), 405, "MethodNotAllowed")


async def test_a_deleted_collection_is_answered_as_it_was(api: Api) -> None:
    body = configmap("held")
    body["metadata"]["finalizers"] = ["example.com/one"]
    made = await api.made(CONFIGMAPS, body)
    (listed,) = (await api.delete(f"{CONFIGMAPS}?fieldSelector=metadata.name%3Dheld")).json()["items"]
    assert listed["metadata"] == made["metadata"]
    assert (await api.get(f"{CONFIGMAPS}/held")).json()["metadata"]["deletionTimestamp"]
