"""Requests that delete much of what policies have placed in clusters are refused until somebody approves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kafila.core.clock import rfc3339
from kafila.core.values import Object
from kafila.placement import bulk_deletion, constants
from kafila.placement.withdrawal import ALWAYS, APPROVED, HELD
from kafila.registry.context import DeleteOptions

from .conftest import Api, configmap, failure

PATH = "/api/v1/namespaces/shop/configmaps"
SHOP = "/api/v1/namespaces/shop"
POLICIES = "/apis/policy.karmada.io/v1alpha1/namespaces/shop/propagationpolicies"
CLAIM = {constants.PP_PERMANENT_ID: "1234"}
BY = {constants.PP_NAMESPACE: "shop", constants.PP_NAME: "web"}
PRESERVING: Object = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "PropagationPolicy",
    "metadata": {"name": "web"},
    "spec": {
        "resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}],
        "preserveResourcesOnDeletion": True,
        "placement": {},
    },
}


def placed(name: str) -> Object:
    """As the detector marks what a policy has claimed."""
    obj = configmap(name)
    obj["metadata"] |= {"labels": CLAIM, "annotations": BY}
    return obj


@pytest.fixture
async def shop() -> AsyncIterator[Api]:
    """A namespace with five objects that a policy has claimed; three may go at once."""
    server = await Api(most_deleted=3).open()
    try:
        await server.made("/api/v1/namespaces", {"metadata": {"name": "shop"}})
        for number in range(5):
            await server.made(PATH, placed(f"c{number}"))
        yield server
    finally:
        await server.close()


async def left(api: Api) -> int:
    items = (await api.get(PATH)).json()["items"]
    return sum(1 for each in items if each["metadata"].get("labels") == CLAIM)


async def annotations(api: Api, path: str = SHOP) -> dict[str, str]:
    found: dict[str, str] = (await api.get(path)).json()["metadata"].get("annotations") or {}
    return found


async def told(api: Api) -> list[tuple[str, str]]:
    items = (await api.get("/api/v1/namespaces/default/events")).json()["items"]
    return sorted((each["reason"], each["involvedObject"]["name"]) for each in items)


async def approve(api: Api, path: str, value: str = "") -> None:
    said = {"metadata": {"annotations": {APPROVED: value or bulk_deletion.approval(time.time())}}}
    assert (await api.patch(path, said)).status_code == 200


async def test_a_collection_is_refused_as_a_whole(shop: Api) -> None:
    before = REGISTRY.get_sample_value("kafila_deletions_held_total", {"kind": "Namespace"}) or 0.0
    status = failure(await shop.delete(PATH), 403, "Forbidden")
    assert status["message"] == (
        "configmaps is forbidden: 5 objects are to be deleted that policies have placed in clusters: more than 3 at once wait "
        f"for an approval (kafila approve namespace shop, or annotation {APPROVED} of it: until when)"
    )
    assert await left(shop) == 5
    held = (await annotations(shop))[HELD]
    assert held.endswith("Z: 5 objects are to be deleted that policies have placed in clusters")
    assert await told(shop) == [("WithdrawalHeld", "shop")]
    failure(await shop.delete(PATH), 403, "Forbidden")
    assert await told(shop) == [("WithdrawalHeld", "shop")]
    assert REGISTRY.get_sample_value("kafila_deletions_held_total", {"kind": "Namespace"}) == before + 1
    await approve(shop, SHOP)
    assert (await shop.delete(PATH)).status_code == 200
    assert await left(shop) == 0
    assert HELD not in await annotations(shop)
    assert await told(shop) == [("WithdrawalApproved", "shop"), ("WithdrawalHeld", "shop")]


async def test_one_after_the_other_too(shop: Api) -> None:
    answers = [await shop.delete(f"{PATH}/c{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 403, 403]
    status = failure(answers[3], 403, "Forbidden")
    assert '"c3" is forbidden: 1 object is to be deleted' in status["message"]
    assert "after 3 within 60 s" in status["message"]
    assert await left(shop) == 2


async def asked(stack: AsyncExitStack, api: Api, path: str, name: str) -> None:
    """As a request that goes on until the stack ends, for its commit, or a webhook, takes a while."""
    kind = api.registry.kind("", "v1", path)
    namespace = "shop" if kind.namespaced else ""
    await stack.enter_async_context(api.registry.deletions.asked(kind, namespace, name, DeleteOptions()))


async def test_at_the_same_moment_too(shop: Api) -> None:
    """As Helm deletes a release."""
    async with AsyncExitStack() as stack:
        for number in range(3):
            await asked(stack, shop, "configmaps", f"c{number}")
        await asked(stack, shop, "configmaps", "c0")  # again
        failure(await shop.delete(f"{PATH}/c3"), 403, "Forbidden")
        assert (await shop.delete(f"{PATH}/c0")).status_code == 200
        failure(await shop.delete(f"{PATH}/c3"), 403, "Forbidden")
    answers = [await shop.delete(f"{PATH}/c{number}") for number in range(1, 5)]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403]


async def test_one_object_that_two_delete_at_the_same_moment_is_one(shop: Api) -> None:
    answers = await asyncio.gather(*(shop.delete(f"{PATH}/c{number // 2}") for number in range(6)))
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert await left(shop) == 2


async def test_what_was_refused_for_another_reason_does_not_count(shop: Api) -> None:
    wrong = {"preconditions": {"uid": "another"}}
    for _ in range(4):
        failure(await shop.delete(f"{PATH}/c0", wrong), 409, "Conflict")
    answers = [await shop.delete(f"{PATH}/c{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 403, 403]


async def test_namespaces_at_the_same_moment_too(shop: Api) -> None:
    for namespace in "abc":
        await shop.made("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for number in range(2):
            await shop.made(f"/api/v1/namespaces/{namespace}/configmaps", placed(f"c{number}"))
    async with AsyncExitStack() as stack:
        await asked(stack, shop, "namespaces", "a")
        failure(await shop.delete("/api/v1/namespaces/b"), 403, "Forbidden")
    assert (await shop.delete("/api/v1/namespaces/b")).status_code == 200
    failure(await shop.delete("/api/v1/namespaces/c"), 403, "Forbidden")


async def test_a_minute_later_it_goes_on(shop: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        assert (await shop.delete(f"{PATH}/c{number}")).status_code == 200
    failure(await shop.delete(f"{PATH}/c3"), 403, "Forbidden")
    ahead = time.monotonic() + 61
    monkeypatch.setattr("kafila.registry.deletions.time.monotonic", lambda: ahead)
    assert (await shop.delete(f"{PATH}/c3")).status_code == 200


async def test_a_namespace(shop: Api) -> None:
    status = failure(await shop.delete(SHOP), 403, "Forbidden")
    assert status["message"].startswith('namespaces "shop" is forbidden: 5 objects are to be deleted')
    assert (await shop.get(SHOP)).json()["status"]["phase"] == "Active"
    assert HELD in await annotations(shop)
    await approve(shop, SHOP)
    assert (await shop.delete(SHOP)).json()["status"]["phase"] == "Terminating"
    for number in range(5):  # what was let through is not asked about again
        assert (await shop.delete(f"{PATH}/c{number}")).status_code == 200


async def test_a_dry_run_is_refused_too_and_says_nothing(shop: Api) -> None:
    failure(await shop.delete(PATH, params={"dryRun": "All"}), 403, "Forbidden")
    assert HELD not in await annotations(shop)
    assert await told(shop) == []


async def test_what_is_placed_nowhere_goes(shop: Api) -> None:
    for number in range(9):
        await shop.made("/api/v1/namespaces/default/configmaps", configmap(f"c{number}"))
    assert (await shop.delete("/api/v1/namespaces/default/configmaps")).status_code == 200
    await shop.made("/api/v1/namespaces", {"metadata": {"name": "plain"}})
    assert (await shop.delete("/api/v1/namespaces/plain")).status_code == 200


async def test_what_stays_in_the_clusters_goes(shop: Api) -> None:
    await shop.made(POLICIES, PRESERVING)
    assert (await shop.delete(PATH)).status_code == 200


async def emptied(api: Api, namespace: str) -> None:
    """As the controllers do it with a namespace that ends."""
    for each in (await api.get(f"/api/v1/namespaces/{namespace}/configmaps")).json()["items"]:
        await api.registry.delete(
            api.registry.kind("", "v1", "configmaps"), namespace, each["metadata"]["name"], DeleteOptions()
        )
    path = f"/api/v1/namespaces/{namespace}"
    found = (await api.get(path)).json()
    assert (await api.put(f"{path}/finalize", {**found, "spec": {}})).status_code == 200
    assert (await api.get(path)).status_code == 404


async def test_namespaces_one_after_the_other(shop: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two objects are in each: what is ending, and what has gone, is counted, but not what was approved."""
    for namespace in "abcd":
        await shop.made("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for number in range(2):
            await shop.made(f"/api/v1/namespaces/{namespace}/configmaps", placed(f"c{number}"))
    assert (await shop.delete("/api/v1/namespaces/a")).status_code == 200
    status = failure(await shop.delete("/api/v1/namespaces/b"), 403, "Forbidden")
    assert status["message"].startswith('namespaces "b" is forbidden: 2 objects are to be deleted')
    assert "after 2 within 60 s: more than 3 at once" in status["message"]
    await emptied(shop, "a")
    failure(await shop.delete("/api/v1/namespaces/b"), 403, "Forbidden")
    await approve(shop, "/api/v1/namespaces/b")
    assert (await shop.delete("/api/v1/namespaces/b")).status_code == 200
    await emptied(shop, "b")
    ahead = time.monotonic() + 61
    monkeypatch.setattr("kafila.registry.deletions.time.monotonic", lambda: ahead)
    assert (await shop.delete("/api/v1/namespaces/c")).status_code == 200
    failure(await shop.delete("/api/v1/namespaces/d"), 403, "Forbidden")


@pytest.mark.parametrize("finalizers", [["example.com/wait"], ["foregroundDeletion"], ["orphan"]])
async def test_what_waits_for_finalizers_is_counted_when_it_is_deleted(shop: Api, finalizers: list[str]) -> None:
    """Once: neither again, nor when it goes."""
    for number in range(5):
        assert (await shop.patch(f"{PATH}/c{number}", {"metadata": {"finalizers": finalizers}})).status_code == 200
    assert (await shop.delete(f"{PATH}/c0")).status_code == 200
    assert (await shop.delete(f"{PATH}/c0")).status_code == 200
    assert (await shop.patch(f"{PATH}/c0", {"metadata": {"finalizers": None}})).status_code == 200
    failure(await shop.get(f"{PATH}/c0"), 404, "NotFound")
    answers = [await shop.delete(f"{PATH}/c{number}") for number in range(1, 5)]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403]


async def test_policies_are_not_placed(shop: Api) -> None:
    """They have the label by which they claim; deleting them takes nothing out of clusters."""
    for number in range(4):
        policy: Object = {**PRESERVING, "metadata": {"name": f"p{number}", "labels": CLAIM}}
        await shop.made(POLICIES, {**policy, "spec": {**policy["spec"], "preserveResourcesOnDeletion": False}})
    assert (await shop.delete(POLICIES)).status_code == 200
    assert (await shop.delete(f"{PATH}/c0")).status_code == 200


def binding_of(config_map: Object, **spec: Any) -> Object:
    meta = config_map["metadata"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"], "controller": True}
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "work.karmada.io/v1alpha2",
        "kind": "ResourceBinding",
        "metadata": {"name": f"{meta['name']}-configmap", "ownerReferences": [owner]},
        "spec": {"resource": resource, "placement": {}, "clusters": [{"name": "member1"}], **spec},
    }


@pytest.mark.parametrize("spec", [{}, {"preserveResourcesOnDeletion": True}])
async def test_what_stays_placed_after_its_policy_is_asked_about(shop: Api, spec: Object) -> None:
    """As the detector leaves it when its policy is deleted: nobody claims it, and its copies stay. So a second
    `kubectl delete -f` of a folder with a policy asks as the first did."""
    for number in range(5):
        unclaimed = {"metadata": {"labels": None, "annotations": None}}
        found = (await shop.patch(f"{PATH}/c{number}", unclaimed)).json()
        await shop.made("/apis/work.karmada.io/v1alpha2/namespaces/shop/resourcebindings", binding_of(found, **spec))
    if spec:
        assert (await shop.delete(PATH)).status_code == 200
        return
    failure(await shop.delete(PATH), 403, "Forbidden")
    failure(await shop.delete(SHOP), 403, "Forbidden")
    answers = [await shop.delete(f"{PATH}/c{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 403, 403]


async def test_one_that_is_made_again_begins_anew(shop: Api) -> None:
    await approve(shop, SHOP)
    assert (await shop.delete(SHOP)).status_code == 200
    await emptied(shop, "shop")
    await shop.made("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    await shop.made(PATH, placed("c0"))
    assert (await shop.delete(f"{PATH}/c0")).status_code == 200


@pytest.mark.parametrize("why", ["owned", "preserved", "finished"])
async def test_what_controllers_delete_and_what_stays_is_not_counted(shop: Api, why: str) -> None:
    """Four objects go, and then somebody deletes one."""
    kind, path = shop.registry.kind("", "v1", "configmaps"), PATH
    if why == "preserved":
        await shop.made(POLICIES, PRESERVING)
    elif why == "finished":
        kind, path = shop.registry.kind("batch", "v1", "jobs"), "/apis/batch/v1/namespaces/shop/jobs"
    for number in range(4):
        obj = placed(f"x{number}")
        if why == "owned":
            obj["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"}]
        elif why == "finished":
            containers = [{"name": "c", "image": "i"}]
            template = {"spec": {"restartPolicy": "Never", "containers": containers}}
            spec = {"ttlSecondsAfterFinished": 1, "template": template}
            obj = {**obj, "apiVersion": "batch/v1", "kind": "Job", "spec": spec}
            del obj["data"]
        await shop.made(path, obj)
        await shop.registry.delete(kind, "shop", f"x{number}", DeleteOptions(propagation="Background"))
    assert (await shop.get(f"{path}/x3")).status_code == 404
    if why == "preserved":
        assert (await shop.delete(f"{POLICIES}/web")).status_code == 200
    assert (await shop.delete(f"{PATH}/c0")).status_code == 200


@pytest.mark.parametrize(
    ("said", "approves"),
    [
        (ALWAYS, True),
        (rfc3339(2_000), True),
        (rfc3339(1_000), False),  # over
        (rfc3339(1_000 + 90_000), False),  # longer than a day
        ("", False),
        ("2", False),
        ("tomorrow", False),
        ("9" * 400, False),
    ],
)
def test_approvals(said: str, approves: bool) -> None:
    holder = {"metadata": {"annotations": {APPROVED: said, HELD: bulk_deletion.mark("much\x07", 1_000)}}}
    assert bulk_deletion.is_approved(holder, 1_000) is approves
    assert bulk_deletion.waiting(holder, 1_000) == ("" if approves else "much\N{REPLACEMENT CHARACTER}")
    assert bulk_deletion.waiting(holder, 1_000 + bulk_deletion.LASTS) == ""
