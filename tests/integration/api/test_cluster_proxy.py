"""``clusters/NAME/proxy``: over the network to an HTTP server that tells what it was asked, and to a simulated member."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from typing import Any, final

import pytest
from aiohttp import web

from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.api.proxy import MemberProxy
from kafila.audit.table import Journal
from kafila.catalog.catalog import load_catalog
from kafila.core.values import Object
from kafila.members.transport import ASGITransport
from kafila.registry import SYSTEM_ADMIN, User
from kafila.search.versions import encode, parse
from kafila.simulation import SimulatedCluster

from .conftest import PATIENCE

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
PROXY = f"{CLUSTERS}/m1/proxy"
SECRETS = "/api/v1/namespaces/karmada-cluster/secrets"
IMPERSONATOR = {"namespace": "karmada-cluster", "name": "m1-impersonator"}


@final
class Member:
    """Answers with what it was asked; ``/slow`` streams what the test puts in, ``/torn`` breaks off."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.left = asyncio.Event()
        self.arrived = asyncio.Event()
        self.runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        self.endpoint = ""

    async def start(self) -> Member:
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        host, port = self.runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}"
        return self

    async def stop(self) -> None:
        await self.runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.arrived.set()
        if request.path == "/big":
            size = 0
            async for chunk in request.content.iter_any():
                size += len(chunk)
            return web.json_response({"size": size})
        self.bodies.append(await request.read())
        if request.path == "/slow":
            return await self._stream(request)
        if request.path == "/torn":
            response = web.StreamResponse(headers={"content-length": "100"})
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.close()
            return response
        if request.path == "/zipped":
            headers = {"content-encoding": "gzip", "content-type": "application/json"}
            return web.Response(body=gzip.compress(b'{"kind":"Pod"}'), headers=headers)
        if request.path == "/refused":
            headers = {"Warning": '299 - "one"', "Audit-Id": "theirs", "Access-Control-Allow-Origin": "*"}
            return web.json_response({"kind": "Status", "code": 403}, status=403, headers=headers)
        if request.path == "/moved":
            return web.Response(status=302, headers={"location": "https://elsewhere/x"})
        return web.json_response({"path": request.path_qs})

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        try:
            while line := await self.lines.get():
                await response.write(line)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        return response

    def headers(self, name: str) -> list[str]:
        return self.requests[-1].headers.getall(name, [])


def secret(name: str, **data: str) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def cluster(endpoint: str, name: str = "m1", **spec: Any) -> Object:
    given = {"syncMode": "Push", "apiEndpoint": endpoint, "impersonatorSecretRef": IMPERSONATOR, **spec}
    return {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": {key: value for key, value in given.items() if value is not None},
    }


@pytest.fixture
async def proxied(api: Any) -> AsyncIterator[Any]:
    """The API with a proxy that knows no simulated members."""
    proxy = MemberProxy(api.registry)
    api.app = ObjectsApp(api.registry, build_shell({}), proxy)
    await api.made(SECRETS, secret("m1-impersonator", token="first"))
    yield api
    await proxy.close()


@pytest.fixture
async def member() -> AsyncIterator[Member]:
    found = await Member().start()
    yield found
    await found.stop()


@pytest.fixture
async def joined(proxied: Any, member: Member) -> Any:
    await proxied.made(CLUSTERS, cluster(member.endpoint))
    return proxied


# -- requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/", "/"),
        ("/api/v1/nodes", "/api/v1/nodes"),
        ("/api/v1/pods?labelSelector=a%3Db%2Cc&limit=5&x=", "/api/v1/pods?labelSelector=a%3Db%2Cc&limit=5&x="),
        ("/api//v1/pods/", "/api/v1/pods/"),
        ("/api/v1/%2e%2e/%2e%2e/%2e%2e/version", "/version"),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%20b", None),
        ("/openapi/v3?a=%2F", "/openapi/v3?a=%2F"),
    ],
)
async def test_path_and_query_arrive_as_they_were(joined: Any, member: Member, asked: str, seen: str | None) -> None:
    answer = await joined.get(PROXY + asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["path"] == (seen or asked)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET"])
async def test_methods_and_bodies_pass(joined: Any, member: Member, method: str) -> None:
    answer = await joined.ask(method, f"{PROXY}/api/v1/pods", b"{}", type="application/apply-patch+yaml")
    assert answer.status_code == 200, answer.text
    assert (member.requests[-1].method, member.bodies[-1]) == (method, b"{}")
    assert member.headers("content-type") == ["application/apply-patch+yaml"]
    assert member.headers("content-length") == ["2"]


async def test_the_member_sees_who_is_acted_as_and_nobody_else(joined: Any, member: Member) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": ["cluster.karmada.io"], "resources": ["clusters/proxy"], "verbs": ["*"]}]
    await joined.made(f"{rbac}/clusterroles", {"metadata": {"name": "proxy"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "proxy"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}]
    binding = {"metadata": {"name": "proxy"}, "roleRef": reference, "subjects": subjects}
    await joined.made(f"{rbac}/clusterrolebindings", binding)
    headers = {"Impersonate-User": "alice", "Impersonate-Group": "dev", "Impersonate-Extra-A": "b"}
    answer = await joined.get(f"{PROXY}/api/v1/nodes", headers=headers)
    assert answer.status_code == 200, answer.text
    assert member.headers("impersonate-user") == ["alice"]
    assert member.headers("impersonate-group") == ["dev"]
    assert member.headers("impersonate-extra-a") == []  # Karmada passes on names and groups
    joined.user = User("alice", ("system:authenticated",))
    asked = len(member.requests)
    answer = await joined.get(f"{PROXY}/api/v1/nodes", headers={"Impersonate-User": "system:admin"})
    assert (answer.status_code, len(member.requests)) == (403, asked)


async def test_who_writes_to_a_member_is_recorded(joined: Any, member: Member) -> None:
    joined.app.journal = Journal(joined.store)
    for method in ("POST", "GET", "OPTIONS", "DELETE"):
        await joined.ask(method, f"{PROXY}/api/v1/pods/x", b"{}")
    joined.app.journal.close(60)
    found = (await joined.get("/apis/audit.kafila.io/v1alpha1/auditrecords")).json()["items"]
    assert [(each["verb"], each["subresource"], each["path"]) for each in reversed(found)] == [
        ("create", "proxy", "api/v1/pods/x"),
        ("delete", "proxy", "api/v1/pods/x"),
    ]


async def test_other_methods_are_refused(joined: Any) -> None:
    assert (await joined.ask("TRACE", f"{PROXY}/x")).status_code == 405


async def test_head_has_the_headers_only(joined: Any) -> None:
    answer = await joined.ask("HEAD", f"{PROXY}/api")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_a_body_may_be_longer_than_an_object(joined: Any) -> None:
    answer = await joined.ask("POST", f"{PROXY}/big", b"x" * (5 << 20))
    assert answer.json() == {"size": 5 << 20}


async def test_a_body_of_unknown_length_streams(joined: Any) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"y" * 100_000

    answer = await joined.client.request("PUT", f"{PROXY}/big", content=parts())
    assert answer.json() == {"size": 4_000_000}


async def test_the_member_sees_the_caller_and_nothing_the_caller_says_of_himself(joined: Any, member: Member) -> None:
    joined.user = User("ann", ("system:masters", "team a", "system:authenticated"), "uid-1")
    forged = {
        "authorization": "Bearer mine",
        "x-remote-user": "root",
        "connection": "keep-alive, x-private",
        "x-private": "1",
        "te": "trailers",
        "proxy-authorization": "Basic x",
        "accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        "kubectl-command": "kubectl get",
    }
    refused = await joined.get(f"{PROXY}/api", headers=forged | {"impersonate-user": "root"})
    assert (refused.status_code, member.requests) == (403, [])
    answer = await joined.get(f"{PROXY}/api", headers=forged)
    assert answer.status_code == 200
    assert member.headers("authorization") == ["bearer first"]
    assert member.headers("impersonate-user") == ["ann"]
    assert member.headers("impersonate-group") == ["system:masters", "team a"]
    for name in ("x-remote-user", "x-private", "te"):
        assert member.headers(name) == []
    assert member.headers("proxy-authorization") == []
    assert member.headers("accept") == [forged["accept"]]
    assert member.headers("kubectl-command") == ["kubectl get"]
    assert member.headers("user-agent") == ["tester/1.0"]
    assert member.endpoint.endswith(member.headers("host")[0])


async def test_the_root_has_a_slash(joined: Any) -> None:
    answer = await joined.get(f"{PROXY}?a=1")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{PROXY}/?a=1")


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_answers_pass_as_they_are(joined: Any, member: Member) -> None:
    zipped = await joined.get(f"{PROXY}/zipped")
    assert (zipped.headers["content-encoding"], zipped.json()) == ("gzip", {"kind": "Pod"})
    await joined.client.request("GET", f"{PROXY}/api", headers={"accept-encoding": "identity"})
    assert member.headers("accept-encoding") == ["identity"]
    refused = await joined.get(f"{PROXY}/refused")
    assert refused.status_code == 403
    assert refused.headers["warning"] == '299 - "one"'
    assert refused.headers.get_list("audit-id") != ["theirs"]
    assert len(refused.headers.get_list("audit-id")) == 1
    assert "access-control-allow-origin" not in refused.headers
    moved = await joined.get(f"{PROXY}/moved")  # we do not follow with the impersonator's token
    assert moved.status_code == 502


async def test_streams_come_line_by_line_and_end_with_the_member(joined: Any, member: Member) -> None:
    stream = await joined.watch(f"{PROXY}/slow").start()
    for number in (1, 2):
        await member.lines.put(b'{"n":%d}\n' % number)
        assert await stream.event() == {"n": number}
    await member.lines.put(b"")
    assert await stream.rest() == b""


async def test_who_leaves_a_stream_leaves_the_member(joined: Any, member: Member) -> None:
    stream = await joined.watch(f"{PROXY}/slow").start()
    await stream.leave()
    async with asyncio.timeout(PATIENCE):
        while not member.left.is_set():  # the server notices at a word that comes after the end
            await member.lines.put(b"{}\n")
            await asyncio.sleep(0)


async def test_a_broken_answer_does_not_look_complete(joined: Any, member: Member) -> None:
    stream = await joined.watch(f"{PROXY}/torn").start()
    await asyncio.wait_for(stream.task, PATIENCE)
    while not stream._sent.empty():
        await stream._more()
    assert (stream.buffer, stream.ended, stream.broken_off) == (b"half", False, True)


# -- what is wrong -----------------------------------------------------------------------------------------------------


def refusal(answer: Any) -> tuple[int, str, str]:
    status = answer.json()
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status_code)
    return answer.status_code, status.get("reason", ""), status["message"]


async def test_errors_are_in_karmadas_words(proxied: Any) -> None:
    absent = await proxied.get(f"{CLUSTERS}/nobody/proxy/api")
    assert refusal(absent) == (404, "NotFound", 'clusters.cluster.karmada.io "nobody" not found')

    async def with_spec(name: str, **spec: Any) -> tuple[int, str, str]:
        await proxied.made(CLUSTERS, cluster("http://127.0.0.1:1", name, id=name, **spec))
        return refusal(await proxied.get(f"{CLUSTERS}/{name}/proxy/api"))

    assert await with_spec("a", impersonatorSecretRef=None) == (
        500,
        "",
        "the impersonatorSecretRef of cluster a is nil",
    )
    lost = {"namespace": "karmada-cluster", "name": "lost"}
    assert await with_spec("b", impersonatorSecretRef=lost) == (404, "NotFound", 'secrets "lost" not found')
    assert await with_spec("c", secretRef=lost) == (404, "NotFound", 'secrets "lost" not found')
    await proxied.made(SECRETS, secret("empty"))
    empty = {"namespace": "karmada-cluster", "name": "empty"}
    why = "failed to get impresonateToken for cluster d: the impresonate token of cluster d is empty"
    assert await with_spec("d", impersonatorSecretRef=empty) == (500, "", why)
    code, reason, message = await with_spec("e")
    assert (code, reason) == (503, "ServiceUnavailable")
    assert message.startswith("error trying to reach service: ")


async def test_a_ca_that_is_none_is_said(proxied: Any) -> None:
    await proxied.made(SECRETS, secret("m1", token="x", caBundle="not a certificate"))
    reference = {"namespace": "karmada-cluster", "name": "m1"}
    await proxied.made(CLUSTERS, cluster("https://127.0.0.1:1", secretRef=reference))
    code, _, message = refusal(await proxied.get(f"{PROXY}/api"))
    assert code == 503
    assert message.startswith("error trying to reach service: the credentials are not usable")


@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
async def test_what_cannot_be_upgraded_is_passed_on_as_it_is(joined: Any, member: Member, protocol: str) -> None:
    """A caller in this process, or one of HTTP/1.0."""
    headers = {"connection": "Upgrade", "upgrade": protocol}
    answer = await joined.ask("POST", f"{PROXY}/api/v1/namespaces/a/pods/b/exec", headers=headers)
    assert answer.json() == {"path": "/api/v1/namespaces/a/pods/b/exec"}
    assert member.headers("upgrade") == []


async def test_only_those_who_may(joined: Any, member: Member) -> None:
    joined.user = User("bob", ("system:authenticated",))
    code, _, message = refusal(await joined.get(f"{PROXY}/api"))
    assert code == 403
    assert 'cannot get resource "clusters/proxy" in API group "cluster.karmada.io" at the cluster scope' in message
    assert member.requests == []


# -- credentials that change -------------------------------------------------------------------------------------------


async def test_new_credentials_are_used_at_once(joined: Any, member: Member) -> None:
    await joined.get(f"{PROXY}/api")
    stream = await joined.watch(f"{PROXY}/slow").start()
    await joined.patch(f"{SECRETS}/m1-impersonator", {"data": {"token": base64.b64encode(b"second").decode()}})
    await joined.get(f"{PROXY}/api")
    assert member.headers("authorization") == ["bearer second"]
    await member.lines.put(b'{"n":1}\n')  # what had begun goes on
    assert await stream.event() == {"n": 1}
    await stream.leave()


async def test_a_cluster_that_moves_is_followed_and_one_that_left_is_gone(joined: Any, member: Member) -> None:
    await joined.get(f"{PROXY}/api")
    other = await Member().start()
    try:
        await joined.patch(f"{CLUSTERS}/m1", {"spec": {"apiEndpoint": f"{other.endpoint}/k8s/clusters/c-1/"}})
        answer = await joined.get(f"{PROXY}/api/%2e%2e/%2e%2e/%2e%2e/v1?x=1")
        assert answer.json() == {"path": "/k8s/clusters/c-1/v1?x=1"}
        assert len(member.requests) == 1
    finally:
        await other.stop()
    await joined.delete(f"{CLUSTERS}/m1")
    assert (await joined.get(f"{PROXY}/api")).status_code == 404


async def test_closing_breaks_streams_off(proxied: Any, member: Member) -> None:
    await proxied.made(CLUSTERS, cluster(member.endpoint))
    stream = await proxied.watch(f"{PROXY}/slow").start()
    await proxied.app.member_proxy.close()
    await asyncio.wait_for(stream.task, PATIENCE)
    assert not stream.ended


# -- simulated members -------------------------------------------------------------------------------------------------


@pytest.fixture
async def simulated(api: Any) -> AsyncIterator[tuple[Any, SimulatedCluster]]:
    member = SimulatedCluster("m1", load_catalog(), nodes=2)
    await member.start()
    proxy = MemberProxy(api.registry, lambda cluster: ASGITransport(member.app, {"user": SYSTEM_ADMIN}))
    api.app = ObjectsApp(api.registry, build_shell({}), proxy)
    await api.made(CLUSTERS, cluster("https://m1.internal", impersonatorSecretRef=None))
    yield api, member
    await member.stop()


async def test_a_simulated_member_answers_as_an_api(simulated: tuple[Any, SimulatedCluster]) -> None:
    api, _ = simulated
    nodes = (await api.get(f"{PROXY}/api/v1/nodes")).json()
    assert [node["metadata"]["name"] for node in nodes["items"]] == ["m1-node-1", "m1-node-2"]
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    assert (await api.get(f"{PROXY}/api/v1/nodes?limit=1", headers=table)).json()["kind"] == "Table"
    assert (await api.get(f"{PROXY}/version")).json()["major"] == "1"
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    await api.made(f"{PROXY}/api/v1/namespaces/default/configmaps", settings)
    assert (await api.get("/api/v1/namespaces/default/configmaps/a")).status_code == 404
    assert (await api.get(f"{PROXY}/api/v1/namespaces/default/configmaps/a")).status_code == 200
    absent = await api.get(f"{PROXY}/api/v1/nodes/none")
    assert refusal(absent) == (404, "NotFound", 'nodes "none" not found')
    assert len(absent.headers.get_list("audit-id")) == 1


async def test_a_simulated_member_is_watched_and_left(simulated: tuple[Any, SimulatedCluster]) -> None:
    api, _ = simulated
    path = f"{PROXY}/api/v1/namespaces/default/configmaps"
    stream = await api.watch(path).start()
    await api.made(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}})
    assert await stream.events(1) == [("ADDED", "seen")]
    await stream.leave()


async def test_a_simulated_member_knows_the_caller(simulated: tuple[Any, SimulatedCluster]) -> None:
    api, _ = simulated
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    api.user = User("ann", ("system:masters", "system:authenticated"))
    refusal = (await api.post(f"{PROXY}/apis/authentication.k8s.io/v1/selfsubjectreviews", review)).json()
    assert refusal["status"]["userInfo"]["username"] == "ann"


# -- all members at once -----------------------------------------------------------------------------------------------

EVERYWHERE = f"{CLUSTERS}/*/proxy"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def three(api: Any, member: Member) -> AsyncIterator[Any]:
    """m1 and m2 are simulated; m3 is over the network and knows no object, m4 is away."""
    members = {name: SimulatedCluster(name, load_catalog(), nodes=1) for name in ("m1", "m2")}
    for one in members.values():
        await one.start()

    def transport(cluster: Object) -> ASGITransport | None:
        found = members.get(cluster["metadata"]["name"])
        return ASGITransport(found.app, {"user": SYSTEM_ADMIN}) if found else None

    proxy = MemberProxy(api.registry, transport)
    api.app = proxy.here = ObjectsApp(api.registry, build_shell({}), proxy)
    await api.made(SECRETS, secret("m1-impersonator", token="first"))
    addresses = {"m3": f"{member.endpoint}/refused?", "m4": "http://127.0.0.1:1"}
    for name in ("m1", "m2", "m3", "m4"):
        await api.made(CLUSTERS, cluster(addresses.get(name, "https://x"), name, id=name))
    yield api
    await proxy.close()
    for one in members.values():
        await one.stop()


async def test_lists_of_all_members_are_one(three: Any) -> None:
    answer = await three.get(f"{EVERYWHERE}/api/v1/nodes")
    nodes = answer.json()
    assert nodes["kind"] == "NodeList"
    origins = [node["metadata"]["annotations"]["resource.karmada.io/cached-from-cluster"] for node in nodes["items"]]
    assert origins == ["m1", "m2"]
    assert "cluster m4 is left out: Cannot connect to host 127.0.0.1:1" in answer.headers["warning"]
    assert [node["metadata"]["name"] for node in nodes["items"]] == ["m1-node-1", "m2-node-1"]
    some = (await three.get(f"{EVERYWHERE}/api/v1/nodes?labelSelector=kubernetes.io/hostname%3Dm2-node-1")).json()
    assert [node["metadata"]["name"] for node in some["items"]] == ["m2-node-1"]
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    shown = (await three.get(f"{EVERYWHERE}/api/v1/nodes", headers=table)).json()
    assert [column["name"] for column in shown["columnDefinitions"]][:3] == ["Name", "Cluster", "Status"]
    assert [row["cells"][:3] for row in shown["rows"]] == [[f"{name}-node-1", name, "Ready"] for name in ("m1", "m2")]
    nothing = await three.get(f"{EVERYWHERE}/apis/none.example/v1/things")
    assert refusal(nothing) == (404, "NotFound", "not found")
    made = await three.post(f"{EVERYWHERE}{CONFIGMAPS}", {"metadata": {"name": "a"}})
    assert refusal(made) == (405, "MethodNotAllowed", "Request verb create is not support")


def told(event: Object) -> tuple[str, str, str]:
    metadata = event["object"]["metadata"]
    return event["type"], metadata["annotations"]["resource.karmada.io/cached-from-cluster"], metadata["name"]


async def settings_in(three: Any, cluster: str, name: str) -> None:
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    await three.made(f"{CLUSTERS}/{cluster}/proxy{CONFIGMAPS}", made)


async def test_a_watch_tells_of_all_members(three: Any) -> None:
    await settings_in(three, "m1", "first")
    stream = await three.watch(f"{EVERYWHERE}{CONFIGMAPS}", "").start()
    assert stream.status == 200
    assert told(await stream.event()) == ("ADDED", "m1", "first")
    await settings_in(three, "m2", "second")
    event = await stream.event()
    assert told(event) == ("ADDED", "m2", "second")
    assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("ConfigMap", "v1")
    version = event["object"]["metadata"]["resourceVersion"]
    assert sorted(parse(version).of) == ["m1", "m2"]
    await stream.leave()
    await three.delete(f"{CLUSTERS}/m1/proxy{CONFIGMAPS}/first")
    again = await three.watch(f"{EVERYWHERE}{CONFIGMAPS}", f"resourceVersion={version}").start()
    assert told(await again.event()) == ("DELETED", "m1", "first")
    await again.leave()


async def test_a_watch_goes_on_where_a_list_of_all_members_was(three: Any) -> None:
    await settings_in(three, "m1", "first")
    listed = (await three.get(f"{EVERYWHERE}{CONFIGMAPS}")).json()
    version = listed["metadata"]["resourceVersion"]
    await settings_in(three, "m2", "second")
    stream = await three.watch(f"{EVERYWHERE}{CONFIGMAPS}", f"resourceVersion={version}").start()
    assert told(await stream.event()) == ("ADDED", "m2", "second")
    await stream.leave()
    for wrong in ("17", encode({"gone": 7})):
        answer = await three.get(f"{EVERYWHERE}{CONFIGMAPS}?watch=true&resourceVersion={wrong}")
        assert refusal(answer)[:2] == (410, "Expired")
    nothing = await three.get(f"{EVERYWHERE}/apis/none.example/v1/things?watch=true")
    assert refusal(nothing) == (404, "NotFound", "not found")


async def test_an_event_covers_no_other_member_further_than_it_was_sent(three: Any) -> None:
    stream = await three.watch(f"{EVERYWHERE}{CONFIGMAPS}", "").start()
    for number in range(10):
        stream.window.clear()
        await asyncio.gather(*(settings_in(three, cluster, f"c{number}") for cluster in ("m1", "m2")))
        stream.window.set()
    before: dict[str, str] = {}
    for _ in range(20):
        event = await stream.event()
        reached = dict(parse(event["object"]["metadata"]["resourceVersion"]).of)
        _, cluster, _ = told(event)
        assert {**reached, cluster: ""} == {
            **before,
            **{c: reached[c] for c in reached if c not in before},
            cluster: "",
        }
        before = reached
    await stream.leave()


async def test_a_list_goes_on_from_a_version_of_all_members(three: Any) -> None:
    """As informers do it that list again."""
    await settings_in(three, "m1", "first")
    version = (await three.get(f"{EVERYWHERE}{CONFIGMAPS}")).json()["metadata"]["resourceVersion"]
    for given in (version, encode({"m1": parse(version).of["m1"]}), "0", ""):
        again = await three.get(f"{EVERYWHERE}{CONFIGMAPS}?resourceVersion={given}&limit=500")
        assert [item["metadata"]["name"] for item in again.json()["items"]] == ["first"], given
    other = await three.get(f"{EVERYWHERE}{CONFIGMAPS}?resourceVersion=17")
    assert refusal(other)[:2] == (410, "Expired")  # on which they list without a version


async def test_watches_of_all_members_end_with_the_proxy(three: Any) -> None:
    stream = await three.watch(f"{EVERYWHERE}{CONFIGMAPS}", "").start()
    await three.app.member_proxy.close()
    assert await stream.rest() == b""


async def test_a_watch_list_of_all_members(three: Any) -> None:
    await settings_in(three, "m1", "first")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    stream = await three.watch(f"{EVERYWHERE}{CONFIGMAPS}", query).start()
    assert told(await stream.event()) == ("ADDED", "m1", "first")
    end = await stream.event()
    assert (end["type"], end["object"]["kind"]) == ("BOOKMARK", "ConfigMap")
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert sorted(parse(end["object"]["metadata"]["resourceVersion"]).of) == ["m1", "m2"]
    await stream.leave()


async def test_a_watch_of_all_members_as_tables(three: Any) -> None:
    for cluster in ("m1", "m2"):
        await settings_in(three, cluster, f"in-{cluster}")
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    stream = await three.watch(f"{EVERYWHERE}{CONFIGMAPS}", "", **accept).start()
    tables = [(await stream.event())["object"] for _ in range(2)]
    assert sorted(row["cells"][:2] for table in tables for row in table["rows"]) == [["in-m1", "m1"], ["in-m2", "m2"]]
    assert [bool(table["columnDefinitions"]) for table in tables] == [True, False]
    await settings_in(three, "m2", "later")
    later = (await stream.event())["object"]
    assert later["rows"][0]["cells"][:2] == ["later", "m2"]
    assert later["columnDefinitions"] == []
    await stream.leave()


async def test_an_object_is_found_where_it_is(three: Any) -> None:
    for place, name in (("m1", "both"), ("m2", "both"), ("m2", "one")):
        settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        await three.made(f"{CLUSTERS}/{place}/proxy{CONFIGMAPS}", settings)
    assert (await three.get(f"{EVERYWHERE}{CONFIGMAPS}/one")).json()["metadata"]["name"] == "one"
    conflict = await three.get(f"{EVERYWHERE}{CONFIGMAPS}/both")
    message = "conflict resource, exist in more than one cluster: m1,m2"
    assert refusal(conflict) == (409, "Conflict", message)
    assert (await three.delete(f"{EVERYWHERE}{CONFIGMAPS}/one")).status_code == 200
    assert (await three.get(f"{CLUSTERS}/m2/proxy{CONFIGMAPS}/one")).status_code == 404
    absent = await three.get(f"{EVERYWHERE}{CONFIGMAPS}/one")
    assert refusal(absent) == (404, "NotFound", "resource not found or don't have permission to get it")


async def test_what_is_no_object_is_answered_here(three: Any) -> None:
    assert (await three.get(f"{EVERYWHERE}/version")).json() == (await three.get("/version")).json()
    groups = (await three.get(f"{EVERYWHERE}/apis")).json()["groups"]
    assert "policy.karmada.io" in [group["name"] for group in groups]
