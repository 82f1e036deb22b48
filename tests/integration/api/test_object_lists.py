"""Lists: which objects, as of when, in which pages."""

from __future__ import annotations

import base64
import json

import pytest

from .conftest import Api, configmap, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
ALL = "/api/v1/configmaps"


async def fill(api: Api, count: int = 7) -> None:
    for i in range(count):
        body = configmap(f"c-{i}")
        body["metadata"]["labels"] = {"parity": "odd" if i % 2 else "even"}
        await api.made(CONFIGMAPS, body)


def names(answer: object) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]  # type: ignore[index]


async def test_pages_show_the_state_of_the_first_page(api: Api) -> None:
    await fill(api)
    page = (await api.get(f"{CONFIGMAPS}?limit=3")).json()
    assert names(page) == ["c-0", "c-1", "c-2"]
    assert page["metadata"]["remainingItemCount"] == 4
    await api.delete(f"{CONFIGMAPS}/c-4")
    await api.made(CONFIGMAPS, configmap("c-3a"))
    seen = names(page)
    while token := page["metadata"].get("continue"):
        revision = page["metadata"]["resourceVersion"]
        page = (await api.get(f"{CONFIGMAPS}?limit=3&continue={token}")).json()
        assert page["metadata"]["resourceVersion"] == revision
        seen += names(page)
    assert seen == [f"c-{i}" for i in range(7)]
    assert names((await api.get(CONFIGMAPS)).json()) == ["c-0", "c-1", "c-2", "c-3", "c-3a", "c-5", "c-6"]


async def test_pages_with_a_selector_do_not_count_the_rest(api: Api) -> None:
    await fill(api)
    page = (await api.get(f"{CONFIGMAPS}?limit=2&labelSelector=parity%3Deven")).json()
    assert names(page) == ["c-0", "c-2"]
    assert "remainingItemCount" not in page["metadata"]
    page = (
        await api.get(f"{CONFIGMAPS}?limit=2&labelSelector=parity%3Deven&continue={page['metadata']['continue']}")
    ).json()
    assert names(page) == ["c-4", "c-6"]
    assert "continue" not in page["metadata"]


async def test_a_compacted_page_can_be_continued_inconsistently(api: Api) -> None:
    await fill(api, 3)
    page = (await api.get(f"{CONFIGMAPS}?limit=1")).json()
    await api.delete(f"{CONFIGMAPS}/c-1")
    await api.store.compact(0)
    api.cache.resource("configmaps").dropped = api.cache.revision  # as after many events
    api.cache.resource("configmaps").events.clear()
    answer = await api.get(f"{CONFIGMAPS}?limit=1&continue={page['metadata']['continue']}")
    status = failure(answer, 410, "Expired")
    assert status["message"].startswith(
        "The provided continue parameter is too old to display a consistent list result."
    )
    token = status["metadata"]["continue"]
    assert json.loads(base64.urlsafe_b64decode(token + "=="))["rv"] == -1
    page = (await api.get(f"{CONFIGMAPS}?limit=1&continue={token}")).json()
    assert names(page) == ["c-2"]
    status = failure(await api.get(f"{CONFIGMAPS}?resourceVersion=2&resourceVersionMatch=Exact"), 410, "Expired")
    assert status["message"] == "The resourceVersion for the provided list is too old."


async def test_exact_lists_show_the_past(api: Api) -> None:
    await fill(api, 2)
    then = (await api.get(CONFIGMAPS)).json()
    await api.patch(f"{CONFIGMAPS}/c-0", {"data": {"new": "1"}})
    await api.delete(f"{CONFIGMAPS}/c-1")
    revision = then["metadata"]["resourceVersion"]
    exact = await api.get(f"{CONFIGMAPS}?resourceVersion={revision}&resourceVersionMatch=Exact")
    assert exact.json() == then
    legacy = await api.get(f"{CONFIGMAPS}?resourceVersion={revision}&limit=10")
    assert legacy.json() == then
    newer = (await api.get(f"{CONFIGMAPS}?resourceVersion={revision}")).json()
    assert int(newer["metadata"]["resourceVersion"]) > int(revision)
    assert names((await api.get(f"{CONFIGMAPS}?resourceVersion=0&limit=1")).json()) == ["c-0"]


REFUSED_LISTS = [
    ("resourceVersion=abc", 400, "BadRequest", "invalid resource version"),
    ("limit=abc", 400, "BadRequest", 'strconv.ParseInt: parsing "abc": invalid syntax'),
    ("continue=%21", 400, "BadRequest", "continue key is not valid"),
    (
        "continue=abc&resourceVersion=5",
        400,
        "BadRequest",
        "specifying resource version is not allowed when using continue",
    ),
    (
        "resourceVersionMatch=Exact",
        422,
        "Invalid",
        "resourceVersionMatch is forbidden unless resourceVersion is provided",
    ),
    ("resourceVersionMatch=Exact&resourceVersion=0", 422, "Invalid", 'forbidden for resourceVersion "0"'),
    ("resourceVersionMatch=Some&resourceVersion=1", 422, "Invalid", 'Unsupported value: "Some"'),
    ("resourceVersionMatch=Exact&continue=x", 422, "Invalid", "forbidden when continue is provided"),
    ("sendInitialEvents=true", 422, "Invalid", "sendInitialEvents is forbidden for list"),
    ("labelSelector=a%20b", 400, "BadRequest", "unable to parse requirement"),
    ("fieldSelector=spec.x%3D1", 400, "BadRequest", "is not a known field selector"),
    ("resourceVersion=99999", 504, "Timeout", "Too large resource version: 99999"),
]


@pytest.mark.parametrize(("query", "code", "reason", "text"), REFUSED_LISTS)
async def test_refused_lists(api: Api, query: str, code: int, reason: str, text: str) -> None:
    assert text in failure(await api.get(f"{CONFIGMAPS}?{query}"), code, reason)["message"]


async def test_a_revision_of_the_future_may_be_asked_again(api: Api) -> None:
    answer = await api.get(f"{CONFIGMAPS}/x?resourceVersion=99999")
    status = failure(answer, 504, "Timeout")
    assert answer.headers["retry-after"] == "1"
    assert status["details"]["causes"] == [
        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    ]


SELECTIONS = [
    ("labelSelector=parity%3Dodd", [1, 3, 5]),
    ("labelSelector=parity+in+(even)", [0, 2, 4, 6]),
    ("labelSelector=!parity", []),
    ("labelSelector=parity", [0, 1, 2, 3, 4, 5, 6]),
    ("labelSelector=parity!%3Dodd", [0, 2, 4, 6]),
    ("fieldSelector=metadata.name%3Dc-3", [3]),
    ("fieldSelector=metadata.name!%3Dc-3,metadata.namespace%3Ddefault", [0, 1, 2, 4, 5, 6]),
]


@pytest.mark.parametrize(("query", "expected"), SELECTIONS)
async def test_selectors(api: Api, query: str, expected: list[int]) -> None:
    await fill(api)
    assert names((await api.get(f"{CONFIGMAPS}?{query}")).json()) == [f"c-{i}" for i in expected]


async def test_items_are_sorted_by_namespace_and_name(api: Api) -> None:
    for namespace in ("b-b", "b"):
        await api.made("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for name in ("z", "a"):
            await api.made(f"/api/v1/namespaces/{namespace}/configmaps", configmap(name))
    listed = (await api.get(ALL)).json()
    assert [(i["metadata"]["namespace"], i["metadata"]["name"]) for i in listed["items"]] == [
        ("b-b", "a"),
        ("b-b", "z"),
        ("b", "a"),
        ("b", "z"),
        ("kube-system", "kube-apiserver-legacy-service-account-token-tracking"),  # from the start
    ]
    assert "kind" not in listed["items"][0]
    assert listed["kind"] == "ConfigMapList"
    assert (await api.get("/api/v1/secrets")).json()["items"] == []
