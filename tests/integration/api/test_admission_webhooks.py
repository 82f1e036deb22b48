"""Writes are shown to webhooks that configurations name, and become what these say, in kube-apiserver's words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kafila.core.values import Object
from tests.integration.webhook_server import WebhookServer, allow, configuration, deny, label, patch

from .conftest import APPLY_PATCH, MERGE_PATCH, Api, configmap, deployment, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"


@pytest.fixture
async def hooks() -> AsyncIterator[WebhookServer]:
    async with WebhookServer().serving() as server:
        yield server


async def configured(api: Api, kind: str, *hooks: Object, name: str = "test") -> None:
    await api.made(CONFIGURATIONS.format(kind.lower()), configuration(kind, name, *hooks))


async def test_a_refusal_of_a_validating_webhook(api: Api, hooks: WebhookServer) -> None:
    await configured(api, "Validating", hooks.hook("a", deny("not on a Friday", code=418, reason="Weekend")))
    status = failure(await api.post(CONFIGMAPS, configmap("x")), 418, "Weekend")
    assert status["message"] == 'admission webhook "a.example.com" denied the request: not on a Friday'
    assert (await api.get(f"{CONFIGMAPS}/x")).status_code == 404


async def test_a_mutating_webhook_changes_what_is_stored(api: Api, hooks: WebhookServer) -> None:
    await configured(api, "Mutating", hooks.hook("a", label("team", "blue")))
    made = await api.made(CONFIGMAPS, configmap("x", key="value"))
    assert made["metadata"]["labels"] == {"team": "blue"}
    assert "f:labels" not in made["metadata"]["managedFields"][0]["fieldsV1"].get("f:metadata", {})
    (request,) = hooks.reviews("/a")
    assert "uid" not in request["object"]["metadata"]
    assert request["oldObject"] is None
    assert request["operation"] == "CREATE"
    assert request["name"] == "x"
    assert request["namespace"] == "default"
    assert request["kind"] == request["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request["resource"] == request["requestResource"]
    assert request["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert request["userInfo"] == {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]}
    assert request["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
    assert request["dryRun"] is False
    assert hooks.queries == ["timeout=10s"]


@pytest.mark.parametrize("how", ["put", "patch", "apply"])
async def test_changes_are_shown_with_what_was(api: Api, hooks: WebhookServer, how: str) -> None:
    await api.made(CONFIGMAPS, configmap("x", key="old"))
    await configured(api, "Mutating", hooks.hook("a", label("seen", "yes")))
    await configured(api, "Validating", hooks.hook("b", allow))
    where = f"{CONFIGMAPS}/x"
    match how:
        case "put":
            answer = await api.put(where, configmap("x", key="new"))
        case "patch":
            answer = await api.patch(where, {"data": {"key": "new"}})
        case _:
            answer = await api.patch(
                where, configmap("x", key="new"), APPLY_PATCH, params={"fieldManager": "me", "force": "true"}
            )
    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"]["labels"] == {"seen": "yes"}
    for path in ("/a", "/b"):
        (request,) = hooks.reviews(path)
        assert request["operation"] == "UPDATE"
        assert request["object"]["data"] == {"key": "new"}
        assert request["oldObject"]["data"] == {"key": "old"}
        assert request["options"]["kind"] == "UpdateOptions"
    assert hooks.reviews("/b")[0]["object"]["metadata"]["labels"] == {"seen": "yes"}


async def test_apply_that_creates_is_a_creation(api: Api, hooks: WebhookServer) -> None:
    await configured(api, "Validating", hooks.hook("a", allow))
    answer = await api.patch(f"{CONFIGMAPS}/x", configmap("x"), APPLY_PATCH, params={"fieldManager": "me"})
    assert answer.status_code == 201
    (request,) = hooks.reviews("/a")
    assert (request["operation"], request["options"]["kind"]) == ("CREATE", "CreateOptions")
    assert request["options"]["fieldManager"] == "me"


async def test_deletions_are_shown_one_by_one(api: Api, hooks: WebhookServer) -> None:
    for name in ("x", "y"):
        await api.made(CONFIGMAPS, configmap(name))
    await configured(api, "Validating", hooks.hook("a", deny("no"), operations=["DELETE"]))
    status = (await api.delete(f"{CONFIGMAPS}/x")).json()
    assert (status["code"], status.get("reason")) == (400, None)
    assert status["message"] == 'admission webhook "a.example.com" denied the request: no'
    hooks.answers["/a"] = allow
    assert (await api.delete(CONFIGMAPS)).status_code == 200
    first, *rest = hooks.reviews("/a")
    assert (first["name"], first["object"], first["oldObject"]["metadata"]["name"]) == ("x", None, "x")
    assert {request["oldObject"]["metadata"]["name"] for request in rest} >= {"x", "y"}
    assert all("name" not in request for request in rest)
    assert (await api.get(f"{CONFIGMAPS}/x")).status_code == 404


async def test_rules_name_subresources(api: Api, hooks: WebhookServer) -> None:
    await api.made(DEPLOYMENTS, deployment("d"))
    await configured(api, "Validating", hooks.hook("a", allow, ["deployments/status", "deployments/scale"]))
    where = f"{DEPLOYMENTS}/d"
    await api.patch(where, {"metadata": {"labels": {"a": "b"}}})
    assert not hooks.asked
    assert (await api.patch(f"{where}/status", {"status": {"replicas": 1}})).status_code == 200
    assert (await api.patch(f"{where}/scale", {"spec": {"replicas": 5}})).status_code == 200
    status, scale = hooks.reviews("/a")
    assert (status["subResource"], status["requestSubResource"], status["kind"]["kind"]) == (
        "status",
        "status",
        "Deployment",
    )
    assert scale["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert scale["object"]["spec"] == {"replicas": 5}
    assert scale["oldObject"]["spec"] == {"replicas": 1}


async def test_a_scale_can_be_changed(api: Api, hooks: WebhookServer) -> None:
    await api.made(DEPLOYMENTS, deployment("d"))
    less = patch({"op": "replace", "path": "/spec/replicas", "value": 2})
    await configured(api, "Mutating", hooks.hook("a", less, ["deployments/scale"]))
    answer = await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 5}})
    assert answer.json()["spec"] == {"replicas": 2}
    assert (await api.get(f"{DEPLOYMENTS}/d")).json()["spec"]["replicas"] == 2


async def test_selectors(api: Api, hooks: WebhookServer) -> None:
    await api.made("/api/v1/namespaces", {"metadata": {"name": "prod", "labels": {"env": "prod"}}})
    await configured(
        api,
        "Validating",
        hooks.hook("a", allow, namespaceSelector={"matchLabels": {"env": "prod"}}),
        hooks.hook("b", allow, objectSelector={"matchLabels": {"checked": "yes"}}),
    )
    await api.made(CONFIGMAPS, configmap("x"))
    assert not hooks.asked
    await api.made("/api/v1/namespaces/prod/configmaps", configmap("x"))
    assert len(hooks.reviews("/a")) == 1
    labelled = {**configmap("y"), "metadata": {"name": "y", "labels": {"checked": "yes"}}}
    await api.made(CONFIGMAPS, labelled)
    await api.patch(f"{CONFIGMAPS}/y", {"metadata": {"labels": {"checked": None}}})  # the old object has it
    await api.patch(f"{CONFIGMAPS}/y", {"data": {"a": "b"}})
    assert len(hooks.reviews("/b")) == 2


async def test_order_and_one_more_round(api: Api, hooks: WebhookServer) -> None:
    again = {"reinvocationPolicy": "IfNeeded"}
    await configured(api, "Mutating", hooks.hook("c", label("c", "1")), name="b")
    await configured(
        api, "Mutating", hooks.hook("a", allow, **again), hooks.hook("b", label("b", "1"), **again), name="a"
    )
    await api.made(CONFIGMAPS, configmap("x"))
    assert [path for path, _ in hooks.asked] == ["/a", "/b", "/c", "/a", "/b"]


async def test_a_webhook_of_another_version_is_shown_that_one(api: Api, hooks: WebhookServer) -> None:
    scalers = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    only = {"groups": ["autoscaling"], "versions": ["v2"]}
    resource = ["horizontalpodautoscalers"]
    await configured(api, "Mutating", hooks.hook("a", label("seen", "yes"), resource, **only))
    await configured(api, "Validating", hooks.hook("b", allow, resource, **only, matchPolicy="Exact"))
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    spec = {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": target}
    made = await api.made(scalers, {"metadata": {"name": "h"}, "spec": spec})
    assert made["metadata"]["labels"] == {"seen": "yes"}
    assert made["spec"]["targetCPUUtilizationPercentage"] == 50
    (request,) = hooks.reviews("/a")
    assert not hooks.reviews("/b")
    assert request["kind"] == {"group": "autoscaling", "version": "v2", "kind": "HorizontalPodAutoscaler"}
    assert request["requestKind"]["version"] == "v1"
    assert request["object"]["apiVersion"] == "autoscaling/v2"
    assert request["object"]["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50


async def test_warnings(api: Api, hooks: WebhookServer) -> None:
    warns = lambda request: {"allowed": True, "warnings": ["this is old", "this too"]}  # noqa: E731
    await configured(api, "Validating", hooks.hook("a", warns))
    answer = await api.post(CONFIGMAPS, configmap("x"))
    assert answer.headers.get_list("warning") == ['299 - "this is old"', '299 - "this too"']


async def test_dry_runs(api: Api, hooks: WebhookServer) -> None:
    await configured(
        api,
        "Mutating",
        hooks.hook("a", label("a", "1"), sideEffects="NoneOnDryRun"),
    )
    answer = await api.post(CONFIGMAPS, configmap("x"), params={"dryRun": "All"})
    assert answer.json()["metadata"]["labels"] == {"a": "1"}
    (request,) = hooks.reviews("/a")
    assert request["dryRun"] is True
    assert request["options"]["dryRun"] == ["All"]
    assert (await api.get(f"{CONFIGMAPS}/x")).status_code == 404


async def test_failure_policies(api: Api, hooks: WebhookServer) -> None:
    nowhere = {"url": "https://127.0.0.1:1/x", "caBundle": hooks.client("/")["caBundle"]}
    await configured(
        api, "Mutating", {**hooks.hook("a", allow, failurePolicy="Ignore"), "clientConfig": nowhere}, name="ignored"
    )
    assert (await api.post(CONFIGMAPS, configmap("x"))).status_code == 201
    await configured(api, "Validating", {**hooks.hook("b", allow), "clientConfig": nowhere})
    status = failure(await api.post(CONFIGMAPS, configmap("y")), 500, "InternalError")
    assert status["message"] == (
        'Internal error occurred: failed calling webhook "b.example.com": failed to call webhook: '
        'Post "https://127.0.0.1:1/x?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused'
    )


async def test_what_a_webhook_makes_is_validated(api: Api, hooks: WebhookServer) -> None:
    bad = patch({"op": "add", "path": "/data", "value": {"not a key": "x"}})
    await configured(api, "Mutating", hooks.hook("a", bad))
    status = failure(await api.post(CONFIGMAPS, configmap("x")), 422, "Invalid")
    assert 'data[not a key]: Invalid value: "not a key"' in status["message"]


async def test_configurations_are_exempt(api: Api, hooks: WebhookServer) -> None:
    await configured(api, "Validating", hooks.hook("a", deny("no"), ["*/*"]))
    await configured(api, "Mutating", hooks.hook("b", allow))
    where = f"{CONFIGURATIONS.format('validating')}/test"
    assert (await api.patch(where, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)).status_code == 200
    assert (await api.delete(where)).status_code == 200
    assert not hooks.asked
    assert (await api.post(CONFIGMAPS, configmap("x"))).status_code == 201


# -- requests that store nothing of their own ------------------------------------------------------------------------------------

POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
PODS = "/api/v1/namespaces/default/pods"


async def test_evictions_are_shown_and_their_deletions_are_not(api: Api, hooks: WebhookServer) -> None:
    await api.made(PODS, POD)
    await configured(
        api, "Validating", hooks.hook("a", deny("busy"), ["pods/eviction"]), hooks.hook("b", deny("no"), ["pods"])
    )
    status = (await api.post(f"{PODS}/p/eviction", {})).json()
    assert status["message"] == 'admission webhook "a.example.com" denied the request: busy'
    (request,) = hooks.reviews("/a")
    assert request["kind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    assert (request["operation"], request["subResource"], request["name"]) == ("CREATE", "eviction", "p")
    assert request["object"]["metadata"] == {"name": "p", "namespace": "default"}
    hooks.answers["/a"] = allow
    assert (await api.post(f"{PODS}/p/eviction", {})).status_code == 201
    assert not hooks.reviews("/b")
    assert (await api.get(f"{PODS}/p")).status_code == 404


async def test_bindings_are_shown_and_can_be_changed(api: Api, hooks: WebhookServer) -> None:
    await api.made(PODS, POD)
    other = patch({"op": "replace", "path": "/target/name", "value": "n2"})
    await configured(api, "Mutating", hooks.hook("a", other, ["pods/binding"]))
    await configured(api, "Validating", hooks.hook("b", allow, ["pods/*", "pods"]))
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert (await api.post(f"{PODS}/p/binding", binding)).status_code == 201
    assert (await api.get(f"{PODS}/p")).json()["spec"]["nodeName"] == "n2"
    assert [request["kind"]["kind"] for request in hooks.reviews("/b")] == ["Binding"]


async def test_reviews_are_shown(api: Api, hooks: WebhookServer) -> None:
    await configured(api, "Validating", hooks.hook("a", deny("no"), ["selfsubjectaccessreviews"]))
    asked = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    answer = await api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked)
    assert answer.json()["message"] == 'admission webhook "a.example.com" denied the request: no'


async def test_connections_are_shown(api: Api, hooks: WebhookServer) -> None:
    await api.made(PODS, POD)
    await configured(api, "Validating", hooks.hook("a", deny("no shells"), ["pods/exec"], ["CONNECT"]))
    answer = await api.post(f"{PODS}/p/exec?command=sh&command=-i&stdin=true&container=c", b"")
    assert answer.json()["message"] == 'admission webhook "a.example.com" denied the request: no shells'
    (request,) = hooks.reviews("/a")
    assert request["kind"] == {"group": "", "version": "v1", "kind": "PodExecOptions"}
    assert request["object"] == {
        "kind": "PodExecOptions",
        "apiVersion": "v1",
        "stdin": True,
        "container": "c",
        "command": ["sh", "-i"],
    }
    assert (request["operation"], request["options"], request["oldObject"]) == ("CONNECT", None, None)


# -- matchConditions -------------------------------------------------------------------------------------------------------------


def condition(expression: str, **more: object) -> Object:
    return {"matchConditions": [{"name": "it", "expression": expression}], **more}


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("object.metadata.name == 'x'", True),
        ("object.metadata.name != 'x'", False),
        ("request.operation == 'CREATE' && request.userInfo.username == 'system:admin'", True),
        ("oldObject == null && namespaceObject == null", True),
        ("authorizer.group('').resource('configmaps').namespace('default').check('create').allowed()", True),
        ("authorizer.serviceAccount('default', 'nobody').group('').resource('secrets').check('get').allowed()", False),
        ("authorizer.requestResource.check('delete').allowed()", True),
        ("!request.dryRun && request.resource.resource == 'configmaps'", True),
    ],
)
async def test_conditions(api: Api, hooks: WebhookServer, expression: str, asked: bool) -> None:
    await configured(api, "Validating", hooks.hook("a", allow, **condition(expression)))
    await configured(api, "Mutating", hooks.hook("b", allow, **condition(expression)))
    await api.made(CONFIGMAPS, configmap("x"))
    assert [path for path, _ in hooks.asked] == (["/b", "/a"] if asked else [])


async def test_a_condition_without_a_value(api: Api, hooks: WebhookServer) -> None:
    expression = "object.data.none == 'x'"
    await configured(api, "Validating", hooks.hook("a", allow, **condition(expression)))
    status = failure(await api.post(CONFIGMAPS, configmap("x", key="v")), 403, "Forbidden")
    why = f"expression '{expression}' resulted in error: no such key: none"
    assert status["message"] == f'configmaps "x" is forbidden: {why}'
    changed = {"webhooks": [hooks.hook("a", deny("no"), **condition(expression, failurePolicy="Ignore"))]}
    await api.patch(f"{CONFIGURATIONS.format('validating')}/test", changed)
    assert (await api.post(CONFIGMAPS, configmap("x", key="v"))).status_code == 201
    assert not hooks.asked


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "resulted in error: operation cancelled: actual cost limit exceeded"), (3, "running out of cost budget")],
)
async def test_conditions_that_cost_too_much(api: Api, hooks: WebhookServer, count: int, said: str) -> None:
    """One has a limit of its own, all of a webhook have one together."""
    everything = "object.data.all(a, object.data.all(b, object.data.all(c, object.data.all(d, a + b + c + d != ''))))"
    conditions = [{"name": f"c{number}", "expression": everything} for number in range(count)]
    await configured(api, "Validating", hooks.hook("a", allow, matchConditions=conditions))
    many = {f"key{i}": "v" * 100 for i in range(60)}
    status = failure(await api.post(CONFIGMAPS, configmap("x", **many)), 403, "Forbidden")
    assert said in status["message"]
    assert not hooks.asked
