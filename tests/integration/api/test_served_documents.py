"""Discovery and OpenAPI as clients fetch them."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from app.api.deferred import DeferredShell

from .conftest import Api

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
CLIENT_GO = f"{V2},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"


async def test_legacy_discovery(api: Api) -> None:
    versions = (await api.get("/api")).json()
    assert (versions["kind"], versions["versions"]) == ("APIVersions", ["v1"])
    groups = (await api.get("/apis")).json()
    assert groups["kind"] == "APIGroupList"
    names = [group["name"] for group in groups["groups"]]
    assert {"apps", "policy.karmada.io", "work.karmada.io", "cluster.karmada.io"} <= set(names)
    assert (await api.get("/apis/apps")).json()["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    resources = {r["name"]: r for r in (await api.get("/apis/apps/v1")).json()["resources"]}
    assert resources["deployments"]["shortNames"] == ["deploy"]
    assert resources["deployments/scale"]["group"] == "autoscaling"


@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_aggregated_discovery_is_cached(api: Api, path: str) -> None:
    answer = await api.get(path, headers={"accept": CLIENT_GO})
    assert answer.headers["content-type"] == V2
    assert answer.json()["kind"] == "APIGroupDiscoveryList"
    assert "accept" in answer.headers["vary"].lower()
    again = await api.get(path, headers={"accept": CLIENT_GO, "if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]


async def test_every_listed_resource_answers(api: Api) -> None:
    for path in ("/api", "/apis"):
        for group in (await api.get(path, headers={"accept": CLIENT_GO})).json()["items"]:
            for version in group["versions"]:
                name = group.get("metadata", {}).get("name", "")
                base = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
                for resource in version["resources"]:
                    if "list" in resource["verbs"]:
                        answer = await api.get(f"{base}/{resource['resource']}?limit=1")
                        assert answer.status_code == 200, (base, resource["resource"], answer.text)


async def test_openapi_v3_is_addressed_by_its_content(api: Api) -> None:
    index = (await api.get("/openapi/v3")).json()["paths"]
    url = index["apis/apps/v1"]["serverRelativeURL"]
    answer = await api.get(url)
    assert "immutable" in answer.headers["cache-control"]
    operation = answer.json()["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {p["name"] for p in operation["parameters"]}
    stale = await api.get("/openapi/v3/apis/apps/v1?hash=OLD")
    assert (stale.status_code, stale.headers["location"]) == (301, url)
    same = await api.get("/openapi/v3/apis/apps/v1", headers={"if-none-match": answer.headers["etag"]})
    assert same.status_code == 304
    assert (await api.get("/openapi/v3/apis/nope/v1")).status_code == 404


async def test_openapi_v2_in_both_forms(api: Api) -> None:
    plain = await api.get("/openapi/v2")
    assert plain.json()["swagger"] == "2.0"
    asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    binary: httpx.Response = await api.get("/openapi/v2", headers={"accept": asked})
    assert binary.headers["content-type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert len(binary.content) > 100_000


async def test_the_shell_is_loaded_once_for_who_asks_first(api: Api) -> None:
    api.app.shell = DeferredShell({"storage": lambda: "away"})
    answers = await asyncio.gather(*(api.get(path) for path in ("/livez", "/readyz", "/version", "/nothing")))
    assert [answer.status_code for answer in answers] == [200, 500, 200, 404]
    assert "storage failed: away" in answers[1].text


async def test_the_shell(api: Api) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
        assert (await api.get(path)).text == "ok"
    version = (await api.get("/version")).json()
    assert (await api.get("/version/")).json() == version
    assert version["gitVersion"].startswith("v1.36")
    assert "/apis" in (await api.get("/")).json()["paths"]
    assert "apiserver_request_total" in (await api.get("/metrics")).text
