"""The tunnel of an agent: who opens it, what an agent can do to others with it, and what it can make the control plane keep."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import final

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping

from kafila.members.tunnel.frames import MOST_DATA, WINDOW, Frame, Kind, close, decode, encode, window
from tests.waiting import wait_until

from .front import PATIENCE, Front, exchange, front

MB = 1 << 20
CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
SPEAKS = KEY + b"Sec-WebSocket-Protocol: v1.tunnel.kafila.io\r\n"
AGENT = b"Impersonate-User: system:karmada:agent:%b\r\nImpersonate-Group: system:karmada:agents\r\n"
AT = "endpoint=http%3A%2F%2Fmember.internal"


@pytest.fixture(scope="module")
def server() -> Iterator[Front]:
    with front() as found:
        created(found, "/api/v1/namespaces", {"metadata": {"name": "karmada-cluster"}}, (201, 409))
        for name in ("edge", "other", "pushed"):
            secret = {"metadata": {"name": f"{name}-impersonator"}, "stringData": {"token": "ours"}}
            created(
                found, "/api/v1/namespaces/karmada-cluster/secrets", {"apiVersion": "v1", "kind": "Secret", **secret}
            )
            spec = {
                "syncMode": "Push" if name == "pushed" else "Pull",
                "apiEndpoint": "http://127.0.0.1:1",
                "id": name,
                "impersonatorSecretRef": {"namespace": "karmada-cluster", "name": f"{name}-impersonator"},
            }
            head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
            created(found, CLUSTERS, {**head, "spec": spec})
        yield found


def created(server: Front, path: str, document: object, wanted: tuple[int, ...] = (201,)) -> None:
    code, said = server.as_admin("POST", path, json.dumps(document).encode(), **{"Content-Type": "application/json"})
    assert code in wanted, said


def opening(
    server: Front, cluster: str = "edge", query: str = AT, who: bytes | None = None, speaks: bytes = SPEAKS
) -> bytes:
    host = "{}:{}".format(*server.address).encode()
    whose = AGENT % cluster.encode() if who is None else who
    path = f"{CLUSTERS}/{cluster}/tunnel?{query}".encode()
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" % (path, host)
    return head + whose + speaks + b"\r\n"


@final
class Agent:
    """Does with frames what a test wants, in a thread of its own."""

    def __init__(self, server: Front, cluster: str = "edge") -> None:
        self.stream: ssl.SSLSocket = server.admin()
        self.stream.settimeout(PATIENCE)
        self.stream.sendall(opening(server, cluster))
        head = b""
        while not head.endswith(b"\r\n\r\n") and (piece := self.stream.recv(1)):
            head += piece
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.websocket = Connection(ConnectionType.CLIENT)
        self.came: list[Frame] = []
        self.closed: CloseConnection | None = None
        self.answers: Callable[[Frame], list[Frame]] = lambda frame: []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := self._received():
                self.websocket.receive_data(data)
                for event in self.websocket.events():
                    match event:
                        case BytesMessage():
                            frame = decode(bytes(event.data))
                            self.came.append(frame)
                            self.send(*self.answers(frame))
                        case Ping():
                            self.raw(self.websocket.send(event.response()))
                        case CloseConnection():
                            self.closed = event
                            return self.over.set()
        self.over.set()

    def _received(self) -> bytes:
        """Waits without the lock: Python 3.11's TLS connections do not stand two threads at once."""
        while True:
            if not self.stream.pending():
                select.select([self.stream], [], [], PATIENCE)
            with self._lock:
                self.stream.setblocking(False)
                try:
                    return self.stream.recv(1 << 16)
                except ssl.SSLWantReadError:
                    continue
                finally:
                    self.stream.settimeout(PATIENCE)

    def raw(self, data: bytes) -> None:
        with self._lock:
            self.stream.sendall(data)

    def send(self, *frames: Frame) -> None:
        for frame in frames:
            with self._lock:  # wsproto remembers whether a message has begun
                self.stream.sendall(self.websocket.send(BytesMessage(data=encode(frame))))

    def ended(self) -> tuple[int, str | None]:
        assert self.over.wait(PATIENCE)
        assert self.closed is not None
        return int(self.closed.code), self.closed.reason

    def close(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.stream, socket.SHUT_RDWR)
        self._listening.join(PATIENCE)  # its descriptor is another connection's once it is closed
        self.stream.close()


@pytest.fixture
def agent(server: Front) -> Iterator[Agent]:
    found = Agent(server)
    yield found
    found.close()


def serving(body: bytes) -> Callable[[Frame], list[Frame]]:
    """Answers every request with that, as a member's API server would."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def answers(frame: Frame) -> list[Frame]:
        if frame.kind is Kind.OPEN:
            return [Frame(Kind.OPENED, frame.stream)]
        if frame.kind is Kind.DATA and b"\r\n\r\n" in frame.payload:
            return [Frame(Kind.DATA, frame.stream, answer)]
        return []

    return answers


def asked(server: Front, path: str = "/version", cluster: str = "edge") -> tuple[int, bytes]:
    return server.as_admin("GET", f"{CLUSTERS}/{cluster}/proxy{path}")


def test_a_request_goes_through_as_the_caller(server: Front, agent: Agent) -> None:
    agent.answers = serving(b"through")
    assert asked(server) == (200, b"through")
    (request,) = [frame.payload for frame in agent.came if frame.kind is Kind.DATA]
    assert request.startswith(b"GET /version HTTP/1.1\r\nHost: member.internal\r\n")
    assert b"\r\nauthorization: bearer ours\r\nimpersonate-user: system:admin\r\n" in request.lower()


@pytest.mark.parametrize(
    ("cluster", "who", "code"),
    [
        ("edge", b"", 403),  # the administrator is no agent
        ("edge", AGENT % b"other", 403),
        ("edge", AGENT % b"rbac-generator", 403),
        ("edge", b"Impersonate-User: system:karmada:agent:edge\r\n", 403),  # a name without the group
        ("edge", b"Impersonate-User: system:serviceaccount:default:default\r\n", 403),
        ("pushed", AGENT % b"pushed", 403),
        ("nowhere", AGENT % b"nowhere", 404),
    ],
)
def test_the_tunnel_of_a_cluster_is_its_agents_alone(server: Front, cluster: str, who: bytes, code: int) -> None:
    with server.admin() as stream:
        answer = exchange(stream, opening(server, cluster, who=who))
    assert answer.startswith(b"HTTP/1.1 %d " % code), answer
    with server.connect() as stream:
        assert exchange(stream, opening(server, cluster, who=b"")).startswith(b"HTTP/1.1 40")


@pytest.mark.parametrize(
    ("query", "speaks", "why"),
    [
        ("", SPEAKS, b"endpoint: must be an http or https URL"),
        ("endpoint=ftp%3A%2F%2Fx", SPEAKS, b"endpoint: must be an http or https URL"),
        ("endpoint=http%3A%2F%2Fa%3Ab%40x", SPEAKS, b"endpoint: must be an http or https URL"),
        ("endpoint=http%3A%2F%2Fx%0d%0aHost%3A+y", SPEAKS, b"endpoint: must be an http or https URL"),
        ("endpoint=http%3A%2F%2F%5Bx", SPEAKS, b"Invalid IPv6 URL"),
        ("endpoint=http%3A%2F%2F" + "x" * 3000, SPEAKS, b"endpoint: must be an http or https URL"),
        (AT + "&serverName=a%20b", SPEAKS, b"serverName: must be a DNS name or an IP address"),
        ("&".join([AT] * 9), SPEAKS, b"Max number of fields exceeded"),
        (AT, KEY, b"a tunnel is opened by a WebSocket of protocol v1.tunnel.kafila.io"),
        (AT, SPEAKS.replace(b"13", b"8"), b"this is no beginning of a WebSocket of version 13"),
        (AT, SPEAKS.replace(b"==", b""), b"this is no beginning of a WebSocket of version 13"),
    ],
)
def test_what_opens_no_tunnel(server: Front, query: str, speaks: bytes, why: bytes) -> None:
    with server.admin() as stream:
        answer = exchange(stream, opening(server, query=query, speaks=speaks))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert why in answer


def test_streams_of_it_are_for_other_servers_alone(server: Front, agent: Agent) -> None:
    """An agent that asks for a stream of a tunnel, its own or another's, is no server of ours."""
    asking = opening(server, query="session=x").replace(b"Upgrade: websocket", b"Upgrade: stream.tunnel.kafila.io")
    with server.admin() as stream:
        assert exchange(stream, asking).startswith(b"HTTP/1.1 403 ")
    with server.admin() as stream:  # and one that has another session is refused
        assert exchange(stream, asking.replace(AGENT % b"edge", b"")).startswith(b"HTTP/1.1 503 ")
    assert not agent.came


def test_the_newest_counts_and_what_went_through_the_other_ends(server: Front, agent: Agent) -> None:
    agent.answers = lambda frame: [Frame(Kind.OPENED, frame.stream)] if frame.kind is Kind.OPEN else []
    answers: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: answers.append(asked(server)))
    asking.start()
    wait_until(lambda: any(frame.kind is Kind.DATA for frame in agent.came))
    second = Agent(server)
    second.answers = serving(b"second")
    try:
        assert agent.ended() == (4001, "another connection of the agent came after it")
        asking.join(PATIENCE)
        assert answers[0] == (200, b"second") or answers[0][0] == 503  # a GET may be sent once more
        assert asked(server) == (200, b"second")
    finally:
        second.close()


def test_one_agent_that_comes_again_and_again_has_one_tunnel(server: Front) -> None:
    agents = [Agent(server) for _ in range(20)]
    try:
        for each in agents[:-1]:
            assert each.ended()[0] == 4001
        agents[-1].answers = serving(b"last")
        assert asked(server) == (200, b"last")
        wait_until(lambda: b"kafila_tunnels 1.0" in server.as_admin("GET", "/metrics")[1])
    finally:
        for each in agents:
            each.close()


OPENED = [Frame(Kind.OPENED, 1)]


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([Frame(Kind.OPEN, 9)], "a stream that an agent opens"),
        ([*OPENED, *OPENED], "a stream that is opened twice"),
        ([*OPENED, Frame(Kind.DATA, 77, b"x")], "a frame of a stream that was never opened"),
        ([*OPENED, window(1, WINDOW)], "a window that is larger than it may be"),
    ],
)
def test_an_agent_that_breaks_the_rules_loses_its_tunnel(server: Front, agent: Agent, frames: list, why: str) -> None:
    agent.answers = lambda frame: frames if frame.kind is Kind.OPEN else []
    code, said = asked(server)
    assert code == 503, said
    assert agent.ended() == (1002, why)
    assert server.as_admin("GET", "/livez")[0] == 200


@pytest.mark.parametrize(
    "data",
    [b"\x81\x82\0\0\0\0hi", b"\x82\x05hello", b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0" + b"x" * (64 << 10), b"\xff" * 99],
)
def test_what_is_no_frame_ends_it(server: Front, agent: Agent, data: bytes) -> None:
    agent.raw(data)
    assert agent.ended()[0] == 1002


def test_an_agent_that_says_why_is_believed_in_one_line(server: Front, agent: Agent) -> None:
    agent.answers = lambda frame: [close(frame.stream, "no route\nto host")] if frame.kind is Kind.OPEN else []
    code, said = asked(server)
    assert code == 503
    assert "no route" in json.loads(said)["message"]


def test_what_it_sends_that_nobody_reads_stops_at_its_window(server: Front, agent: Agent) -> None:
    """A caller who does not read: the server takes a window more, and its memory does not grow."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"%x\r\n%b\r\n" % (MOST_DATA - 8, b"x" * (MOST_DATA - 8))
    allowed = threading.Semaphore(WINDOW // MOST_DATA - 1)
    sent = 0

    def answers(frame: Frame) -> list[Frame]:
        if frame.kind is Kind.OPEN:
            return [Frame(Kind.OPENED, frame.stream)]
        if frame.kind is Kind.DATA:
            threading.Thread(target=flood, args=(frame.stream,), daemon=True).start()
        if frame.kind is Kind.WINDOW:
            for _ in range(frame.granted // MOST_DATA):
                allowed.release()
        return []

    def flood(stream: int) -> None:
        nonlocal sent
        agent.send(Frame(Kind.DATA, stream, head))  # here, so that no piece gets before it
        while allowed.acquire(timeout=1):
            agent.send(*[Frame(Kind.DATA, stream, piece[:MOST_DATA])])
            sent += MOST_DATA
        stalled.set()

    stalled = threading.Event()
    agent.answers = answers
    before = server.forget_peak()
    with server.admin() as stream:
        host = "{}:{}".format(*server.address)
        stream.sendall(f"GET {CLUSTERS}/edge/proxy/logs HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert stalled.wait(PATIENCE)
        assert server.memory() < before + 32 * MB
        agent.answers = serving(b"others")
        assert asked(server) == (200, b"others")
    assert sent < 32 * MB


def test_pings_without_end_are_not_kept(server: Front) -> None:
    """An agent that asks all the time and reads no answer."""
    before = server.forget_peak()
    with server.admin() as stream:
        stream.sendall(opening(server, "other"))
        websocket = Connection(ConnectionType.CLIENT)
        pings = b"".join(websocket.send(Ping(payload=b"x" * 125)) for _ in range(1000))
        stream.settimeout(1)
        with contextlib.suppress(OSError):
            for _ in range(400):
                stream.sendall(pings)
        assert server.memory() < before + 32 * MB
    assert server.as_admin("GET", "/livez")[0] == 200


def test_frames_without_end_that_bring_nothing_end_it(server: Front, agent: Agent) -> None:
    agent.answers = serving(b"through")
    assert asked(server) == (200, b"through")
    with contextlib.suppress(OSError, ssl.SSLError):
        for _ in range(4):
            agent.raw(agent.websocket.send(Ping(payload=b"")) * 40_000)
    assert agent.ended() == (1002, "more than 2000 control frames a second")
    assert server.as_admin("GET", "/livez")[0] == 200


def test_without_a_tunnel_it_is_said_in_one_line(server: Front) -> None:
    code, said = asked(server, cluster="other")
    message = json.loads(said)["message"]
    assert code == 503
    assert "cluster other has no tunnel, and http://127.0.0.1:1 cannot be reached: " in message
    assert "\n" not in message
