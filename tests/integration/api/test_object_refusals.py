"""Requests that make no sense are refused in Kubernetes' words, and nothing of them is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafila.registry import User

from .conftest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Api, configmap, deployment, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"

BODIES: list[tuple[Any, int, str]] = [
    (b'{"a":', 400, 'couldn\'t get version/kind; json parse error: unexpected end of JSON input ({"a":)'),
    (b"", 400, "unexpected end of JSON input (<empty>)"),
    (b"[]", 400, "cannot unmarshal array into Go value"),
    (b'"x"', 400, "cannot unmarshal string into Go value"),
    (b"\xff\xfe", 400, "the object provided is unrecognized (must be of type ConfigMap)"),
    (b'{"metadata":{"name":NaN}}', 400, "json parse error"),
    (b"null", 422, "metadata.name: Required value: name or generateName is required"),
    ({"kind": "ConfigMap", "apiVersion": "v1"}, 422, "name or generateName is required"),
    ({"kind": "ConfigMap", "apiVersion": "v2"}, 400, 'no kind "ConfigMap" is registered for version "v2"'),
    ({"kind": "Foo", "apiVersion": "v1"}, 400, 'no kind "Foo" is registered for version "v1"'),
    ({"kind": "Secret", "apiVersion": "v1"}, 400, "converting (v1.Secret) to (core.ConfigMap): unknown conversion"),
    ({"kind": 5, "apiVersion": "v1"}, 400, "cannot unmarshal number"),
    ({"metadata": "x"}, 400, "json: cannot unmarshal string into Go struct field ConfigMap.metadata"),
    ({"metadata": {"name": 5}}, 400, "cannot unmarshal number into Go struct field ObjectMeta.metadata.name"),
    ({"metadata": {"name": "x", "labels": [1]}}, 400, "cannot unmarshal array"),
    ({"metadata": {"name": "x", "creationTimestamp": "soon"}}, 400, "soon"),
    ({"metadata": {"name": "A_b"}}, 422, "a lowercase RFC 1123 subdomain must consist of"),
    ({"metadata": {"name": "x", "labels": {"a b": "c d"}}}, 422, "metadata.labels"),
    ({"metadata": {"name": "x", "namespace": "other"}}, 400, "does not match the namespace sent on the request"),
]


@pytest.mark.parametrize(("body", "code", "text"), BODIES)
async def test_bodies(api: Api, body: Any, code: int, text: str) -> None:
    before = api.cache.revision
    answer = await api.post(CONFIGMAPS, body)
    assert text in failure(answer, code, "Invalid" if code == 422 else "BadRequest")["message"]
    assert api.cache.revision == before


POLICY = {"kind": "PropagationPolicy", "apiVersion": "policy.karmada.io/v1alpha1", "metadata": {"name": "p"}}
CUSTOM: list[tuple[dict, int, str]] = [
    ({}, 400, "(must be of type PropagationPolicy): Object 'Kind' is missing in '{}' ({})"),
    ({"kind": "PropagationPolicy"}, 400, "the API version in the data () does not match the expected API version"),
    ({**POLICY, "apiVersion": "v1"}, 400, "the API version in the data (v1) does not match"),
    ({**POLICY, "kind": "Foo"}, 422, 'Foo.policy.karmada.io "p" is invalid: kind: Invalid value: "Foo": must be'),
    ({**POLICY, "spec": "x"}, 422, 'spec: Invalid value: "string": spec in body must be of type object: "string"'),
    ({**POLICY, "spec": {"priority": "x"}}, 422, "spec.priority in body must be of type integer"),
    ({**POLICY, "spec": {}}, 422, 'spec.resourceSelectors in body must be of type array: "null"'),
]


@pytest.mark.parametrize(("body", "code", "text"), CUSTOM)
async def test_bodies_of_custom_kinds(api: Api, body: dict, code: int, text: str) -> None:
    path = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies"
    answer = await api.post(path, body)
    assert text in failure(answer, code, "Invalid" if code == 422 else "BadRequest")["message"]


PARAMETERS = [
    ("dryRun=Some", "dryRun"),
    ("fieldValidation=Some", "fieldValidation"),
    ("fieldManager=" + "x" * 129, "fieldManager"),
]


@pytest.mark.parametrize(("query", "field"), PARAMETERS)
async def test_parameters(api: Api, query: str, field: str) -> None:
    status = failure(await api.post(f"{CONFIGMAPS}?{query}", configmap("a")), 422, "Invalid")
    assert status["details"]["causes"][0]["field"].startswith(field)


async def test_an_invalid_object_names_its_causes(api: Api) -> None:
    body = deployment("d", replicas=-1)
    body["spec"]["selector"] = {"matchLabels": {"other": "x"}}
    status = failure(await api.post(DEPLOYMENTS, body), 422, "Invalid")
    assert status["message"].startswith('Deployment.apps "d" is invalid: [')
    assert (status["details"]["name"], status["details"]["group"], status["details"]["kind"]) == (
        "d",
        "apps",
        "Deployment",
    )
    assert {c["field"] for c in status["details"]["causes"]} >= {"spec.replicas", "spec.template.metadata.labels"}
    assert all(set(c) == {"reason", "message", "field"} for c in status["details"]["causes"])


async def test_strict_warned_and_ignored_fields(api: Api) -> None:
    body = b'{"metadata":{"name":"a","name":"a"},"foo":1}'
    strict = failure(await api.post(f"{CONFIGMAPS}?fieldValidation=Strict", body), 400, "BadRequest")
    assert strict["message"] == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
        'duplicate field "metadata.name", unknown field "foo"'
    )
    warned = await api.post(CONFIGMAPS, body)
    assert warned.headers.get_list("warning") == [
        '299 - "duplicate field \\"metadata.name\\""',
        '299 - "unknown field \\"foo\\""',
    ]
    assert "foo" not in warned.json()
    ignored = await api.post(f"{CONFIGMAPS}?fieldValidation=Ignore", body.replace(b'"a"', b'"b"'))
    assert ignored.status_code == 201
    assert "warning" not in ignored.headers


ROUTES = [
    ("GET", "/apis/nope.io/v1/things", 404, ""),
    ("GET", "/nope", 404, ""),
    ("GET", "/api/v1/nopes", 404, "NotFound"),
    ("GET", "/apis/apps/v9/deployments", 404, "NotFound"),
    ("GET", "/api/v9", 404, "NotFound"),
    ("GET", "/api/v1//namespaces", 404, "NotFound"),
    ("GET", f"{DEPLOYMENTS}/d/nope", 404, "NotFound"),
    ("GET", "/api/v1/configmaps/x", 404, "NotFound"),
    ("GET", "/api/v1/namespaces/default/nodes", 404, "NotFound"),
    ("GET", "/api/v1/bindings", 404, "NotFound"),
    ("POST", f"{CONFIGMAPS}/x", 405, "MethodNotAllowed"),
    ("PUT", CONFIGMAPS, 405, "MethodNotAllowed"),
    ("POST", "/api/v1/configmaps", 405, "MethodNotAllowed"),
    ("HEAD", CONFIGMAPS, 405, ""),
    ("OPTIONS", CONFIGMAPS, 405, "MethodNotAllowed"),
    ("POST", "/apis/apps/v1", 405, "MethodNotAllowed"),
    ("POST", f"{DEPLOYMENTS}/d/scale", 405, "MethodNotAllowed"),
    ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405, "MethodNotAllowed"),
]


@pytest.mark.parametrize(("method", "path", "code", "reason"), ROUTES)
async def test_paths_and_methods(api: Api, method: str, path: str, code: int, reason: str) -> None:
    answer = await api.ask(method, path)
    if reason:
        assert failure(answer, code, reason)["details"] == {}
    else:
        assert answer.status_code == code
        assert method == "HEAD" or answer.text == "404 page not found\n"


async def test_too_much(api: Api) -> None:
    status = failure(await api.post(CONFIGMAPS, configmap("a", x="y" * (3 << 20))), 413, "RequestEntityTooLarge")
    assert status["message"] == "Request entity too large: limit is 3145728"


@pytest.mark.parametrize("depth", [240, 300, 900, 5000])
async def test_deep_nesting_is_stored_whole_or_not_at_all(api: Api, depth: int) -> None:
    path = "/apis/work.karmada.io/v1alpha1/namespaces/default/works"
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    manifest = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":%b}' % deep
    body = b'{"apiVersion":"work.karmada.io/v1alpha1","kind":"Work","metadata":{"name":"w"},"spec":{"workload":{"manifests":[%b]}}}'
    answer = await api.post(path, body % manifest)
    if answer.status_code == 201:
        assert deep in (await api.get(f"{path}/w")).content
        table = {"headers": {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}}
        assert (await api.get(f"{path}?includeObject=Object", **table)).status_code == 200
    else:
        failure(answer, 400, "BadRequest")
        failure(await api.get(f"{path}/w"), 404, "NotFound")


async def test_only_masters_may_act(api: Api) -> None:
    api.user = User("jane", ("developers", "system:authenticated"))
    status = failure(await api.get(CONFIGMAPS), 403, "Forbidden")
    assert status["message"] == (
        'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default"'
    )
    status = failure(await api.delete("/api/v1/nodes/n"), 403, "Forbidden")
    assert status["message"].endswith('User "jane" cannot delete resource "nodes" in API group "" at the cluster scope')
    assert (await api.get("/apis")).status_code == 200
    review = await api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert review.json()["status"]["userInfo"]["username"] == "jane"
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    failure(await api.post(reviews, {"spec": {}}), 422, "Invalid")
    question = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    allowed = await api.post(reviews, {"spec": question})
    assert allowed.json()["status"]["allowed"] is False


WORDS = ["metadata", "name", "labels", "spec", "data", "finalizers", "ownerReferences", "managedFields", "kind"]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON_VALUES, where=st.sampled_from(["metadata", "data", "spec", "", "status"]))
async def test_no_body_breaks_the_server(api: Api, value: Any, where: str) -> None:
    body = {**configmap("a"), where: value} if where else value
    await api.made(CONFIGMAPS, {"metadata": {"generateName": "live-"}})
    name = (await api.get(f"{CONFIGMAPS}?limit=1")).json()["items"][0]["metadata"]["name"]
    raw = json.dumps(body).encode()
    asked = [await api.post(CONFIGMAPS, raw), await api.put(f"{CONFIGMAPS}/{name}", raw)]
    for patch_type in (MERGE_PATCH, STRATEGIC_PATCH, JSON_PATCH, APPLY_PATCH):
        force = "&force=true" if patch_type == APPLY_PATCH else ""
        asked.append(await api.patch(f"{CONFIGMAPS}/{name}?fieldManager=m{force}", raw, patch_type))
    asked.append(await api.delete(f"{CONFIGMAPS}/{name}?dryRun=All", raw))
    for answer in asked:
        typed = "failed to create typed patch object"  # Kubernetes' own 500
        assert answer.status_code < 500 or answer.json()["message"].startswith(typed), answer.text
    assert (await api.get(CONFIGMAPS)).status_code == 200
