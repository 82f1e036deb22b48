"""The same webhooks beside kube-apiserver and beside kafila: what they are asked, and what writes are answered."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from clusters.harness import wait_until

from differential.compare import Difference, compare
from differential.normalise import normalised
from differential.servers import Answer, Server, kafila, reference
from tests.definitions import definition as defined
from tests.definitions import properties, version
from tests.integration.webhook_server import BUNDLE, WebhookServer, allow, deny, label, patch
from tests.integration.webhook_server import Answer as Says

pytestmark = [pytest.mark.clusters, pytest.mark.timeout(900)]
Object = dict[str, Any]
JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
FEW: Final = {"resources": ["configmaps"], "groups": [""], "versions": ["v1"]}


class Hook(NamedTuple):
    """``kind``: Mutating or Validating. ``more``: further fields; ``answer`` None: nobody is there."""

    kind: str
    name: str
    answer: Says | None
    resources: tuple[str, ...] = ("configmaps",)
    operations: tuple[str, ...] = ("*",)
    groups: tuple[str, ...] = ("*",)
    versions: tuple[str, ...] = ("*",)
    more: Object | None = None


class Ask(NamedTuple):
    method: str
    path: str  # below the scenario's namespace, unless it begins with /
    body: Any = None
    type: str = JSON


class Scenario(NamedTuple):
    """``before``: asked before the webhooks are configured."""

    name: str
    hooks: tuple[Hook, ...]
    asks: tuple[Ask, ...]
    before: tuple[Ask, ...] = ()


def configmap(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def post(obj: Object, query: str = "") -> Ask:
    return Ask("POST", f"configmaps{query}", obj)


def deployment(name: str, **metadata: Any) -> Object:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **metadata}, "spec": spec}


DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/{ns}/deployments"
SCALERS: Final = "/apis/autoscaling/v1/namespaces/{ns}/horizontalpodautoscalers"
POD: Final = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
BAD: Final = {"op": "add", "path": "/data", "value": {"not a key": "x"}}
ONE: Final = configmap("x", key="value")


def response(**fields: Any) -> Says:
    return lambda request: fields


REFUSALS: Final = {
    "plain": deny(),
    "said": deny("because"),
    "reasoned": deny("", reason="Forbidden", code=403),
    "teapot": deny("no tea", code=418, reason="Teapot", details={"name": "x", "kind": "pot"}),
    "low": deny("low", code=200, status="Success"),
    "retry": deny("later", code=429, reason="TooManyRequests", details={"retryAfterSeconds": 3}),
}
LIES: Final = {
    "other-uid": response(allowed=True, uid="other"),
    "patch-without-type": response(allowed=True, patch="W10="),
    "type-without-patch": response(allowed=True, patchType="JSONPatch"),
    "empty-type": response(allowed=True, patchType="", patch="W10="),
    "other-type": response(allowed=True, patchType="Merge", patch="W3sib3AiOiJ0ZXN0In1d"),
    "bad-path": patch({"op": "remove", "path": "/data/none"}),
    "bad-value": patch({"op": "replace", "path": "/data", "value": "text"}),
    "other-name": patch({"op": "replace", "path": "/metadata/name", "value": "y"}),
    "other-namespace": patch({"op": "add", "path": "/metadata/namespace", "value": "kube-system"}),
    "other-kind": patch({"op": "replace", "path": "/kind", "value": "ServiceAccount"}),
    "invalid": patch(BAD),
    "nothing": patch({"op": "test", "path": "/kind", "value": "ConfigMap"}),
}
CHANGES: Final = (
    Ask("PUT", "configmaps/x", configmap("x", key="put")),
    Ask("PATCH", "configmaps/x", {"data": {"key": "patched"}}, MERGE),
    Ask("PATCH", "configmaps/x?fieldManager=me&force=true", configmap("x", key="applied"), APPLY),
    Ask("PATCH", "configmaps/new?fieldManager=me", configmap("new", key="applied"), APPLY),
    Ask("PATCH", "configmaps/x?dryRun=All&fieldValidation=Strict", {"data": {"key": "dry"}}, MERGE),
    Ask("DELETE", "configmaps/x?dryRun=All&propagationPolicy=Background"),
    Ask("DELETE", "configmaps/x", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 5}),
    Ask("DELETE", "configmaps"),
    Ask("GET", "configmaps"),
)
SCENARIOS: Final = [
    *(
        Scenario(f"refused-{name}", (Hook("Validating", "a", answer), Hook("Mutating", "b", allow)), (post(ONE),))
        for name, answer in REFUSALS.items()
    ),
    *(
        Scenario(f"refused-first-{name}", (Hook("Mutating", "a", REFUSALS[name]),), (post(ONE),))
        for name in ("said", "teapot")
    ),
    *(
        Scenario(
            f"lies-{name}",
            (Hook("Mutating", "a", answer),),
            (post(ONE), Ask("GET", "configmaps"), Ask("PATCH", "configmaps/old", {"data": {"a": "b"}}, MERGE)),
            (post(configmap("old", key="v")),),
        )
        for name, answer in LIES.items()
    ),
    Scenario("patch-of-a-validating-one", (Hook("Validating", "a", patch(BAD)),), (post(ONE),)),
    Scenario(
        "everything",
        (Hook("Mutating", "a", label("a", "1")), Hook("Validating", "b", allow)),
        CHANGES,
        (post(ONE), post(configmap("z", key="v"))),
    ),
    Scenario(
        "generated",
        (Hook("Mutating", "a", label("a", "1")), Hook("Validating", "b", allow)),
        (Ask("POST", "configmaps", {"metadata": {"generateName": "gen-x-"}}),),
    ),
    Scenario(
        "warnings", (Hook("Validating", "a", response(allowed=True, warnings=["one", 'two "quoted"'])),), (post(ONE),)
    ),
    Scenario("nobody", (Hook("Validating", "a", None),), (post(ONE),)),
    Scenario("nobody-ignored", (Hook("Mutating", "a", None, more={"failurePolicy": "Ignore"}),), (post(ONE),)),
    Scenario(
        "side-effects",
        (Hook("Validating", "a", allow, more={"sideEffects": "NoneOnDryRun"}),),
        (post(ONE, "?dryRun=All"),),
    ),
    Scenario(
        "v1beta1",
        (Hook("Mutating", "a", label("a", "1"), more={"admissionReviewVersions": ["v1beta1", "v1"]}),),
        (post(ONE),),
    ),
    Scenario(
        "again",
        (
            Hook("Mutating", "a", allow, more={"reinvocationPolicy": "IfNeeded"}),
            Hook("Mutating", "b", label("b", "1"), more={"reinvocationPolicy": "IfNeeded"}),
            Hook("Mutating", "c", label("c", "1")),
        ),
        (post(ONE),),
    ),
    Scenario(
        "subresources",
        (
            Hook("Validating", "a", allow, ("deployments/*",)),
            Hook(
                "Mutating", "b", patch({"op": "replace", "path": "/spec/replicas", "value": 2}), ("deployments/scale",)
            ),
        ),
        (
            Ask("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 5}}, MERGE),
            Ask(
                "PATCH",
                f"{DEPLOYMENTS}/d/status",
                {"status": {"replicas": 1}, "metadata": {"labels": {"x": "y"}}},
                MERGE,
            ),
            Ask("PATCH", f"{DEPLOYMENTS}/d", {"metadata": {"labels": {"a": "b"}}}, MERGE),
            Ask("GET", f"{DEPLOYMENTS}/d"),
        ),
        (Ask("POST", DEPLOYMENTS, deployment("d")),),
    ),
    Scenario(
        "status-that-is-put-back",
        (
            Hook(
                "Mutating",
                "a",
                patch({"op": "add", "path": "/status", "value": {"replicas": 7}}),
                ("deployments", "deployments/status"),
            ),
        ),
        (
            Ask("POST", DEPLOYMENTS, deployment("e")),
            Ask("PATCH", f"{DEPLOYMENTS}/e/status", {"status": {"replicas": 1}}, MERGE),
            Ask("GET", f"{DEPLOYMENTS}/e"),
        ),
    ),
    Scenario(
        "equivalent",
        (
            Hook(
                "Mutating", "a", label("a", "1"), ("horizontalpodautoscalers",), ("CREATE",), ("autoscaling",), ("v2",)
            ),
            Hook(
                "Validating",
                "b",
                allow,
                ("horizontalpodautoscalers",),
                ("CREATE",),
                ("autoscaling",),
                ("v2",),
                {"matchPolicy": "Exact"},
            ),
        ),
        (
            Ask(
                "POST",
                SCALERS,
                {
                    "metadata": {"name": "h"},
                    "spec": {
                        "maxReplicas": 3,
                        "targetCPUUtilizationPercentage": 50,
                        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
                    },
                },
            ),
        ),
    ),
    Scenario(
        "eviction-and-binding",
        (Hook("Validating", "a", allow, ("pods/*", "pods")), Hook("Mutating", "b", allow, ("pods/binding",))),
        (
            Ask("POST", "pods/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}),
            Ask("POST", "pods/p/eviction", {"metadata": {"name": "p"}}),
        ),
        (Ask("POST", "serviceaccounts", {"metadata": {"name": "default"}}), Ask("POST", "pods", POD)),
    ),
    Scenario(
        "selectors",
        (
            Hook("Validating", "a", allow, more={"objectSelector": {"matchLabels": {"checked": "yes"}}}),
            Hook(
                "Validating",
                "b",
                allow,
                more={"objectSelector": {"matchExpressions": [{"key": "checked", "operator": "DoesNotExist"}]}},
            ),
        ),
        (
            post({**ONE, "metadata": {"name": "y", "labels": {"checked": "yes"}}}),
            Ask("PATCH", "configmaps/y", {"metadata": {"labels": {"checked": None}}}, MERGE),
            Ask("PATCH", "configmaps/y", {"data": {"a": "b"}}, MERGE),
        ),
    ),
    Scenario(
        "conditions",
        tuple(
            Hook(
                "Validating", name, allow, more={"matchConditions": [{"name": "it", "expression": expression}], **more}
            )
            for name, expression, more in (
                ("a", "object.metadata.name == 'x' && request.operation == 'CREATE'", {}),
                ("b", "has(object.data.other)", {}),
                ("c", "object.data.none == 'x'", {"failurePolicy": "Ignore"}),
                (
                    "d",
                    "authorizer.group('').resource('secrets').namespace(request.namespace).check('get').allowed()",
                    {},
                ),
            )
        ),
        (post(ONE),),
    ),
    Scenario(
        "condition-without-a-value",
        (
            Hook(
                "Validating",
                "a",
                allow,
                more={"matchConditions": [{"name": "it", "expression": "object.data.none == 'x'"}]},
            ),
        ),
        (post(ONE),),
    ),
    Scenario(
        "namespace-itself",
        (Hook("Validating", "a", allow, ("namespaces", "namespaces/finalize", "namespaces/status")),),
        (Ask("PATCH", "/api/v1/namespaces/{ns}", {"metadata": {"annotations": {"a": "b"}}}, MERGE),),
    ),
    Scenario(
        "reviews",
        (Hook("Validating", "a", deny("no"), ("selfsubjectaccessreviews", "localsubjectaccessreviews")),),
        (
            Ask(
                "POST",
                "/apis/authorization.k8s.io/v1/namespaces/{ns}/localsubjectaccessreviews",
                {"spec": {"user": "u", "resourceAttributes": {"namespace": "{ns}", "verb": "get", "resource": "pods"}}},
            ),
        ),
    ),
]


class Both(NamedTuple):
    hooks: WebhookServer
    one: Server
    two: Server


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    hooks, loop = WebhookServer(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = hooks.serving()
    asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(30)
    try:
        with reference() as one, kafila() as two:
            yield Both(hooks, one, two)
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)


def send(server: Server, namespace: str, ask: Ask) -> Answer:
    path = ask.path if ask.path.startswith("/") else f"/api/v1/namespaces/{namespace}/{ask.path}"
    body = None if ask.body is None else json.dumps(ask.body).replace("{ns}", namespace).encode()
    return server.send(ask.method, path.replace("{ns}", namespace), {"Content-Type": ask.type} if body else {}, body)


def configure(server: Server, hooks: WebhookServer, namespace: str, scenario: Scenario) -> None:
    """Returns when the server asks them: each configuration has a webhook for Secrets, too."""
    kinds = {hook.kind for hook in scenario.hooks}
    for kind in kinds:
        canary = Hook(kind, "canary", allow, ("secrets",))
        found = [_hook(server, hooks, namespace, hook) for hook in (*scenario.hooks, canary) if hook.kind == kind]
        resource = f"{kind.lower()}webhookconfigurations"
        body = {"metadata": {"name": namespace}, "webhooks": found}
        made = send(server, "", Ask("POST", f"/apis/admissionregistration.k8s.io/v1/{resource}", body))
        assert made.status == 201, made
    canaries = {f"/{server.name}/{namespace}/{kind}/canary" for kind in kinds}
    last: list[Answer] = []

    def configured() -> bool:
        last[:] = [send(server, namespace, Ask("POST", "secrets?dryRun=All", {"metadata": {"name": "probe"}}))]
        return canaries <= {path for path, _ in hooks.asked}

    try:
        wait_until("configured", configured, patience=30)
    except TimeoutError:
        raise AssertionError(last) from None


def _hook(server: Server, hooks: WebhookServer, namespace: str, hook: Hook) -> Object:
    path = f"/{server.name}/{namespace}/{hook.kind}/{hook.name}"
    hooks.answers[path] = hook.answer or allow
    rule = {
        "operations": list(hook.operations),
        "apiGroups": list(hook.groups),
        "apiVersions": list(hook.versions),
        "resources": list(hook.resources),
    }
    url = f"https://127.0.0.1:{hooks.port}{path}" if hook.answer else "https://127.0.0.1:1/nobody"
    return {
        "name": f"{hook.name}.example.com",
        "clientConfig": {"url": url, "caBundle": BUNDLE},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        **(hook.more or {}),
    }


def played(server: Server, hooks: WebhookServer, scenario: Scenario) -> tuple[list[Answer], list[Object]]:
    """What was answered, and what the webhooks were asked, by path and then in order."""
    namespace = f"hooks-{scenario.name}"
    send(server, "", Ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}))
    for ask in scenario.before:
        found = send(server, namespace, ask)
        assert found.status in (201, 409), found
    configure(server, hooks, namespace, scenario)
    hooks.asked.clear()
    answers = [send(server, namespace, ask) for ask in scenario.asks]
    prefix = f"/{server.name}"
    asked = [{"path": path.removeprefix(prefix), **request} for path, request in hooks.asked if path.startswith(prefix)]
    return answers, sorted(asked, key=lambda request: str(request["path"]))


def comparable(request: Object) -> Object:
    """Who asks is each server's own administrator. A Scale has no managedFields here: they are the workload's."""
    out = {name: value for name, value in request.items() if name != "userInfo"}
    for name in ("object", "oldObject"):
        if request["kind"]["kind"] == "Scale" and request[name]:
            out[name] = {**request[name], "metadata": dict(request[name]["metadata"])}
            out[name]["metadata"].pop("managedFields", None)
    return out


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_same_webhooks(both: Both, scenario: Scenario) -> None:
    one, two = (played(server, both.hooks, scenario) for server in (both.one, both.two))
    differences: list[Difference] = []
    for index, (expected, found) in enumerate(zip(one[0], two[0], strict=True)):
        differences += compare(scenario.name, f"answer {index}", normalised(expected), normalised(found))
    assert [request["path"] for request in two[1]] == [request["path"] for request in one[1]]
    for index, requests in enumerate(zip(one[1], two[1], strict=True)):
        shown = [
            normalised(Answer(200, {"content-type": [JSON]}, json.dumps(comparable(each)).encode()))
            for each in requests
        ]
        differences += compare(scenario.name, f"review {index}", *shown)
    assert not differences, "\n".join(map(str, differences))


# -- conversion ------------------------------------------------------------------------------------------------------------------

_SPECS: Final[dict[str, Object]] = {
    "v1": {"size": {"type": "string"}},
    "v2": {"amount": {"type": "integer"}, "unit": {"type": "string", "default": "kg"}},
}


def converted(obj: Object, desired: str) -> Object:
    spec = obj.get("spec") or {}
    if desired.endswith("v2"):
        amount = "".join(filter(str.isdigit, spec["size"]))
        new: Object = {"amount": int(amount), "unit": spec["size"][len(amount) :], "unknown": "x"}
    else:
        new = {"size": f"{spec['amount']}{spec['unit']}"}
    return {**obj, "apiVersion": desired, "spec": new}


def converts(request: Object) -> Object:
    objects = [converted(obj, request["desiredAPIVersion"]) for obj in request["objects"]]
    return {"result": {"status": "Success"}, "convertedObjects": objects}


def _with(**changes: Any) -> Says:
    """``metadata`` is merged into each object's."""

    def answer(request: Object) -> Object:
        found = converts(request)
        for obj in found["convertedObjects"]:
            metadata = {**obj["metadata"], **changes.get("metadata", {})}
            obj.update({**changes, "metadata": metadata})
        return found

    return answer


STRANGER: Final = {"apiVersion": "x/v3", "kind": "Gadget", "metadata": {"name": "g"}}
CONVERTERS: Final[dict[str, Says]] = {
    "good": converts,
    "failed": response(result={"status": "Failed", "message": "no idea"}),
    "silent": response(),
    "empty": response(result={"status": "Success"}),
    "other-kind": _with(kind="Secret"),
    "other-version": response(result={"status": "Success"}, convertedObjects=[STRANGER]),
    "other-name": _with(metadata={"name": "other"}),
    "labels": _with(metadata={"labels": {"a": "b"}, "finalizers": ["x/y"]}),
    "bad-labels": _with(metadata={"labels": {"not a label": "b"}}),
}


def definition(group: str, url: str) -> Object:
    versions = (
        version(name, properties(spec=properties(**spec)), storage=name == "v2") for name, spec in _SPECS.items()
    )
    webhook = {"clientConfig": {"url": url, "caBundle": BUNDLE}, "conversionReviewVersions": ["v1"]}
    return defined(group, "Gadget", *versions, conversion={"strategy": "Webhook", "webhook": webhook})


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("good", "failed") else pytest.mark.long) for name in CONVERTERS]
)
def test_the_same_conversions(both: Both, name: str) -> None:
    """What is written and read in the version that is not stored.

    kafila remembers what was converted, so that what was asked is not compared. Nor are owners of fields: kube-apiserver has parts
    of objects converted to find the owners of one version in another, and forgets them where a webhook cannot.
    """
    group, namespace = f"{name}.example.com", f"converted-{name}"
    v1, v2 = (f"/apis/{group}/{version}/namespaces/{namespace}/gadgets" for version in ("v1", "v2"))

    def gadget(version: str, named: str, **spec: Any) -> Object:
        return {"apiVersion": f"{group}/{version}", "kind": "Gadget", "metadata": {"name": named}, "spec": spec}

    asks = (
        Ask("GET", f"{v1}/g"),
        Ask("GET", v1),
        Ask("POST", v1, gadget("v1", "h", size="3g")),
        Ask("GET", f"{v2}/h"),
        Ask("PATCH", f"{v1}/g", {"spec": {"size": "9t"}}, MERGE),
        Ask("PATCH", f"{v1}/g?fieldManager=me&force=true", gadget("v1", "g", size="8t"), APPLY),
        Ask("GET", v2),
        Ask("DELETE", f"{v1}/g"),
    )
    answers: list[list[Answer]] = []
    for server in (both.one, both.two):
        send(server, "", Ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}))
        path = f"/{server.name}/{name}"
        both.hooks.answers[path] = CONVERTERS[name]
        made = definition(group, f"https://127.0.0.1:{both.hooks.port}{path}")
        found = send(server, "", Ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", made))
        assert found.status == 201, found
        stored = Ask("POST", v2, gadget("v2", "g", amount=5))
        wait_until(
            "served", lambda server=server, stored=stored: send(server, "", stored).status in (201, 409), patience=30
        )
        answers.append([send(server, "", ask) for ask in asks])
    differences: list[Difference] = []
    for index, (expected, got) in enumerate(zip(*answers, strict=True)):
        differences += compare(name, f"answer {index}", normalised(expected), normalised(got))
    differences = [each for each in differences if each.sort != "managedFields"]
    assert not differences, "\n".join(map(str, differences))
