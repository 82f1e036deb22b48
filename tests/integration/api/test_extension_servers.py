"""APIServices: groups that extension servers serve, as the caller, in discovery, and what is said while they are away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kafila.api.discovery import AGGREGATED
from kafila.registry import User
from tests.attack.extensions import APISERVICES, Extended, extended
from tests.attack.members import answer
from tests.waiting import eventually

from .conftest import Api, failure

GROUP = "wardle.example.com"
V2 = {"accept": f"{AGGREGATED % 'v2'},application/json"}
FISH = {
    "resource": "fish",
    "responseKind": {"group": GROUP, "version": "v1", "kind": "Fish"},
    "scope": "Namespaced",
    "singularResource": "fish",
    "verbs": ["get", "list"],
}
LEGACY = {
    "kind": "APIResourceList",
    "groupVersion": f"{GROUP}/v1",
    "resources": [
        {
            "name": "fish",
            "singularName": "fish",
            "namespaced": True,
            "kind": "Fish",
            "verbs": ["get", "list"],
            "shortNames": ["f"],
        },
        {"name": "fish/status", "namespaced": True, "kind": "Fish", "verbs": ["get"]},
    ],
}


def json_answer(document: Any, *headers: str) -> bytes:
    return answer(orjson.dumps(document), "200 OK", *headers)


def speaks_v2(server: Any, fresh: bool = True) -> None:
    versions = [{"version": "v1", "resources": [FISH], "freshness": "Current"}]
    items = [{"metadata": {"name": GROUP}, "versions": versions}] if fresh else []
    body = orjson.dumps({"kind": "APIGroupDiscoveryList", "items": items})
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {AGGREGATED % 'v2'}\r\ncontent-length: {len(body)}\r\n\r\n"
    server.answers["/apis"] = head.encode() + body


@pytest.fixture
async def there(api: Api, tmp_path: Path) -> AsyncIterator[Extended]:
    async with extended(api, tmp_path) as found:
        found.server.answers[f"/apis/{GROUP}/v1"] = json_answer(LEGACY)
        speaks_v2(found.server)
        yield found


def heads(there: Extended, path: str) -> list[dict[str, list[str]]]:
    """The headers of the requests for a path, by name."""
    out = []
    for head in there.server.asked:
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        if first.split(" ")[1].partition("?")[0] == path:
            found: dict[str, list[str]] = {"": [first]}
            for line in lines:
                name, _, value = line.partition(": ")
                found.setdefault(name.lower(), []).append(value)
            out.append(found)
    return out


async def test_a_request_goes_there_as_its_caller(there: Extended) -> None:
    await there.registered()
    path = f"/apis/{GROUP}/v1/namespaces/default/fish"
    there.server.answers[path] = json_answer({"kind": "FishList"}, "set-cookie: a=b", "warning: 299 - x")
    there.api.user = User("jörg", ("system:masters", "g"), "7", (("Example.com/Scope%", ("one", "two")),))
    found = await there.api.get(
        f"{path}?labelSelector=a%3Db&x=%20",
        headers={"authorization": "Bearer t", "x-remote-user": "root", "X-Remote-Extra-A": "b", "accept": "a/b"},
    )
    assert (found.status_code, found.json()) == (200, {"kind": "FishList"})
    assert "set-cookie" not in found.headers
    assert found.headers["warning"] == "299 - x"
    (sent,) = heads(there, path)
    assert sent[""] == [f"GET {path}?labelSelector=a%3Db&x=%20 HTTP/1.1"]
    assert sent["x-remote-user"] == ["jörg".encode().decode("latin-1")]
    assert sent["x-remote-group"] == ["system:masters", "g"]
    assert sent["x-remote-uid"] == ["7"]
    assert sent["x-remote-extra-example.com%2fscope%25"] == ["one", "two"]
    assert sent["accept"] == ["a/b"]
    assert sent["host"] == [f"localhost:{there.port}"]
    assert not {"authorization", "x-remote-extra-a"} & set(sent)


async def test_who_may_not_is_not_passed_on(there: Extended) -> None:
    await there.registered()
    there.api.user = User("eve", ("system:authenticated",))
    found = await there.api.get(f"/apis/{GROUP}/v1/fish")
    text = (
        f'fish.{GROUP} is forbidden: User "eve" cannot list resource "fish" in API group "{GROUP}" at the cluster scope'
    )
    assert failure(found, 403, "Forbidden")["message"] == text
    assert not heads(there, f"/apis/{GROUP}/v1/fish")


async def test_an_answer_comes_while_it_is_written(there: Extended) -> None:
    await there.registered()
    path, go_on = f"/apis/{GROUP}/v1/fish", asyncio.Event()

    async def events(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n" + b'{"type":"ADDED"}' + b"\r\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"1\r\n\n\r\n0\r\n\r\n")

    there.server.answers[path] = events
    stream = await there.api.watch(path).start()
    while b"ADDED" not in stream.buffer:
        await stream._more()
    go_on.set()
    assert await stream.rest() == b'{"type":"ADDED"}\n'


async def test_discovery_is_one(there: Extended) -> None:
    before = (await there.api.get("/apis", headers=V2)).json()["items"]
    await there.registered()

    async def is_said() -> bool:
        items = (await there.api.get("/apis", headers=V2)).json()["items"]
        return any(item["metadata"]["name"] == GROUP and item["versions"][0]["resources"] for item in items)

    await eventually(is_said)
    items = (await there.api.get("/apis", headers=V2)).json()["items"]
    assert items[-1] == {
        "metadata": {"name": GROUP},
        "versions": [{"version": "v1", "resources": [FISH], "freshness": "Current"}],
    }
    assert items[:-1] == before
    groups = (await there.api.get("/apis")).json()["groups"]
    version = {"groupVersion": f"{GROUP}/v1", "version": "v1"}
    assert groups[-1] == {"name": GROUP, "versions": [version], "preferredVersion": version}
    assert (await there.api.get(f"/apis/{GROUP}")).json() == {"kind": "APIGroup", "apiVersion": "v1", **groups[-1]}
    assert (await there.api.get(f"/apis/{GROUP}/v1")).json() == LEGACY
    await there.api.delete(f"{APISERVICES}/v1.{GROUP}")
    assert (await there.api.get("/apis", headers=V2)).json()["items"] == before


async def test_discovery_of_a_server_that_has_only_the_old_documents(there: Extended) -> None:
    speaks_v2(there.server, fresh=False)
    await there.registered()

    async def is_said() -> bool:
        items = (await there.api.get("/apis", headers=V2)).json()["items"]
        return bool(items[-1]["versions"][0]["resources"])

    await eventually(is_said)
    (resource,) = (await there.api.get("/apis", headers=V2)).json()["items"][-1]["versions"][0]["resources"]
    assert resource["shortNames"] == ["f"]
    assert resource["scope"] == "Namespaced"
    assert [sub["subresource"] for sub in resource["subresources"]] == ["status"]


async def test_openapi_is_one(there: Extended) -> None:
    url = f"/openapi/v3/apis/{GROUP}/v1?hash=ABC"
    there.server.answers["/openapi/v3"] = json_answer({"paths": {f"apis/{GROUP}/v1": {"serverRelativeURL": url}}})
    there.server.answers[f"/openapi/v3/apis/{GROUP}/v1"] = json_answer({"openapi": "3.0.0"})
    await there.registered()

    async def is_said() -> bool:
        return f"apis/{GROUP}/v1" in (await there.api.get("/openapi/v3")).json()["paths"]

    await eventually(is_said)
    paths = (await there.api.get("/openapi/v3")).json()["paths"]
    assert paths[f"apis/{GROUP}/v1"] == {"serverRelativeURL": url}
    assert "apis/apps/v1" in paths
    assert (await there.api.get(url)).json() == {"openapi": "3.0.0"}


SWAGGER = {
    "swagger": "2.0",
    "info": {"title": "wardle", "version": "1"},
    "paths": {
        f"/apis/{GROUP}/v1/fish": {
            "get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/example.Fish"}}}},
            "parameters": [{"$ref": "#/parameters/pretty"}],
        },
        "/apis/apps/v1/deployments": {"get": {"responses": {}}},
    },
    "definitions": {
        "example.Fish": {
            "type": "object",
            "properties": {"metadata": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}},
            "x-kubernetes-group-version-kind": [{"group": GROUP, "version": "v1", "kind": "Fish"}],
        },
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "string"},
    },
    "parameters": {"pretty": {"in": "query", "name": "pretty", "type": "string", "uniqueItems": True}},
}
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


async def test_openapi_v2_is_one(there: Extended) -> None:
    before = await there.api.get("/openapi/v2")
    there.server.answers["/openapi/v2"] = json_answer(SWAGGER, 'etag: "one"')
    await there.registered()

    async def is_merged() -> bool:
        return "example.Fish" in (await there.api.get("/openapi/v2")).json()["definitions"]

    await eventually(is_merged)
    merged = await there.api.get("/openapi/v2")
    assert merged.headers["etag"] != before.headers["etag"]
    assert (await there.api.get("/openapi/v2", headers={"if-none-match": merged.headers["etag"]})).status_code == 304
    document = merged.json()
    assert set(document["paths"]) == {*before.json()["paths"], f"/apis/{GROUP}/v1/fish"}
    assert document["paths"]["/apis/apps/v1/deployments"] == before.json()["paths"]["/apis/apps/v1/deployments"]
    assert document["definitions"][META] == before.json()["definitions"][META]
    assert document["definitions"]["example.Fish"]["properties"]["metadata"] == {"$ref": f"#/definitions/{META}_v2"}
    accept = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    packed = await there.api.get("/openapi/v2", headers={"accept": accept})
    assert b"example.Fish" in packed.content
    assert b"#/parameters/pretty" in packed.content
    # as long as it is the same it is not sent again; away, it keeps what it said; gone, it says nothing
    there.server.answers["/openapi/v2"] = answer(b"", "304 Not Modified")
    (service,) = there.documents.routes.all()
    assert await there.documents._ask(service)
    assert heads(there, "/openapi/v2")[-1]["if-none-match"] == ['"one"']
    there.server.answers["/openapi/v2"] = answer(b"no", "500 Internal Server Error")
    assert await there.documents._ask(service)
    assert (await there.api.get("/openapi/v2")).headers["etag"] == merged.headers["etag"]
    await there.api.delete(f"{APISERVICES}/v1.{GROUP}")
    assert (await there.api.get("/openapi/v2")).content == before.content


async def test_a_server_that_is_away_leaves_the_others_alone(there: Extended) -> None:
    there.server.answers[f"/apis/{GROUP}/v1"] = answer(b"no", "500 Internal Server Error")
    await there.registered()
    condition = await there.condition()
    url = f"https://localhost:{there.port}/apis/{GROUP}/v1"
    assert (condition["status"], condition["reason"]) == ("False", "FailedDiscoveryCheck")
    assert condition["message"] == f"failing or missing response from {url}: bad status from {url}: 500"
    found = await there.api.get(f"/apis/{GROUP}/v1/fish")
    assert (found.status_code, found.text) == (503, "service unavailable\n")
    items = (await there.api.get("/apis", headers=V2)).json()["items"]
    assert items[-1]["versions"][0]["freshness"] == "Stale"
    assert len(items) > 30
    shown = (
        await there.api.get(APISERVICES, headers={"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"})
    ).json()
    assert shown["rows"][0]["cells"][:3] == [f"v1.{GROUP}", "default/wardle", "False (FailedDiscoveryCheck)"]


async def test_what_is_wrong_with_a_service_is_said(there: Extended) -> None:
    async def reason() -> tuple[str, str]:
        condition = await there.condition()
        return condition["reason"], condition["message"]

    await there.api.made(APISERVICES, there.apiservice())
    assert await reason() == ("ServiceNotFound", 'service/wardle in "default" is not present')
    ports = [{"name": "https", "port": 1}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "wardle"}, "spec": {"ports": ports}}
    await there.api.made("/api/v1/namespaces/default/services", service)
    told = f'service/wardle in "default" is not listening on port {there.port}'
    assert await reason() == ("ServicePortError", told)
    change = {"spec": {"ports": [{"name": "https", "port": there.port}]}}
    await there.api.patch("/api/v1/namespaces/default/services/wardle", change)
    assert await reason() == ("EndpointsNotFound", 'cannot find endpointslices for service/wardle in "default"')
    labels = {"kubernetes.io/service-name": "wardle"}
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "wardle", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [],
        "ports": [{"name": "https", "port": there.port}],
    }
    await there.api.made("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice_)
    told = 'endpointslices for service/wardle in "default" have no addresses with port name "https"'
    assert await reason() == ("MissingEndpoints", told)


async def test_one_that_is_served_here(there: Extended) -> None:
    spec = {"group": GROUP, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10}
    local = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"v1.{GROUP}"}}
    await there.api.made(APISERVICES, {**local, "spec": spec})
    assert (await there.condition())["message"] == "Local APIServices are always available"


@pytest.mark.parametrize("group", ["apps", "policy.karmada.io"])
async def test_groups_of_this_server_are_not_given_away(there: Extended, group: str) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "wardle"}}
    await there.api.post(
        "/api/v1/namespaces/default/services",
        {**service, "spec": {"type": "ExternalName", "externalName": "localhost"}},
    )
    made = await there.api.post(APISERVICES, there.apiservice(group))
    assert made.status_code == 201
    assert f'the group \\"{group}\\" is served by this server' in made.headers["warning"]
    assert there.proxy.routes.of(group, "v1") is None
