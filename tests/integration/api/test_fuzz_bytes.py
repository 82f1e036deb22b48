"""Raw bytes at the served port: whatever comes, the server answers or hangs up, and goes on serving everybody else."""

from __future__ import annotations

import os
import random
import socket
import ssl
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import pytest

from .conftest import Served

ENDING = (b"", b"\r\n", b"\r\n\r\n", b"\x00", b"\xff" * 9, b"GET / HTTP/1.1\r\n\r\n")
LINES = (
    b"GET /api/v1/namespaces HTTP/1.1", b"POST /api/v1/namespaces/default/configmaps HTTP/1.1", b"PRI * HTTP/2.0", b"GET /api HTTP/0.9",
    b"GET /%zz HTTP/1.1", b"GET " + b"/a" * 40_000 + b" HTTP/1.1", b"\x16\x03\x01", b"GET /api/v1/pods?watch=true HTTP/1.1", b"CONNECT x:1 HTTP/1.1",
    b"GET /apis/../../etc/passwd HTTP/1.1", b"OPTIONS * HTTP/1.1", b"FOO /api HTTP/1.1", b"GET http://x/api HTTP/1.1", b"GET  /api  HTTP/1.1",
)  # fmt: skip
HEADERS = (
    b"Host: a", b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"Transfer-Encoding: x", b"Expect: 100-continue",
    b"Authorization: Bearer \xff", b"Authorization: Bearer " + b"e" * 9000, b"Authorization: Basic x", b"Upgrade: SPDY/3.1\r\nConnection: Upgrade",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x", b"Content-Type: \xe9", b"A: " + b"b" * 70_000, b" folded", b":", b"\x00: x",
    b"Accept: application/json;as=Table;v=v1;g=meta.k8s.io,", b"Impersonate-User: x", b"X-Remote-User: admin\r\nX-Remote-Group: system:masters",
)  # fmt: skip
BODIES = (
    b"",
    b"{}",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"zz\r\n",
    b"k8s\x00\x0a\xff\xff\xff\xff\x0f",
    b"ffffffffffffffff\r\n",
    b"{" * 5000,
    os.urandom(64),
)

UNKNOWN = (
    b"HTTP/1.1 501 Not Implemented\r\n",
    b"HTTP/1.1 505 ",
)  # an encoding or a version that is not: as Go's net/http


def message(chance: random.Random) -> bytes:
    head = b"\r\n".join([chance.choice(LINES), *chance.sample(HEADERS, chance.randrange(5))])
    sent = head + b"\r\n\r\n" + chance.choice(BODIES)
    if chance.random() < 0.4:
        at = chance.randrange(len(sent))
        sent = sent[:at] + chance.randbytes(chance.randrange(1, 9)) + sent[at + chance.randrange(4) :]
    return sent[: chance.randrange(1, len(sent) + 1)] + chance.choice(ENDING)


def answer_to(other: HTTPSConnection, sent: bytes, tls: ssl.SSLContext | None) -> bytes:
    """What comes back until the server hangs up, or is silent since it waits for the rest: it answers what ``other`` asks later."""
    host, port = other.host, other.port
    with socket.create_connection((host, port), timeout=10) as plain:
        stream = tls.wrap_socket(plain) if tls else plain
        try:
            stream.sendall(sent)
            other.request("GET", "/livez")
            assert other.getresponse().read() == b"ok"
            stream.settimeout(0.05)
            return stream.recv(65536)
        except TimeoutError:
            return b""
        except OSError:  # it may hang up while we still send
            return b""


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_bytes_by_chance(served: Served, count: int) -> None:
    seed = 1 if os.environ.get("CI") else random.randrange(1, 2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    at = urlsplit(served.server)
    assert at.hostname is not None
    assert at.port is not None
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    answered = 0
    other = HTTPSConnection(at.hostname, at.port, context=tls)
    for _ in range(count):
        sent = message(chance)
        got = answer_to(other, sent, tls if chance.random() < 0.9 else None)
        answered += bool(got)
        assert not got.startswith(b"HTTP/1.1 5") or got.startswith(UNKNOWN), (sent, got)
        assert b"HTTP/1.1 2" not in got or b"/api/v1" not in sent, (sent, got)  # nobody gets in without a credential
    other.close()
    assert answered > count / 5
    assert "kube-system" in served.kubectl("get", "namespaces")


def test_slow_and_half_requests_hold_nobody_up(served: Served) -> None:
    at = urlsplit(served.server)
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    held = []
    try:
        for i in range(100):  # neither finishes its handshake, its head nor its body
            stream = socket.create_connection((at.hostname, at.port), timeout=10)
            held.append(stream)
            if i % 3:
                held[-1] = stream = tls.wrap_socket(stream)
                stream.sendall(
                    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\n"
                    + (b"Content-Length: 9\r\n\r\n{" if i % 3 > 1 else b"")
                )
        assert "kube-system" in served.kubectl("get", "namespaces")
    finally:
        for stream in held:
            stream.close()
