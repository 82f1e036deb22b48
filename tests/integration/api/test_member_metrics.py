"""metrics.k8s.io, custom and external metrics of several members: simulated ones, and some that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.api.proxy import MemberProxy
from kafila.core.values import Object
from kafila.members.clients import MemberClients
from kafila.members.limits import CircuitBreaker
from kafila.members.transport import ASGITransport
from kafila.metricsadapter import members as asking
from kafila.metricsadapter.members import MemberMetrics
from kafila.registry import SYSTEM_ADMIN, Options, User
from kafila.registry.decoding import decode_object
from kafila.simulation import SimulatedCluster
from kafila.watch import Entry

from .conftest import CATALOG, failure

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
METRICS = "/apis/metrics.k8s.io/v1beta1"
CUSTOM = "/apis/custom.metrics.k8s.io"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
SOURCE = "resource.karmada.io/query-from-cluster"


class Lab:
    def __init__(self, api: Any) -> None:
        self.api = api
        self.members = {name: SimulatedCluster(name, CATALOG, nodes=1) for name in ("m1", "m2")}
        self.others: dict[str, Any] = {}  # ASGI applications by name
        self.proxy = MemberProxy(api.registry, self._transport)
        api.app = ObjectsApp(api.registry, build_shell({}), self.proxy, authorizer=api.authorizer)

    def _transport(self, cluster: Object) -> ASGITransport:
        name = cluster["metadata"]["name"]
        app = self.members[name].app if name in self.members else self.others[name]
        return ASGITransport(app, {"user": SYSTEM_ADMIN})

    async def start(self) -> Lab:
        for name, member in self.members.items():
            await member.start()
            await self.join(name)
        return self

    async def join(self, name: str, app: Any = None, ready: str = "True") -> None:
        if app is not None:
            self.others[name] = app
        head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster"}
        await self.api.made(CLUSTERS, {**head, "metadata": {"name": name}, "spec": {"syncMode": "Push"}})
        condition = {"type": "Ready", "status": ready, "reason": "R", "message": ""}
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        answer = await self.api.patch(f"{CLUSTERS}/{name}/status", {"status": {"conditions": [condition]}})
        assert answer.status_code == 200, answer.text

    async def pod(self, member: str, name: str, namespace: str = "default", **labels: str) -> None:
        registry = self.members[member].registry
        kind = registry.kind("", "v1", "pods")
        pod = {"metadata": {"name": name, "namespace": namespace, "labels": labels}}
        pod["spec"] = {"containers": [{"name": "c", "image": "i"}], "nodeName": f"{member}-node-1"}
        options = Options(manager="test")
        await registry.create(kind, namespace, decode_object(kind, pod, options), options)

    async def stop(self) -> None:
        await self.proxy.close()
        for member in self.members.values():
            await member.stop()

    async def get(self, path: str, code: int = 200, **options: Any) -> Object:
        answer = await self.api.get(path, **options)
        assert answer.status_code == code, answer.text
        return answer.json()


@pytest.fixture
async def lab(api: Any) -> AsyncIterator[Lab]:
    found = await Lab(api).start()
    yield found
    await found.stop()


def where(listed: Object) -> list[tuple[str, str]]:
    return [(item["metadata"]["name"], item["metadata"]["annotations"][SOURCE]) for item in listed["items"]]


async def test_pods_of_all_members(lab: Lab) -> None:
    await lab.pod("m2", "b", app="web")
    await lab.pod("m1", "a", app="web")
    await lab.pod("m1", "c", app="db")
    await lab.pod("m1", "k", "kube-system")
    found = await lab.get(f"{METRICS}/namespaces/default/pods")
    assert (found["kind"], found["apiVersion"], found["metadata"]) == ("PodMetricsList", "metrics.k8s.io/v1beta1", {})
    assert where(found) == [("a", "m1"), ("b", "m2"), ("c", "m1")]
    assert "kind" not in found["items"][0]
    assert found["items"][0]["containers"] == [{"name": "c", "usage": {"cpu": "25m", "memory": "16Mi"}}]
    assert where(await lab.get(f"{METRICS}/pods")) == [("a", "m1"), ("b", "m2"), ("c", "m1"), ("k", "m1")]
    selected = await lab.get(f"{METRICS}/pods?labelSelector=app%3Dweb")
    assert where(selected) == [("a", "m1"), ("b", "m2")]
    named = await lab.get(f"{METRICS}/pods?fieldSelector=metadata.name%3Dc")
    assert where(named) == [("c", "m1")]
    failure(await lab.api.get(f"{METRICS}/pods?fieldSelector=spec.x%3Dc"), 400, "BadRequest")
    failure(await lab.api.get(f"{METRICS}/pods?labelSelector=%3D%3D"), 400, "BadRequest")


async def test_one_pod_and_one_node(lab: Lab) -> None:
    await lab.pod("m2", "b")
    found = await lab.get(f"{METRICS}/namespaces/default/pods/b")
    assert (found["kind"], found["metadata"]["annotations"][SOURCE]) == ("PodMetrics", "m2")
    node = await lab.get(f"{METRICS}/nodes/m2-node-1")
    assert (node["kind"], node["usage"]) == ("NodeMetrics", {"cpu": "25m", "memory": "16Mi"})
    missing = failure(await lab.api.get(f"{METRICS}/namespaces/default/pods/x"), 404, "NotFound")
    assert missing["message"] == 'pods "x" not found'
    await lab.pod("m1", "b")
    twice = await lab.get(f"{METRICS}/namespaces/default/pods/b", 500)
    conflict = 'Operation cannot be fulfilled on pods "b": the pod(b) found in more than one clusters'
    assert twice["message"] == f"failed getting pod: {conflict}"


async def test_forms(lab: Lab) -> None:
    await lab.pod("m1", "a")
    table = await lab.get(f"{METRICS}/pods", headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert table["rows"][0]["cells"] == ["a", "25m", "16Mi", "15s"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    nodes = await lab.get(f"{METRICS}/nodes", headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert [row["cells"][0] for row in nodes["rows"]] == ["m1-node-1", "m2-node-1"]
    listed = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    assert (await lab.get(f"{METRICS}/pods", headers={"accept": listed}))["items"][0]["metadata"]["name"] == "a"
    answer = await lab.api.get(f"{METRICS}/pods", headers={"accept": "application/yaml"})
    assert "cpu: 25m" in answer.text


async def test_what_is_not_served(lab: Lab) -> None:
    failure(await lab.api.post(f"{METRICS}/namespaces/default/pods", {}), 405, "MethodNotAllowed")
    failure(await lab.api.get(f"{METRICS}/pods?watch=true"), 405, "MethodNotAllowed")
    failure(await lab.api.get(f"{METRICS}/namespaces/default/nodes"), 404, "NotFound")
    failure(await lab.api.get(f"{METRICS}/things"), 404, "NotFound")
    failure(await lab.api.get(f"{CUSTOM}/v1beta2/namespaces/default/pods"), 400, "BadRequest")
    failure(await lab.api.get(f"{CUSTOM}/v1beta2/namespaces/%2e%2e/pods/*/x"), 400, "BadRequest")
    failure(await lab.api.get(f"{EXTERNAL}/queue"), 404, "NotFound")


async def test_rights(lab: Lab) -> None:
    await lab.pod("m1", "a")
    lab.api.user = User("eve", ("system:authenticated",))
    refused = failure(await lab.api.get(f"{METRICS}/namespaces/default/pods"), 403, "Forbidden")
    assert 'User "eve" cannot list resource "pods" in API group "metrics.k8s.io"' in refused["message"]
    failure(await lab.api.get(f"{CUSTOM}/v1beta2/namespaces/default/pods/*/requests"), 403, "Forbidden")
    failure(await lab.api.get(f"{EXTERNAL}/namespaces/default/queue"), 403, "Forbidden")
    assert (await lab.api.get(METRICS)).status_code == 200  # discovery is everybody's


async def test_custom_metrics_are_added_up(lab: Lab) -> None:
    for member, value in (("m1", "10"), ("m2", "2500m")):
        lab.members[member].metrics.custom["requests"] = value
        await lab.pod(member, "same", app="web")
    await lab.pod("m2", "other", app="web")
    path = "namespaces/default/pods/*/requests?labelSelector=app%3Dweb"
    found = await lab.get(f"{CUSTOM}/v1beta2/{path}")
    assert [(i["describedObject"]["name"], i["value"], i["metric"]["name"]) for i in found["items"]] == [
        ("other", "2500m", "requests"),
        ("same", "12500m", "requests"),
    ]
    older = await lab.get(f"{CUSTOM}/v1beta1/{path}")
    assert (older["apiVersion"], older["items"][0]["metricName"]) == ("custom.metrics.k8s.io/v1beta1", "requests")
    one = await lab.get(f"{CUSTOM}/v1beta2/namespaces/default/pods/same/requests")
    assert [item["value"] for item in one["items"]] == ["12500m"]
    missing = failure(await lab.api.get(f"{CUSTOM}/v1beta2/namespaces/default/pods/*/x"), 404, "NotFound")
    assert missing["message"] == "the server could not find the metric x for pods"


async def test_external_metrics_are_added_up(lab: Lab) -> None:
    lab.members["m1"].metrics.external["queue"] = [({"q": "a"}, "3"), ({"q": "b"}, "1")]
    lab.members["m2"].metrics.external["queue"] = [({"q": "a"}, "4")]
    found = await lab.get(f"{EXTERNAL}/namespaces/default/queue")
    assert found["kind"] == "ExternalMetricValueList"
    assert [(item["metricLabels"], item["value"]) for item in found["items"]] == [({"q": "a"}, "7"), ({"q": "b"}, "1")]
    missing = failure(await lab.api.get(f"{EXTERNAL}/namespaces/default/x"), 404, "NotFound")
    assert missing["message"] == "the server could not find the metric x for namespace default"


async def test_discovery(lab: Lab) -> None:
    groups = {group["name"]: group for group in (await lab.get("/apis"))["groups"]}
    assert groups["metrics.k8s.io"]["preferredVersion"]["version"] == "v1beta1"
    assert [v["version"] for v in groups["custom.metrics.k8s.io"]["versions"]] == ["v1beta2", "v1beta1"]
    assert (await lab.get("/apis/external.metrics.k8s.io"))["kind"] == "APIGroup"
    rows = (await lab.get(METRICS))["resources"]
    assert [(row["name"], row["kind"], row["verbs"]) for row in rows] == [
        ("nodes", "NodeMetrics", ["get", "list"]),
        ("pods", "PodMetrics", ["get", "list"]),
    ]
    assert (await lab.get(f"{CUSTOM}/v1beta2"))["resources"] == []
    assert (await lab.get(EXTERNAL))["kind"] == "APIResourceList"
    aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    items = (await lab.get("/apis", headers={"accept": aggregated}))["items"]
    assert [item["metadata"]["name"] for item in items][-2:] == ["custom.metrics.k8s.io", "external.metrics.k8s.io"]
    document = await lab.get("/openapi/v3/apis/metrics.k8s.io/v1beta1")
    assert any(name.endswith("PodMetrics") for name in document["components"]["schemas"])


async def test_who_is_slow_or_says_nonsense_is_left_out(lab: Lab) -> None:
    lab.api.app.metrics._members._timeout = 1.0

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    await lab.pod("m1", "a")
    await lab.join("away", slow, ready="False")
    await lab.join("lies", answering(200, b'{"items":[{"metadata":{"name":"x","namespace":"default"}}]}'))
    await lab.join("none", answering(404, b"404 page not found"))
    await lab.join("slow", slow)
    answer = await lab.api.get(f"{METRICS}/namespaces/default/pods")
    assert where(answer.json()) == [("a", "m1")]
    warnings = [text.split('"')[1] for text in answer.headers.get_list("warning")]
    assert warnings == [
        "cluster away is left out: it is not Ready",
        "cluster lies is left out: the answer to GET /apis/metrics.k8s.io/v1beta1/namespaces/default/pods has metrics that are none",
        "cluster none is left out: it does not serve metrics.k8s.io",
        "cluster slow is left out: no answer within 1 s",
    ]


async def test_who_never_answers_is_soon_waited_for_no_more(lab: Lab) -> None:
    asked = 0

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    await lab.join("silent", silent)
    clients = MemberClients(lab.api.registry.cache, lab._transport)
    clients.get("silent").breaker = CircuitBreaker(shortest=600.0, longest=600.0)
    members = MemberMetrics(clients, timeout=60.0, one_timeout=0.05)
    try:
        for _ in range(5):
            found = await members.pods("default")
            # of the others nothing is said: on a busy machine they may be as slow
            assert found.left_out["silent"] == "timed out"
        found = await members.pods("default")
        assert found.left_out["silent"].endswith("; tried again soon")
        assert asked == 5
    finally:
        await members.close()


async def test_one_api_that_never_answers_is_noticed_though_the_others_answer(lab: Lab) -> None:
    asked = 0
    gone = answering(404, b"404 page not found")

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        if not scope["path"].startswith(METRICS):
            return await gone(scope, receive, send)
        asked += 1
        if asked % 2:  # half of an answer is none either
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise ConnectionError("broke off")
        await asyncio.Event().wait()

    await lab.join("silent", silent)
    members = MemberMetrics(MemberClients(lab.api.registry.cache, lab._transport), timeout=60.0, one_timeout=0.5)
    members._breakers["silent", METRICS] = CircuitBreaker(shortest=600.0, longest=600.0)
    try:
        for _ in range(5):
            assert "silent" in (await members.pods("default")).left_out
            assert "silent" not in (await members.resources("external.metrics.k8s.io")).left_out
        found = await members.pods("default")
        assert found.left_out["silent"] == f"{METRICS} does not answer there; tried again soon"
        assert asked == 5
        await lab.api.delete(f"{CLUSTERS}/silent")
        assert not any(cluster == "silent" for cluster, _ in members._breakers)
    finally:
        await members.close()


def test_one_request_ends_before_the_whole_question() -> None:
    """Otherwise it is cancelled, which says nothing of the member."""
    assert asking.ONE_TIMEOUT < asking.TIMEOUT


async def test_a_cluster_is_decoded_once_however_often_its_member_is_asked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, decoded = Entry.decode, list[str]()

    def counted(entry: Entry) -> Object:
        if entry.key.resource == "clusters.cluster.karmada.io":
            decoded.append(entry.key.name)
        return decode(entry)

    await lab.join("away", answering(404, b""), ready="False")
    clients = MemberClients(lab.api.registry.cache, lab._transport)
    monkeypatch.setattr(Entry, "decode", counted)
    try:
        for _ in range(3):
            assert clients.ready() == (["m1", "m2"], ["away"])
            assert clients.get("m1") is clients.get("m1")
        assert sorted(decoded) == ["away", "m1", "m2"]
        client = clients.get("m1")
        decoded.clear()
        condition = {"type": "Ready", "status": "False", "reason": "R", "message": ""}
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        await lab.api.patch(f"{CLUSTERS}/m1/status", {"status": {"conditions": [condition]}})
        decoded.clear()  # by the write itself
        assert clients.ready() == (["m2"], ["away", "m1"])
        assert clients.get("m1") is client  # it is still reached in the same way
        assert decoded == ["m1"]
        await lab.api.patch(f"{CLUSTERS}/m1", {"spec": {"apiEndpoint": "https://elsewhere.invalid"}})
        assert clients.get("m1") is not client
        await lab.api.delete(f"{CLUSTERS}/m2")
        assert "m2" not in clients.ready()[0]
    finally:
        await clients.close()


async def test_the_same_question_is_asked_once(lab: Lab) -> None:
    await lab.pod("m1", "a")
    count = 0

    def counted(pod: Object) -> dict[str, str]:
        nonlocal count
        count += 1
        return {"cpu": "1"}

    lab.members["m1"].metrics.usage = counted
    await asyncio.gather(*(lab.get(f"{METRICS}/namespaces/default/pods") for _ in range(20)))
    assert count == 1


def answering(status: int, body: bytes) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app
