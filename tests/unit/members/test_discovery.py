from __future__ import annotations

from typing import Any

import orjson
import pytest

from kafila.core.resources import GroupVersionKind
from kafila.members.client import MemberClient
from kafila.members.discovery import Discovery, aggregated
from kafila.members.transport import ASGITransport

DEPLOYMENTS = {
    "resource": "deployments",
    "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
    "scope": "Namespaced",
    "verbs": ["get", "list"],
}


def group(name: str, version: str, *resources: dict, freshness: str = "Current") -> dict[str, Any]:
    listed = {"version": version, "resources": list(resources), "freshness": freshness}
    return {"metadata": {"name": name} if name else {}, "versions": [listed]}


def test_aggregated_discovery() -> None:
    pods = {"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "verbs": ["get"]}
    nodes = {"resource": "nodes", "responseKind": {"kind": "Node"}, "scope": "Cluster", "verbs": ["get"]}
    served = aggregated({"items": [group("", "v1", pods, nodes), group("apps", "v1", DEPLOYMENTS)]})
    assert served.complete
    assert served.enablements() == [
        {"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"}]},
        {"groupVersion": "v1", "resources": [{"name": "nodes", "kind": "Node"}, {"name": "pods", "kind": "Pod"}]},
    ]
    assert [r.namespaced for r in served.resources] == [True, False, True]


def test_a_stale_group_makes_it_partial() -> None:
    served = aggregated({"items": [group("metrics.k8s.io", "v1beta1", freshness="Stale")]})
    assert not served.complete
    assert served.enablements() == []


def member(answers: dict[str, tuple[int, dict[str, str], Any]], asked: list[tuple[str, str]]) -> MemberClient:
    async def app(scope: dict, receive: Any, send: Any) -> None:
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        asked.append((scope["path"], headers.get("if-none-match", "")))
        status, answered, body = answers.get(scope["path"], (404, {}, {}))
        if answered.get("etag") and answered["etag"] == headers.get("if-none-match"):
            status, body = 304, None
        encoded = [(k.encode(), v.encode()) for k, v in answered.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if body is None else orjson.dumps(body)})

    return MemberClient("m", transport=ASGITransport(app))


async def test_unchanged_discovery_is_not_sent_again() -> None:
    documents = {
        "/api": (200, {"etag": '"1"'}, {"kind": "APIGroupDiscoveryList", "items": []}),
        "/apis": (200, {"etag": '"2"'}, {"kind": "APIGroupDiscoveryList", "items": [group("apps", "v1", DEPLOYMENTS)]}),
    }
    asked: list[tuple[str, str]] = []
    discovery = Discovery(member(documents, asked))
    first = await discovery.refresh()
    assert await discovery.refresh() == first
    assert asked == [("/api", ""), ("/apis", ""), ("/api", '"1"'), ("/apis", '"2"')]


async def test_a_new_kind_is_found_when_it_is_asked_for() -> None:
    documents: dict[str, Any] = {
        "/api": (200, {}, {"kind": "APIGroupDiscoveryList", "items": []}),
        "/apis": (200, {}, {"kind": "APIGroupDiscoveryList", "items": []}),
    }
    discovery = Discovery(member(documents, []))
    gvk = GroupVersionKind("apps", "v1", "Deployment")
    assert await discovery.find(gvk) is None
    documents["/apis"] = (200, {}, {"kind": "APIGroupDiscoveryList", "items": [group("apps", "v1", DEPLOYMENTS)]})
    found = await discovery.find(gvk)
    assert found is not None
    assert found.path("ns") == "/apis/apps/v1/namespaces/ns/deployments"


@pytest.mark.parametrize("broken", [False, True])
async def test_servers_without_aggregated_discovery(broken: bool) -> None:
    listed = {
        "kind": "APIResourceList",
        "resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get"]},
            {"name": "deployments/status", "kind": "Deployment", "namespaced": True, "verbs": ["get"]},
        ],
    }
    documents: dict[str, Any] = {
        "/api": (200, {}, {"kind": "APIVersions", "versions": []}),
        "/apis": (200, {}, {"kind": "APIGroupList", "groups": [{"versions": [{"groupVersion": "apps/v1"}]}]}),
        "/apis/apps/v1": (503 if broken else 200, {}, listed),
    }
    served = await Discovery(member(documents, [])).refresh()
    assert served.complete is not broken
    assert [r.name for r in served.resources] == ([] if broken else ["deployments"])
