"""Interpreter webhooks over simulated members, with a real HTTPS server on loopback."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, final

import orjson
import pytest
import trustme
from aiohttp import web

from kafila.core.values import Object

from .conftest import Lab

Answer = Callable[[Object], Object | Awaitable[web.Response]]
AUTHORITY = trustme.CA()


@final
class Webhook:
    """A server that answers each operation with what a test put there."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Object] = []
        self.heads: list[web.Request] = []
        self.port = 0

    async def start(self, *names: str) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        AUTHORITY.issue_cert(*(names or ("127.0.0.1", "hook.default.svc"))).configure_cert(context)
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        review = orjson.loads(await request.read())
        self.asked.append(review["request"])
        self.heads.append(request)
        made = self.answers[review["request"]["operation"]](review["request"])
        if not isinstance(made, dict):
            return await made
        response = {"uid": review["request"]["uid"], "successful": True, **made}
        return web.json_response({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})

    def requests(self, operation: str) -> list[Object]:
        return [asked for asked in self.asked if asked["operation"] == operation]


@pytest.fixture
async def hook() -> AsyncIterator[Webhook]:
    found = Webhook()
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


def patch(*operations: Object) -> Object:
    return {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(operations)).decode()}


def configuration(hook: Webhook, *operations: str, name: str = "hooks", **webhook: Any) -> Object:
    client = {
        "url": f"https://127.0.0.1:{hook.port}/interpret",
        "caBundle": base64.b64encode(AUTHORITY.cert_pem.bytes()).decode(),
    }
    rule = {"operations": list(operations) or ["*"], "apiGroups": [""], "apiVersions": ["v1"], "kinds": ["ConfigMap"]}
    found = {
        "name": "hook.example.com",
        "clientConfig": client,
        "rules": [rule],
        "interpreterContextVersions": ["v1alpha1"],
        **webhook,
    }
    return {
        "apiVersion": "config.karmada.io/v1alpha1",
        "kind": "ResourceInterpreterWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [found],
    }


SELECT = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
HALVES = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {
        "staticWeightList": [
            {"targetCluster": {"clusterNames": ["m1"]}, "weight": 1},
            {"targetCluster": {"clusterNames": ["m2"]}, "weight": 1},
        ]
    },
}


def _kept(data: Object) -> str:
    return str(data.get("kept") or data["a"])


async def test_all_operations(two: Lab, hook: Webhook) -> None:
    hook.answers = {
        "InterpretReplica": lambda q: {"replicas": 4, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}},
        "ReviseReplica": lambda q: patch({"op": "add", "path": "/data/share", "value": str(q["replicas"])}),
        "Retain": lambda q: patch({"op": "add", "path": "/data/kept", "value": _kept(q["observedObject"]["data"])}),
        "InterpretStatus": lambda q: {"rawStatus": {"share": q["object"]["data"]["share"]}},
        "InterpretHealth": lambda q: {"healthy": q["object"]["data"]["share"] == "2"},
        "AggregateStatus": lambda q: {},
        "InterpretDependency": lambda q: {
            "dependencies": [{"apiVersion": "v1", "kind": "Secret", "namespace": "default", "name": "token"}]
        },
    }
    await two.create(configuration(hook, *hook.answers))  # a kind with components has no replicas
    token = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "default"}}
    await two.create(token)
    await two.create(two.policy(select=SELECT, scheduling=HALVES, propagateDeps=True))
    await two.create(two.config())
    await two.until(lambda: two.in_clusters("Secret", "token") == ["m1", "m2"])
    await two.rest()
    for member in ("m1", "m2"):
        assert two.in_member(member, "ConfigMap", "settings")["data"] == {"a": "1", "share": "2"}
    await two.change("ConfigMap", "settings", lambda c: c["data"].update(a="2"))
    await two.rest()
    for member in ("m1", "m2"):  # what is retained shows when there is something to keep
        assert two.in_member(member, "ConfigMap", "settings")["data"] == {"a": "2", "share": "2", "kept": "1"}
    binding = two.get("ResourceBinding", "settings-configmap")
    assert binding["spec"]["replicaRequirements"]["resourceRequest"] == {"cpu": "1"}
    items = binding["status"]["aggregatedStatus"]
    assert [(item["health"], item["status"]) for item in items] == [("Healthy", {"share": "2"})] * 2

    replica = hook.requests("InterpretReplica")[0]
    assert replica["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert (replica["name"], replica["namespace"], replica["replicas"]) == ("settings", "default", 0)
    assert replica["object"]["data"] == {"a": "1"}
    assert "observedObject" not in replica
    assert {q["replicas"] for q in hook.requests("ReviseReplica")} == {2}
    assert hook.requests("AggregateStatus")[-1]["aggregatedStatus"] == items
    assert hook.heads[0].path_qs == "/interpret?timeout=10s"


@pytest.mark.parametrize("external", [True, False])
async def test_a_service_says_where_it_is(two: Lab, hook: Webhook, external: bool) -> None:
    """The certificate has to be the Service's, wherever that leads."""
    hook.answers = {"InterpretReplica": lambda q: {"replicas": 4}}
    spec: Object = {"type": "ExternalName", "externalName": "127.0.0.1"}
    if not external:
        spec = {"type": "ClusterIP", "clusterIP": "None", "ports": [{"port": 443, "protocol": "TCP"}]}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hook", "namespace": "default"},
        "spec": spec,
    }
    await two.create(service)
    client = {
        "service": {"namespace": "default", "name": "hook", "path": "/a/b", "port": hook.port},
        "caBundle": base64.b64encode(AUTHORITY.cert_pem.bytes()).decode(),
    }
    await two.create(configuration(hook, "InterpretReplica", clientConfig=client, timeoutSeconds=5))
    await two.create(two.policy(select=SELECT))
    await two.create(two.config())
    if external:
        await two.rest()
        assert two.get("ResourceBinding", "settings-configmap")["spec"]["replicas"] == 4
        assert hook.heads[0].path_qs == "/a/b?timeout=5s"
        assert hook.heads[0].headers["Host"] == f"hook.default.svc:{hook.port}"
    else:
        text = 'could not get REST client: cannot route to service with ClusterIP "None"'
        await two.until(lambda: text in str(two.events("ConfigMap", "settings")))


async def hang(question: Object) -> web.Response:
    await asyncio.sleep(60)
    raise AssertionError


async def respond(**options: Any) -> web.Response:
    return web.Response(**options)


LIES: dict[str, tuple[Answer, str]] = {
    "refuses": (
        lambda q: {"successful": False, "status": {"code": 403, "message": "not yours"}},
        "webhook call failed, get status code: 403, msg: not yours",
    ),
    "fails": (
        lambda q: respond(status=500, text="boom"),
        ' an error on the server ("boom") has prevented the request from succeeding',
    ),
    "redirects": (
        lambda q: respond(status=302, headers={"Location": "https://127.0.0.1:1/"}),
        " the server responded with the status code 302 ",
    ),
    "is another request's": (
        lambda q: {"uid": "other"},
        'received invalid webhook response: expected response.uid "',
    ),
    "is no review": (
        lambda q: respond(text='{"a":1}'),
        "received invalid webhook response: webhook response was absent",
    ),
    "is of another kind": (lambda q: respond(text='{"kind":"Status"}'), "it is no ResourceInterpreterContext"),
    "is no JSON": (lambda q: respond(text="<html>"), "received invalid webhook response: "),
    "is endless": (lambda q: respond(body=b"1" * (9 << 20)), "the answer is larger than 8 MiB"),
    "tells nothing": (lambda q: {}, "webhook returned nil response.replicas"),
    "tells nonsense": (lambda q: {"replicas": "three"}, "response.replicas is 'three', no 32-bit integer"),
    "hangs": (hang, "context deadline exceeded"),
}


@pytest.mark.parametrize("how", LIES)
async def test_an_answer_that(two: Lab, hook: Webhook, how: str) -> None:
    answer, expected = LIES[how]
    hook.answers = {"InterpretReplica": answer}
    await two.create(configuration(hook, "InterpretReplica", timeoutSeconds=1 if how == "hangs" else 25))
    await two.create(two.policy(select=SELECT))
    await two.create(two.config())
    await two.create(two.policy("other"))
    await two.create(two.deployment())
    await two.until(lambda: two.in_clusters("Deployment", "web") == ["m1", "m2"], "others are not delayed")

    def messages(kind: str, name: str, reason: str) -> str:
        return " ".join(message for _, why, message, _ in two.events(kind, name) if why == reason)

    await two.until(lambda: expected in messages("ConfigMap", "settings", "GetReplicasFailed"))
    await two.until(
        lambda: expected in messages("ResourceInterpreterWebhookConfiguration", "hooks", "InterpretFailed"),
        "the source",
    )
    assert two.get("ResourceBinding", "settings-configmap") == {}
    hook.answers = {"InterpretReplica": lambda q: {"replicas": 4}}
    await two.change(  # do not wait for the next try
        "ResourceInterpreterWebhookConfiguration", "hooks", lambda c: c["webhooks"][0].update(timeoutSeconds=2)
    )
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1", "m2"])


BAD_PATCHES: dict[str, tuple[Object, str]] = {
    "no type": ({"patch": "W10="}, "webhook returned nil response.patchType"),
    "no patch": ({"patchType": "JSONPatch"}, "webhook returned empty response.patch"),
    "a type": ({"patch": "W10=", "patchType": "Merge"}, 'webhook returned invalid response.patchType of "Merge"'),
    "no base64": ({"patch": "?", "patchType": "JSONPatch"}, "response.patch cannot be applied: "),
    "nothing there": (patch({"op": "remove", "path": "/x"}), "response.patch cannot be applied: "),
    "another object": (
        patch({"op": "replace", "path": "/metadata/name", "value": "admin"}),
        "ReviseReplica must not change metadata.name, and made it 'admin'",
    ),
}


@pytest.mark.parametrize("how", BAD_PATCHES)  # one at a time: of too many failures of one object no more are told
async def test_a_patch_that_does_not_hold(two: Lab, hook: Webhook, how: str) -> None:
    answer, expected = BAD_PATCHES[how]
    hook.answers = {"InterpretReplica": lambda q: {"replicas": 4}, "ReviseReplica": lambda q: answer}
    await two.create(two.policy(select=SELECT))
    await two.create(two.config())
    await two.rest()
    await two.create(configuration(hook, "InterpretReplica", "ReviseReplica"))
    await two.until(
        lambda: any(
            reason == "SyncWorkFailed" and expected in message
            for _, reason, message, _ in two.events("ResourceBinding", "settings-configmap")
        ),
        expected,
    )
    await two.delete("ResourceInterpreterWebhookConfiguration", "hooks")
    await two.rest()
    assert all(two.get("ConfigMap", "admin", registry=m.registry) == {} for m in two.members.values())


async def test_a_server_that_is_not_trusted(two: Lab, hook: Webhook) -> None:
    found = configuration(hook, "InterpretReplica")
    other = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
    found["webhooks"][0]["clientConfig"]["caBundle"] = other
    await two.create(found)
    await two.create(two.policy(select=SELECT))
    await two.create(two.config())
    await two.until(lambda: "certificate signed by unknown authority" in str(two.events("ConfigMap", "settings")))
    assert hook.asked == []


async def test_a_server_that_comes_back(two: Lab, hook: Webhook) -> None:
    hook.answers = {"InterpretReplica": lambda q: {"replicas": 4}}
    await hook.stop()
    with socket.socket() as place:  # nobody else gets the port meanwhile
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", hook.port))
        await two.create(configuration(hook, "InterpretReplica"))
        await two.create(two.policy(select=SELECT))
        await two.create(two.config())
        await two.until(lambda: "failed to call webhook" in str(two.events("ConfigMap", "settings")))
        await hook.start()
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1", "m2"])
