"""Discovery and OpenAPI as clients fetch them."""

from __future__ import annotations

import asyncio

import httpx
import jwt
import pytest
import yaml

from kafila.api.app import ObjectsApp
from kafila.api.deferred import DeferredMetaRoutes
from kafila.api.meta import build_shell
from kafila.catalog.version import KUBERNETES_VERSION
from kafila.identity.certificates import new_signing_key
from kafila.identity.tokens import Tokens
from kafila.machinery.protobuf import decode_envelope

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
    api.app.meta_routes = DeferredMetaRoutes({"storage": lambda: "away"})
    answers = await asyncio.gather(*(api.get(path) for path in ("/livez", "/readyz", "/version", "/nothing")))
    assert [answer.status_code for answer in answers] == [200, 500, 200, 404]
    assert "storage failed: away" in answers[1].text


async def test_the_shell(api: Api) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
        assert (await api.get(path)).text == "ok"
    version = (await api.get("/version")).json()
    assert (await api.get("/version/")).json() == version
    assert version["gitVersion"].startswith(KUBERNETES_VERSION)
    assert "/apis" in (await api.get("/")).json()["paths"]
    assert "apiserver_request_total" in (await api.get("/metrics")).text


async def test_what_whoever_asks_names_is_no_label(api: Api) -> None:
    for path in ("/api/v1/namespaces/default/pods/x/made-up", "/apis/made.up/v1/things"):
        assert (await api.get(path)).status_code == 404
    text = (await api.get("/metrics")).text
    assert 'resource="pods",scope="resource",subresource="",verb="GET",version="v1"' in text
    assert "made-up" not in text
    assert "made.up" not in text


YAML, PROTOBUF = "application/yaml", "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize("path", ["/api", "/apis", "/apis/apps", "/apis/apps/v1"])
async def test_discovery_comes_in_the_form_that_is_asked_for(api: Api, path: str) -> None:
    plain = await api.get(path)
    as_yaml = await api.get(path, headers={"accept": YAML})
    assert (as_yaml.headers["content-type"], yaml.safe_load(as_yaml.text)) == (YAML, plain.json())
    binary = await api.get(path, headers={"accept": PROTOBUF})
    assert binary.headers["content-type"] == PROTOBUF
    assert decode_envelope(binary.content)[1] == plain.json()["kind"]
    refused = await api.get(path, headers={"accept": "text/plain"})
    said = "406: Not Acceptable" if path in ("/api", "/apis/apps/v1") else "only the following media types"
    assert (refused.status_code, refused.json()["message"].startswith(said)) == (406, True)


async def test_version_is_json_and_read_only(api: Api) -> None:
    refused = await api.get("/version", headers={"accept": YAML})
    assert refused.status_code == 406
    assert yaml.safe_load(refused.text)["message"].endswith("Available representations: application/json")
    posted = await api.client.post("/version")
    assert (posted.status_code, posted.json()["reason"]) == (405, "MethodNotAllowed")


async def test_nothing_of_it_may_be_kept_but_aggregated_discovery(api: Api) -> None:
    for path in ("/healthz", "/version", "/bogus", "/apis"):
        assert (await api.get(path)).headers["cache-control"] == "no-cache, private"
    asked = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert (await api.get("/apis", headers={"accept": asked})).headers["cache-control"] == "public"


async def test_who_verifies_tokens_elsewhere_finds_the_key(api: Api) -> None:
    assert (await api.get("/openid/v1/jwks")).status_code == 404  # no tokens are issued here
    tokens = Tokens(new_signing_key())
    api.app = ObjectsApp(api.registry, build_shell({}), tokens=tokens)
    known = (await api.get("/.well-known/openid-configuration")).json()
    assert known["issuer"] == tokens.issuer
    answer = await api.get(httpx.URL(known["jwks_uri"]).path)
    assert answer.headers["content-type"] == "application/jwk-set+json"
    token, _ = tokens.issue("default", "reader", "uid", ["somebody"], 600)
    key = jwt.PyJWKSet.from_dict(answer.json())[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, audience="somebody")["sub"] == "system:serviceaccount:default:reader"
