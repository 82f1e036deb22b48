"""Connections that are switched to another protocol, through ``clusters/NAME/proxy`` and to extension servers: to whom, as whom, and what cannot be smuggled along."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

import pytest

from kafila.identity.certificates import issue, new_authority
from tests.waiting import wait_until

from .front import PATIENCE, Front, exchange, front, rest

MB = 1 << 20
CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
EXEC = f"{CLUSTERS}/m1/proxy/api/v1/namespaces/a/pods/b/exec?command=sh"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
Talk = Callable[[socket.socket], None]


class Listening(ABC):
    """Serves each connection in a thread of its own, from the end of ``__init__`` on."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    @abstractmethod
    def _serve(self, stream: socket.socket) -> None: ...

    def close(self) -> None:
        self._listening.close()


@final
class Member(Listening):
    """Answers every head with ``answer``, and then talks as the test wants. ``heads`` are those that came."""

    def __init__(self) -> None:
        self.answer = SWITCHED % b"websocket" + b"\r\n"
        self.talk: Talk = lambda stream: None
        self.heads: queue.Queue[bytes] = queue.Queue()
        self.behind: queue.Queue[bytes] = (
            queue.Queue()
        )  # what came behind the head of a connection that was not switched
        super().__init__()
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def _serve(self, stream: socket.socket) -> None:
        stream.settimeout(PATIENCE)
        with stream, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = stream.recv(1)  # what comes behind it is for whoever talks
                if not piece:
                    return
                head += piece
            if b"/pods/b/exec" not in head.partition(b"\r\n")[0]:
                return  # the control plane looks after it
            self.heads.put(head)
            stream.sendall(self.answer)
            self.talk(stream)


def echo(stream: socket.socket) -> None:
    while piece := stream.recv(1 << 16):
        stream.sendall(piece)


@pytest.fixture(scope="module")
def server() -> Iterator[Front]:
    with front() as found:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "m1-impersonator"},
            "stringData": {"token": "ours"},
        }
        created(found, "/api/v1/namespaces", {"metadata": {"name": "karmada-cluster"}}, (201, 409))
        created(found, "/api/v1/namespaces/karmada-cluster/secrets", secret)
        yield found


def created(server: Front, path: str, document: object, wanted: tuple[int, ...] = (201,)) -> None:
    code, said = server.as_admin("POST", path, json.dumps(document).encode(), **{"Content-Type": "application/json"})
    assert code in wanted, said


@pytest.fixture(scope="module")
def joined(server: Front) -> Iterator[Member]:
    found = Member()
    spec = {
        "syncMode": "Push",
        "apiEndpoint": found.endpoint,
        "id": "m1",
        "impersonatorSecretRef": {"namespace": "karmada-cluster", "name": "m1-impersonator"},
    }
    document = {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "m1"},
        "spec": spec,
    }
    created(server, CLUSTERS, document)
    yield found
    found.close()


@pytest.fixture
def member(joined: Member) -> Member:
    joined.answer, joined.talk = SWITCHED % b"websocket" + b"\r\n", lambda stream: None
    joined.heads, joined.behind = queue.Queue(), queue.Queue()
    return joined


def asking(server: Front, protocol: bytes = b"websocket", more: bytes = b"", path: str = EXEC) -> bytes:
    host = "{}:{}".format(*server.address).encode()
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n" % (path.encode(), host, protocol)
    return head + more + b"\r\n"


def head_of(stream: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n") and (piece := stream.recv(1)):
        head += piece
    return head


def exactly(stream: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (piece := stream.recv(1 << 16)):
        found += piece
    return found


@pytest.mark.parametrize("protocol", [b"websocket", b"SPDY/3.1"])
def test_bytes_go_both_ways_from_the_first_one(server: Front, member: Member, protocol: bytes) -> None:
    member.answer = (
        SWITCHED % protocol + b"X-Stream-Protocol-Version: v5.channel.k8s.io\r\nSet-Cookie: a=b\r\n\r\nearly"
    )
    member.talk = echo
    with server.admin() as stream:
        stream.sendall(asking(server, protocol) + b"before the answer")
        head = head_of(stream)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nupgrade: %b\r\n" % protocol in head
        assert b"v5.channel.k8s.io" in head
        assert b"ookie" not in head
        said = b"earlybefore the answer"
        assert exactly(stream, len(said)) == said
        much = bytes(range(256)) * (MB // 1024)
        for _ in range(16):  # in turn: threads that send and read on one TLS connection get mixed up before Python 3.13
            stream.sendall(much)
            assert exactly(stream, len(much)) == much
    assert server.as_admin("GET", "/livez")[0] == 200


def test_whoever_ends_is_heard_to_his_last_byte(server: Front, member: Member) -> None:
    last = b"x" * (2 * MB) + b"the end"
    member.talk = lambda stream: stream.sendall(last)
    with server.admin() as stream:
        stream.sendall(asking(server))
        head_of(stream)
        assert rest(stream) == last
    heard: queue.Queue[bytes] = queue.Queue()
    member.talk = lambda stream: heard.put(rest(stream))
    with server.admin() as stream:
        stream.sendall(asking(server))
        head_of(stream)
        stream.sendall(last)
    assert heard.get(timeout=PATIENCE) == last


def test_nothing_is_fetched_that_nobody_reads(server: Front, member: Member) -> None:
    sent = 0

    def flood(stream: socket.socket) -> None:
        nonlocal sent
        stream.settimeout(2)
        piece = b"x" * MB
        with contextlib.suppress(TimeoutError):
            while sent < 1024 * MB:
                sent += stream.send(piece)
        stalled.set()

    stalled = threading.Event()
    member.talk = flood
    before = server.forget_peak()
    with server.admin() as stream:
        stream.sendall(asking(server))
        head_of(stream)
        assert stalled.wait(PATIENCE)
        assert server.memory() < before + 32 * MB
    assert sent < 64 * MB


def test_a_member_that_does_not_switch_gets_nothing_more(server: Front, member: Member) -> None:
    """As in CVE-2018-1002105: what follows would be requests of the proxy's own, as far as the member knows."""
    member.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    member.talk = lambda stream: member.behind.put(rest(stream))
    with server.admin() as stream:
        answer = exchange(stream, asking(server) + b"GET /api/v1/secrets HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert member.behind.get(timeout=PATIENCE) == b""


@pytest.mark.parametrize("answered", [b"SPDY/3.1", b"h2c", b"websocket, h2c"])
def test_a_member_that_speaks_another_protocol_is_a_bad_gateway(server: Front, member: Member, answered: bytes) -> None:
    member.answer = SWITCHED % answered + b"\r\n"
    with server.admin() as stream:
        assert exchange(stream, asking(server)).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"websocket, h2c", b"x"])
def test_no_other_protocol_is_asked_for(server: Front, member: Member, protocol: bytes) -> None:
    with server.admin() as stream:
        answer = exchange(stream, asking(server, protocol))
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert member.heads.empty()


def test_the_member_learns_who_asks_and_nothing_that_the_caller_says_of_it(server: Front, member: Member) -> None:
    token = b"base64url.bearer.authorization.k8s.io.c2VjcmV0"
    more = (
        b"Sec-WebSocket-Protocol: v5.channel.k8s.io, %b\r\nSec-WebSocket-Protocol: %b\r\nSec-WebSocket-Key: k\r\n"
        % (token, token)
    )
    more += b"X-Remote-User: root\r\nCookie: a=b\r\nX-Stream-Protocol-Version: v5\r\nX-Stream-Protocol-Version: v4\r\n"
    with server.admin() as stream:
        stream.sendall(asking(server, more=more))
        head_of(stream)
    head = member.heads.get(timeout=PATIENCE).lower()
    assert b"authorization: bearer ours\r\n" in head
    assert b"impersonate-user: system:admin\r\n" in head
    assert b"sec-websocket-protocol: v5.channel.k8s.io\r\n" in head
    assert b"sec-websocket-key: k\r\n" in head
    assert b"\r\nx-stream-protocol-version: v5\r\nx-stream-protocol-version: v4\r\n" in head
    assert head.count(b"\r\nupgrade: ") == head.count(b"\r\nconnection: ") == 1
    for never in (b"c2vjcmv0", b"x-remote-user", b"cookie"):
        assert never not in head


def test_nobody_is_not_let_in(server: Front, member: Member) -> None:
    with server.connect() as stream:
        assert exchange(stream, asking(server)).startswith(b"HTTP/1.1 403 ")
    assert member.heads.empty()


def test_a_page_of_another_site_cannot_use_the_certificate_of_a_browser(server: Front, member: Member) -> None:
    for origin in (
        b"https://elsewhere",
        b"null",
        b"https://localhost.elsewhere",
        b"https://127.0.0.1@elsewhere",
        b"http://[",
    ):
        with server.admin() as stream:
            assert exchange(stream, asking(server, more=b"Origin: %b\r\n" % origin)).startswith(b"HTTP/1.1 403 ")
    assert member.heads.empty()
    own = "https://{}:{}".format(*server.address).encode()
    for origin in (own, b"http://localhost:8001"):  # kubectl proxy
        with server.admin() as stream:
            stream.sendall(asking(server, more=b"Origin: %b\r\n" % origin))
            assert head_of(stream).startswith(b"HTTP/1.1 101 ")


def test_a_page_shows_a_token_as_a_protocol(server: Front, member: Member) -> None:
    """And it counts for no more than one in a header; a certificate that is shown, too, is no less of another site's then."""
    body = b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}'
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    wait_until(lambda: server.as_admin("GET", path.removesuffix("/token"))[0] == 200)
    code, answer = server.as_admin("POST", path, body, **{"Content-Type": "application/json"})
    assert code == 201, answer
    token = base64.urlsafe_b64encode(json.loads(answer)["status"]["token"].encode()).rstrip(b"=")
    shown = b"base64url.bearer.authorization.k8s.io." + token

    def said(offered: bytes, of: Callable[[], socket.socket], more: bytes = b"") -> bytes:
        with of() as stream:
            return exchange(stream, asking(server, more=more + b"Sec-WebSocket-Protocol: %b\r\n" % offered))

    assert b"system:serviceaccount:default:default" in said(b"v5.channel.k8s.io, " + shown, server.connect)
    for wrong in (shown, shown + b"x, a", b"a, %b, %b" % (shown, shown), b"a, base64url.bearer.authorization.k8s.io.*"):
        assert said(wrong, server.connect).startswith(b"HTTP/1.1 401 ")
    origin = b"Origin: https://elsewhere\r\n"
    assert b"page of another origin" in said(b"a, " + shown, server.admin, origin)
    assert b"system:serviceaccount:default:default" in said(b"a, " + shown, server.connect, origin)
    assert member.heads.empty()


def test_none_is_left_open(server: Front, member: Member) -> None:
    def opened() -> bool:
        return b"kafila_upgraded_connections 1.0\n" in server.as_admin("GET", "/metrics")[1]

    member.talk = echo
    with server.admin() as stream:
        stream.sendall(asking(server))
        head_of(stream)
        wait_until(opened)
    wait_until(lambda: b"kafila_upgraded_connections 0.0\n" in server.as_admin("GET", "/metrics")[1])


# -- to extension servers ------------------------------------------------------------------------------------------------

SHELLS = "/apis/shells.example.com/v1"
SHELL = f"{SHELLS}/namespaces/a/shells/b/exec"


@final
class Extension(Listening):
    """A server of an APIService, over TLS: it says what it serves, and passes streams to ``talk``."""

    def __init__(self, folder: Path) -> None:
        pair = issue(new_authority("extension-ca"), "shells", hosts=["shells.a.svc"])
        file = folder / "extension.pem"
        file.write_bytes(pair.certificate + pair.key)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(file)
        self.answer = SWITCHED % b"websocket" + b"\r\n"
        self.talk: Talk = echo
        self.heads: queue.Queue[bytes] = queue.Queue()
        self.streams: queue.Queue[socket.socket] = queue.Queue()
        super().__init__()

    def _serve(self, stream: socket.socket) -> None:
        stream.settimeout(PATIENCE)
        with contextlib.suppress(OSError), self._tls.wrap_socket(stream, server_side=True) as stream:
            while head := head_of(stream):
                if b"/shells/b/exec" in head.partition(b"\r\n")[0]:
                    self.heads.put(head)
                    self.streams.put(stream)
                    stream.sendall(self.answer)
                    self.talk(stream)
                    return
                body = b'{"kind":"APIResourceList","groupVersion":"shells.example.com/v1","resources":[]}'
                kind = b"Content-Type: application/json\r\n"
                stream.sendall(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (kind, len(body), body))


@pytest.fixture(scope="module")
def given(server: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extension]:
    found = Extension(tmp_path_factory.mktemp("extension"))
    created(server, "/api/v1/namespaces", {"metadata": {"name": "a"}}, (201, 409))
    where = {"metadata": {"name": "shells"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
    created(server, "/api/v1/namespaces/a/services", where)
    spec = {
        "group": "shells.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 10,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "a", "name": "shells", "port": found.port},
    }
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    created(server, services, {"metadata": {"name": "v1.shells.example.com"}, "spec": spec})

    def is_available() -> bool:
        conditions = json.loads(server.as_admin("GET", f"{services}/v1.shells.example.com")[1]).get("status") or {}
        return any(each["status"] == "True" for each in conditions.get("conditions") or ())

    wait_until(is_available)
    yield found
    found.close()


@pytest.fixture
def extension(given: Extension) -> Extension:
    given.answer, given.talk = SWITCHED % b"websocket" + b"\r\n", echo
    given.heads, given.streams = queue.Queue(), queue.Queue()
    return given


@pytest.mark.parametrize("protocol", [b"websocket", b"SPDY/3.1"])
def test_an_extension_servers_streams_go_both_ways(server: Front, extension: Extension, protocol: bytes) -> None:
    extension.answer = SWITCHED % protocol + b"\r\nearly"
    with server.admin() as stream:
        stream.sendall(asking(server, protocol, b"X-Remote-User: root\r\nX-Remote-Group: g\r\nCookie: a=b\r\n", SHELL))
        assert head_of(stream).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert exactly(stream, 5) == b"early"
        much = bytes(range(256)) * (MB // 1024)
        for _ in range(16):  # in turn: threads that send and read on one TLS connection get mixed up before Python 3.13
            stream.sendall(much)
            assert exactly(stream, len(much)) == much
    head = extension.heads.get(timeout=PATIENCE).lower()
    assert head.count(b"x-remote-user: ") == 1
    assert b"x-remote-user: system:admin\r\n" in head
    assert b"x-remote-group: system:masters\r\n" in head
    for never in (b"x-remote-group: g\r\n", b"authorization", b"cookie", b"impersonate-"):
        assert never not in head


def test_either_side_of_an_extension_servers_stream_ends_the_other(server: Front, extension: Extension) -> None:
    heard: queue.Queue[bytes] = queue.Queue()
    extension.talk = lambda stream: heard.put(rest(stream))
    with server.admin() as stream:
        stream.sendall(asking(server, path=SHELL))
        head_of(stream)
        stream.sendall(b"the end")
    assert heard.get(timeout=PATIENCE) == b"the end"
    extension.talk = lambda stream: stream.sendall(b"the end")
    with server.admin() as stream:
        stream.sendall(asking(server, path=SHELL))
        head_of(stream)
        assert rest(stream) == b"the end"


def test_an_extension_server_that_does_not_switch_gets_nothing_more(server: Front, extension: Extension) -> None:
    """What follows would be requests of anybody that it is told of: the connection shows our own certificate."""
    behind: queue.Queue[bytes] = queue.Queue()
    extension.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    extension.talk = lambda stream: behind.put(rest(stream))
    smuggled = b"GET %b/secrets HTTP/1.1\r\nHost: a\r\nX-Remote-User: root\r\n\r\n" % SHELLS.encode()
    with server.admin() as stream:
        assert exchange(stream, asking(server, path=SHELL) + smuggled).startswith(b"HTTP/1.1 403 ")
    assert behind.get(timeout=PATIENCE) == b""
    with server.admin() as stream:  # h2c would carry requests that nobody looks into
        assert exchange(stream, asking(server, b"h2c", path=SHELL)).startswith(b"HTTP/1.1 501 ")
    with server.connect() as stream:  # nobody is not let in
        assert exchange(stream, asking(server, path=SHELL)).startswith(b"HTTP/1.1 403 ")
    assert extension.heads.qsize() == 1
