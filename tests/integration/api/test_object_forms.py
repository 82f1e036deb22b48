"""One object, many forms: JSON, YAML, protobuf; whole, as a Table, as metadata alone."""

from __future__ import annotations

import gzip

import httpx
import pytest
import yaml

from kafila.catalog.protobuf import codec
from kafila.machinery import protobuf

from .conftest import Api, configmap, deployment, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def accept(value: str) -> dict[str, dict[str, str]]:
    return {"headers": {"accept": value}}


def form(name: str) -> dict[str, dict[str, str]]:
    return accept(f"application/json;as={name};v=v1;g=meta.k8s.io")


def from_protobuf(answer: httpx.Response) -> dict:
    assert answer.headers["content-type"] == PROTOBUF
    api_version, kind, raw = protobuf.decode_envelope(answer.content)
    group, _, version = api_version.rpartition("/")
    found = codec(group, version, kind)
    assert found is not None
    return {"kind": kind, "apiVersion": api_version, **found.decode(raw)}


async def test_tables(api: Api) -> None:
    await api.made(DEPLOYMENTS, deployment("d", replicas=2))
    table = (await api.get(DEPLOYMENTS, **form("Table"))).json()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [c["name"] for c in table["columnDefinitions"]] == [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["d", "0/2", 0, 0]
    assert (row["object"]["kind"], "spec" in row["object"]) == ("PartialObjectMetadata", False)
    for include, kind in (("Object", "Deployment"), ("Metadata", "PartialObjectMetadata"), ("None", None)):
        (row,) = (await api.get(f"{DEPLOYMENTS}?includeObject={include}", **form("Table"))).json()["rows"]
        assert (row["object"] or {}).get("kind") == kind
    failure(await api.get(f"{DEPLOYMENTS}?includeObject=All", **form("Table")), 400, "BadRequest")
    single = (await api.get(f"{DEPLOYMENTS}/d", **form("Table"))).json()
    assert len(single["rows"]) == 1


async def test_metadata_alone(api: Api) -> None:
    made = await api.made(CONFIGMAPS, configmap("a", x="1"))
    single = (await api.get(f"{CONFIGMAPS}/a", **form("PartialObjectMetadata"))).json()
    assert single == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }
    several = (await api.get(CONFIGMAPS, **form("PartialObjectMetadataList"))).json()
    assert (several["kind"], several["items"]) == ("PartialObjectMetadataList", [single])
    failure(await api.get(CONFIGMAPS, **form("PartialObjectMetadata")), 406, "NotAcceptable")
    failure(await api.get(f"{CONFIGMAPS}/a", **form("PartialObjectMetadataList")), 406, "NotAcceptable")


async def test_protobuf_answers(api: Api) -> None:
    made = await api.made(DEPLOYMENTS, deployment("d"))
    got = from_protobuf(await api.get(f"{DEPLOYMENTS}/d", **accept(PROTOBUF)))
    assert got["spec"] == made["spec"]
    assert got["metadata"]["uid"] == made["metadata"]["uid"]
    listed = from_protobuf(await api.get(DEPLOYMENTS, **accept(PROTOBUF)))
    assert (listed["kind"], len(listed["items"])) == ("DeploymentList", 1)
    both = await api.get(DEPLOYMENTS, **accept(f"{PROTOBUF},application/json"))
    assert both.status_code == 200


async def test_protobuf_requests(api: Api) -> None:
    found = codec("apps", "v1", "Deployment")
    assert found is not None
    body = protobuf.envelope("apps/v1", "Deployment", found.encode(deployment("d")))
    made = await api.post(DEPLOYMENTS, body, type=PROTOBUF)
    assert made.status_code == 201
    assert made.json()["spec"]["strategy"]["type"] == "RollingUpdate"
    options = codec("apps", "v1", "DeleteOptions")
    assert options is not None
    raw = options.encode({"propagationPolicy": "Foreground"})
    gone = await api.delete(f"{DEPLOYMENTS}/d", protobuf.envelope("apps/v1", "DeleteOptions", raw), type=PROTOBUF)
    assert gone.json()["metadata"]["finalizers"] == ["foregroundDeletion"]
    for bad in (b"k8s\0", b"k8s\0\n\5", b"\0", b"{}"):
        failure(await api.post(DEPLOYMENTS, bad, type=PROTOBUF), 400, "BadRequest")


async def test_protobuf_streams(api: Api) -> None:
    stream = api.watch(CONFIGMAPS, "timeoutSeconds=1", accept=PROTOBUF)
    await api.made(CONFIGMAPS, configmap("a"))
    body = await stream.rest()
    assert stream.headers["content-type"] == f"{PROTOBUF};stream=watch"
    size = int.from_bytes(body[:4], "big")
    event = codec("", "v1", "WatchEvent")
    assert event is not None
    assert body[4 : 4 + size].startswith(b"\n\5ADDED")
    await stream.task


async def test_custom_kinds_have_no_protobuf(api: Api) -> None:
    path = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies"
    status = failure(await api.post(path, b"k8s\0", type=PROTOBUF), 415, "UnsupportedMediaType")
    assert PROTOBUF not in status["message"]
    listed = await api.get(path, **accept(f"{PROTOBUF},application/json"))
    assert listed.headers["content-type"] == "application/json"


async def test_yaml_in_and_out(api: Api) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    made = await api.post(CONFIGMAPS, body, type="application/yaml", **accept("application/yaml"))
    assert made.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(made.text)["data"] == {"x": "1"}
    twice = b"metadata: {name: b}\ndata:\n  x: a\n  x: b\n"
    strict = await api.post(f"{CONFIGMAPS}?fieldValidation=Strict", twice, type="application/yaml")
    assert 'line 4: key "x" already set in map' in failure(strict, 400, "BadRequest")["message"]


@pytest.mark.parametrize("header", ["text/plain", "application/cbor", "image/*"])
async def test_forms_that_nobody_has(api: Api, header: str) -> None:
    assert (await api.get(CONFIGMAPS, **accept(header))).status_code == 406
    impossible = "application/json;as=Table;v=v9;g=meta.k8s.io"
    assert (
        "only the following media types are accepted"
        in failure(await api.get(CONFIGMAPS, **accept(impossible)), 406, "NotAcceptable")["message"]
    )


async def test_people_get_indented_json(api: Api) -> None:
    assert b'\n  "kind"' in (await api.get(CONFIGMAPS, headers={"user-agent": "curl/8.0"})).content
    assert b'\n  "kind"' in (await api.get(f"{CONFIGMAPS}?pretty=true")).content
    assert (
        b'\n  "kind"' not in (await api.get(f"{CONFIGMAPS}?pretty=false", headers={"user-agent": "curl/8.0"})).content
    )


async def test_big_answers_are_compressed(api: Api) -> None:
    for i in range(3):
        await api.made(CONFIGMAPS, configmap(f"a{i}", x="y" * 60_000))
    async with api.client.stream("GET", CONFIGMAPS, headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(gzip.decompress(raw)) > 180_000
    assert "content-encoding" not in (await api.get(CONFIGMAPS, headers={"accept-encoding": "identity"})).headers


async def test_every_answer_says_who_it_is(api: Api) -> None:
    answer = await api.get(CONFIGMAPS, headers={"audit-id": "mine"})
    assert answer.headers["audit-id"] == "mine"
    assert answer.headers["cache-control"] == "no-cache, private"
    assert (await api.get(f"{CONFIGMAPS}/nope")).headers["audit-id"]
