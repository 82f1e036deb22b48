"""GETs that differ from the one before them in nothing but the path: answered as the ordinary way answers them, byte for byte.

Two listeners serve one application, of which one knows no other way than the ordinary one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, final

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from uvicorn.server import ServerState

from kafila.api.listener import Listener
from kafila.api.point_protocol import PointProtocol
from kafila.api.point_reads import PointReads, may_be_one, plain_head
from kafila.api.server import ObjectsProtocol
from kafila.authentication.credentials import Peer
from kafila.core.sockets import bind
from kafila.flowcontrol.fairness import Fairness
from kafila.flowcontrol.following import Following
from kafila.identity.certificates import issue, new_authority
from kafila.registry.flowcontrol import ensure_flow_control
from kafila.settings.serving import ServingOptions
from kafila.store.interface import StoreUnavailable

from .conftest import PATIENCE, Api, configmap, deployment

AUTHORITY = new_authority("test")
MAPS = "/api/v1/namespaces/default/configmaps"
WARM = f"{MAPS}/a"  # what is asked for first: the way to the others is open after it


def certificate(name: str, *groups: str) -> Peer:
    pair = issue(AUTHORITY, name, groups)
    return Peer(x509.load_pem_x509_certificate(pair.certificate).public_bytes(Encoding.DER))


ADMIN, READER, NOBODY = (
    certificate("admin", "system:masters"),
    certificate("reader"),
    certificate("somebody"),
)


@final
class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *requests: bytes) -> None:
        self.writer.write(b"".join(requests))

    async def answer(self, method: str = "GET") -> tuple[bytes, bytes]:
        """Head and body of the next one."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            if b"transfer-encoding: chunked" in head:
                return head, await self.reader.readuntil(b"\r\n0\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head)
            return head, await self.reader.readexactly(int(size[1]) if size and method != "HEAD" else 0)

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        self.send(request)
        return await self.answer(request.partition(b" ")[0].decode())


@final
class Doors:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.ordinary = 0  # requests that went that way
        self.protocols: list[PointProtocol] = []
        config = uvicorn.Config(
            self._app,
            http=ObjectsProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            interface="asgi3",
            proxy_headers=False,
        )
        config.load()
        self.config, self.state = config, ServerState()
        self.state.default_headers = [(b"date", b"now")]
        self.listeners = {point: self._listener(PointReads(api.app) if point else None) for point in (True, False)}
        self.peer: Peer | None = ADMIN
        self.clients: list[Client] = []

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.ordinary += 1
        await self.api.app(scope, receive, send)

    def _listener(self, point_reads: PointReads | None) -> Listener:
        def make(listener: Listener) -> ObjectsProtocol:
            state = {"peer": self.peer} if self.peer is not None else {}
            more: dict[str, Any] = {"config": self.config, "server_state": self.state, "app_state": state}
            if point_reads is None:
                return ObjectsProtocol(listener, **more)
            self.protocols.append(PointProtocol(listener, point_reads=point_reads, **more))
            return self.protocols[-1]

        listener = Listener(bind("127.0.0.1", 0), None, ServingOptions(), make)
        listener.start()
        return listener

    async def connect(self, peer: Peer | None = ADMIN, point: bool = True) -> Client:
        self.peer = peer
        client = Client(*await asyncio.open_connection(*self.listeners[point].sockets[0].getsockname(), limit=1 << 22))
        self.clients.append(client)
        return client

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.close()
        for client in self.clients:
            client.writer.close()


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *(headers or ("Accept: application/json",))]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


@asynccontextmanager
async def doors_of(api: Api) -> AsyncIterator[Doors]:
    await ensure_flow_control(api.registry)
    fairness = api.app.fairness = Fairness(600)
    Following(api.cache, fairness)
    await api.made("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    for name in ("a", "b"):
        await api.made(MAPS, configmap(name, key=name))
    await api.made(MAPS, configmap("long", key="x" * 200_000))
    await api.made(MAPS, configmap("longer", key="x" * 600_000))
    await api.made("/apis/apps/v1/namespaces/default/deployments", deployment("web"))
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    rbac, head = "/apis/rbac.authorization.k8s.io/v1", {"apiVersion": "rbac.authorization.k8s.io/v1"}
    await api.made(
        f"{rbac}/namespaces/default/roles", head | {"kind": "Role", "metadata": {"name": "r"}, "rules": rules}
    )
    bound = {
        "subjects": [{"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
    }
    await api.made(
        f"{rbac}/namespaces/default/rolebindings", head | {"kind": "RoleBinding", "metadata": {"name": "r"}} | bound
    )
    doors = Doors(api)
    try:
        yield doors
        assert not fairness.under_way, "who was answered has left"
    finally:
        doors.close()


@pytest.fixture
async def doors(api: Api) -> AsyncIterator[Doors]:
    async with doors_of(api) as made:
        yield made


def without_id(answer: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    head, body = answer
    masked, count = re.subn(rb"audit-id: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\r", b"audit-id: ID\r", head)
    assert count == 1, head
    return masked, body


async def both(doors: Doors, peer: Peer | None, *requests: bytes) -> list[tuple[bytes, bytes]]:
    """The answers to requests that come one after the other, after asserting that they are the same either way."""
    quick, ordinary = [await doors.connect(peer, point) for point in (True, False)]
    found = []
    for each in requests:
        one, other = without_id(await quick.ask(each)), without_id(await ordinary.ask(each))
        assert one == other, each
        found.append(one)
    return found


PATHS = {
    "there": WARM,
    "another": f"{MAPS}/b",
    "absent": f"{MAPS}/none",
    "of the cluster": "/api/v1/namespaces/default",
    "in no namespace": "/api/v1/configmaps/a",
    "in a namespace by mistake": "/api/v1/namespaces/default/nodes/a",
    "another group": "/apis/apps/v1/namespaces/default/deployments/web",
    "subresource": "/apis/apps/v1/namespaces/default/deployments/web/status",
    "no such subresource": f"{WARM}/status",
    "list": MAPS,
    "long, perhaps packed": f"{MAPS}/long",
    "longer than one piece": f"{MAPS}/longer",
    "no such kind": "/api/v1/namespaces/default/nothings/a",
    "no such group": "/apis/none.example.com/v1/namespaces/default/nothings/a",
    "a role, whose name may have colons": "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:basic-user",
    "encoded": f"{MAPS}/%61",
    "with a parameter": f"{WARM}?resourceVersion=0",
    "pretty": f"{WARM}?pretty=1",
    "deprecated": "/api/v1/namespaces/default/endpoints/kubernetes",
    "pods": "/api/v1/namespaces/default/pods/none",
    "events": "/api/v1/namespaces/default/events/none",
    "old prefix of watches": "/api/v1/watch/namespaces/team/nothings/a",
    "empty segment": f"{MAPS}//a",
    "slash at the end": f"{WARM}/",
    "dots": f"{MAPS}/../configmaps/a",
    "no API": "/healthz",
    "version": "/version",
    "root": "/",
}
HEADS = {
    "JSON": ["Accept: application/json"],
    "anything": ["Accept: */*"],
    "nothing said": ["User-Agent: tester/1.0"],
    "kubectl": ["Accept: application/json", "User-Agent: kubectl/v1", "Accept-Encoding: gzip"],
    "Table": ["Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"],
    "metadata": ["Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"],
    "protobuf": ["Accept: application/vnd.kubernetes.protobuf"],
    "protobuf or JSON": ["Accept: application/vnd.kubernetes.protobuf,application/json"],
    "YAML": ["Accept: application/yaml"],
    "what nobody has": ["Accept: text/csv"],
    "curl": ["Accept: application/json", "User-Agent: curl/8.0"],
    "impersonating": ["Accept: application/json", "Impersonate-User: reader"],
    "two Accepts": ["Accept: application/json", "Accept: application/yaml"],
    "bad token": ["Accept: application/json", "Authorization: Bearer nothing"],
    "no token": ["Accept: application/json", "Authorization: Basic YTpi"],
    "kept alive": ["Accept: application/json", "Connection: keep-alive"],
    "an empty body": ["Accept: application/json", "Content-Length: 0"],
}


@pytest.mark.parametrize("peer", [ADMIN, READER, NOBODY, None], ids=["admin", "reader", "somebody", "nobody"])
async def test_answers_are_the_same_either_way(doors: Doors, peer: Peer | None) -> None:
    for head in HEADS.values():
        opened = request(WARM, *head)
        await both(doors, peer, opened, *(each for path in PATHS.values() for each in (request(path, *head), opened)))


async def test_who_asks_again_in_the_same_words_goes_this_way(doors: Doors) -> None:
    for peer in (ADMIN, READER):
        client = await doors.connect(peer)
        before = doors.ordinary
        answers = [await client.ask(request(path)) for path in (WARM, f"{MAPS}/b", WARM, f"{MAPS}/b")]
        assert doors.ordinary == before + 1
        assert [b'"name":"a"' in body for _, body in answers] == [True, False, True, False]
        assert (await client.ask(request(WARM, "Accept: */*")))[1] == answers[0][1]
        assert doors.ordinary == before + 2, "another head"


async def test_what_cannot_be_answered_this_way_is_asked_for_once(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is absent, or is sent in pieces, is known before storage is asked what is newest."""
    client = await doors.connect()
    zipping = ("Accept: application/json", "Accept-Encoding: gzip")
    asked, head = 0, doors.api.store.head

    async def counted() -> int:
        nonlocal asked
        asked += 1
        return await head()

    monkeypatch.setattr(doors.api.store, "head", counted)
    for headers, name in ((zipping, "long"), (zipping, "longer"), ((), "longer"), ((), "none")):
        await client.ask(request(WARM, *headers))
        before = asked
        await client.ask(request(f"{MAPS}/{name}", *headers))
        assert asked == before + 1, name


async def test_a_path_that_was_never_seen_is_looked_at_as_any_other(doors: Doors) -> None:
    """The head says nothing about what a request may: each path is authorized by itself."""
    client = await doors.connect(READER)
    assert (await client.ask(request(WARM)))[0].startswith(b"HTTP/1.1 200")
    for path in (
        "/api/v1/namespaces/kube-system/configmaps/a",
        "/api/v1/namespaces/default/secrets/a",
        "/api/v1/nodes/a",
    ):
        head, body = await client.ask(request(path))
        assert head.startswith(b"HTTP/1.1 403"), path
        assert b"reader" in body


async def test_rights_that_are_taken_away_count_at_once(doors: Doors) -> None:
    client = await doors.connect(READER)
    for _ in range(2):
        assert (await client.ask(request(WARM)))[0].startswith(b"HTTP/1.1 200")
    await doors.api.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/r")
    assert (await client.ask(request(WARM)))[0].startswith(b"HTTP/1.1 403")


def counts(doors: Doors) -> dict[str, float]:
    labels = {"group": "", "version": "v1", "resource": "configmaps", "subresource": "", "scope": "resource"}
    labels |= {"verb": "GET", "dry_run": "", "component": "apiserver"}
    found = {
        code: REGISTRY.get_sample_value("apiserver_request_total", labels | {"code": code}) or 0.0
        for code in ("200", "404")
    }
    found["timed"] = REGISTRY.get_sample_value("apiserver_request_duration_seconds_count", labels) or 0.0
    fairness = doors.api.app.fairness
    assert fairness is not None
    for schema in fairness.configuration.schemas:
        found |= {f"{schema.name} began": schema.counts.started, f"{schema.name} ended": schema.counts.ended}
    return found


async def test_they_are_counted_as_all_others(doors: Doors) -> None:
    grown = []
    for point in (True, False):
        client = await doors.connect(READER, point)
        await client.ask(request(WARM))
        before = counts(doors)
        for path in (WARM, f"{MAPS}/b", f"{MAPS}/none", WARM):
            await client.ask(request(path))
        grown.append({name: value - before[name] for name, value in counts(doors).items() if value != before[name]})
    assert grown[0] == grown[1]
    assert (grown[0]["200"], grown[0]["404"], grown[0]["timed"]) == (3, 1, 4)


@pytest.fixture
def held(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> Callable[[], asyncio.Event]:
    """Called, the store answers nobody until the event that it returns is set."""
    head = doors.api.store.head

    def hold() -> asyncio.Event:
        gate = asyncio.Event()

        async def later() -> int:
            await gate.wait()
            return await head()

        monkeypatch.setattr(doors.api.store, "head", later)
        return gate

    return hold


async def under_way(doors: Doors, number: int = 1) -> None:
    fairness = doors.api.app.fairness
    assert fairness is not None
    async with asyncio.timeout(PATIENCE):
        while len(fairness.under_way) < number:
            await asyncio.sleep(0)


async def test_what_comes_behind_one_waits_for_it(doors: Doors, held: Callable[[], asyncio.Event]) -> None:
    client = await doors.connect()
    await client.ask(request(WARM))
    gate = held()
    client.send(request(f"{MAPS}/b"))
    await under_way(doors)
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new"}}'
    client.send(request(MAPS, method="POST", body=body), request(f"{MAPS}/new"), request(WARM, method="HEAD"))
    client.send(request(f"{MAPS}/none"), request(WARM), request(f"{MAPS}/b")[:9])
    gate.set()
    found = [await client.answer(method) for method in ("GET", "POST", "GET", "HEAD", "GET", "GET")]
    client.send(request(f"{MAPS}/b")[9:])
    found.append(await client.answer())
    assert [head[9:12] for head, _ in found] == [b"200", b"201", b"200", b"405", b"404", b"200", b"200"]
    names = [re.findall(rb'"name":"(\w+)"', body)[:1] for _, body in found]
    assert names == [[b"b"], [b"new"], [b"new"], [], [b"none"], [b"a"], [b"b"]]


async def test_requests_that_come_together_are_all_answered(doors: Doors) -> None:
    client = await doors.connect()
    await client.ask(request(WARM))
    client.send(*(request(f"{MAPS}/{name}") for name in "abab"))
    assert [b'"name":"a"' in (await client.answer())[1] for _ in range(4)] == [True, False, True, False]


async def test_a_request_that_comes_in_pieces_is_no_other(doors: Doors) -> None:
    client = await doors.connect()
    whole = await client.ask(request(WARM))
    for at in (1, 4, 20, len(request(WARM)) - 1):
        client.send(request(WARM)[:at])
        await client.writer.drain()
        await asyncio.sleep(0.01)  # it may come in one piece all the same, and is answered alike
        assert (await client.ask(request(WARM)[at:]))[1] == whole[1]


async def test_a_client_that_leaves_is_not_answered(doors: Doors, held: Callable[[], asyncio.Event]) -> None:
    client = await doors.connect()
    await client.ask(request(WARM))
    gate = held()
    client.send(request(f"{MAPS}/b"))
    await under_way(doors)
    client.writer.transport.abort()
    protocol = doors.protocols[-1]
    async with asyncio.timeout(PATIENCE):
        while not protocol.transport.is_closing():
            await asyncio.sleep(0)
    gate.set()
    fairness = doors.api.app.fairness
    assert fairness is not None
    async with asyncio.timeout(PATIENCE):
        while fairness.under_way:
            await asyncio.sleep(0)
    assert (await (await doors.connect()).ask(request(WARM)))[0].startswith(b"HTTP/1.1 200")


async def test_a_server_that_ends_answers_first(doors: Doors, held: Callable[[], asyncio.Event]) -> None:
    client = await doors.connect()
    await client.ask(request(WARM))
    gate = held()
    client.send(request(f"{MAPS}/b"))
    await under_way(doors)
    doors.protocols[-1].shutdown()
    gate.set()
    head, body = await client.answer()
    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close\r\n" in head
    assert b'"name":"b"' in body
    async with asyncio.timeout(PATIENCE):
        assert await client.reader.read() == b""


async def test_storage_that_is_away_is_said(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> int:
        raise StoreUnavailable("gone")

    requests = [request(WARM), request(f"{MAPS}/b")]
    await both(doors, ADMIN, *requests)
    quick, ordinary = [await doors.connect(ADMIN, point) for point in (True, False)]
    for client in (quick, ordinary):
        await client.ask(requests[0])
    monkeypatch.setattr(doors.api.store, "head", away)
    found = [without_id(await client.ask(requests[1])) for client in (quick, ordinary)]
    assert found[0] == found[1]
    assert found[0][0].startswith(b"HTTP/1.1 503")


async def test_whoever_has_no_seat_waits_as_everybody(doors: Doors) -> None:
    fairness = doors.api.app.fairness
    assert fairness is not None
    client = await doors.connect(READER)
    await client.ask(request(WARM))
    flow = doors.protocols[-1]._sender
    assert flow is not None
    taken = []
    while (seat := fairness.begin(flow, fairness.clock(), 1)) is not None and len(taken) < 1000:
        taken.append(seat)
        fairness.turns.left = 1000
    ordinary = doors.ordinary
    client.send(request(f"{MAPS}/b"))
    async with asyncio.timeout(PATIENCE):
        while doors.ordinary == ordinary:
            await asyncio.sleep(0)
    for seat in taken:
        seat.leave(fairness.clock())
    assert (await client.answer())[0].startswith(b"HTTP/1.1 200")


@settings(max_examples=2000)
@given(st.binary(max_size=60) | st.text(alphabet="/abc. %?#:\r\n\x00HTP1GE", max_size=60).map(str.encode))
def test_only_a_path_may_stand_where_the_path_stood(path: bytes) -> None:
    data = request(WARM)
    head = plain_head(data, [(b"host", b"a"), (b"accept", b"application/json")])
    assert head is not None
    if may_be_one(b"GET " + path + head.rest, head):
        assert re.fullmatch(rb"/[A-Za-z0-9_.:/~@-]+", path)


@pytest.mark.parametrize(
    "data",
    [
        request(WARM) + request(WARM),
        request(WARM) + b"x",
        request(WARM, method="HEAD"),
        request(WARM, method="DELETE"),
        request(WARM).replace(b"1.1", b"1.0"),
        request(WARM)[:-1],
    ],
)
def test_what_is_no_whole_get_opens_nothing(data: bytes) -> None:
    assert plain_head(data, [(b"host", b"a")]) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(sorted(PATHS.values())), st.sampled_from(sorted(HEADS))), min_size=2, max_size=8)
)
async def test_any_order_of_requests_is_answered_alike(doors: Doors, order: list[tuple[str, str]]) -> None:
    await both(doors, READER, *(request(path, *HEADS[head]) for path, head in order))
