"""What strangers send without an end, or so that it can be read in two ways: refused as Go's net/http does, and no memory is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .front import Front, exchange, flood, front, once_in_a_while

MB = 1 << 20
ROOM = 64 * MB  # bytes that the process may grow by, whatever is sent
ENDLESS = 2048 * MB  # more than goes through in the half second in which whoever sends may read why it was refused
HEAD = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Front]:
    with front() as found:
        with found.connect() as stream:
            assert exchange(stream, HEAD + b"Connection: close\r\n\r\n").startswith(ANSWERED)
        yield found


@pytest.mark.parametrize(
    ("beginning", "piece", "status"),
    [
        (HEAD, b"X-Of: " + b"a" * 4000 + b"\r\n", b"431 Request Header Fields Too Large"),
        (HEAD, b"a:\r\n" * 1000, b"431 Request Header Fields Too Large"),
        (HEAD + b"X-Of: ", b"a" * 16384, b"431 Request Header Fields Too Large"),
        (b"GET /", b"a" * 16384, b"414 URI Too Long"),
        (b"GET /?", b"a=b&" * 4096, b"414 URI Too Long"),
        (b"\r\n", b"\r\n" * 8192, b"431 Request Header Fields Too Large"),
    ],
    ids=["headers", "header count", "header", "path", "query", "empty lines"],
)
def test_a_head_ends(server: Front, beginning: bytes, piece: bytes, status: bytes) -> None:
    before = server.forget_peak()
    with server.connect() as stream:
        stream.sendall(beginning)
        sent, answer = flood(stream, piece, ENDLESS)
    assert sent < ENDLESS
    assert not answer or answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert server.memory() < before + ROOM


def test_a_head_in_tiny_pieces_costs_no_more_than_its_size(server: Front) -> None:
    with server.connect() as stream:
        stream.sendall(HEAD + b"Connection: close\r\nX-Of: ")
        for _ in range(5000):
            stream.sendall(b"abc")
        answer = exchange(stream, b"\r\n\r\n")
    assert answer.startswith(ANSWERED)


@pytest.mark.parametrize("piece", [b"X-Of: " + b"a" * 4000 + b"\r\n", b"a" * 16384], ids=["trailers", "one trailer"])
def test_trailers_end(server: Front, piece: bytes) -> None:
    before = server.forget_peak()
    with server.connect() as stream:
        stream.sendall(HEAD.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ")
        assert flood(stream, piece, ENDLESS)[0] < ENDLESS
    assert server.memory() < before + ROOM


def test_an_extension_of_a_chunk_ends(server: Front) -> None:
    with server.connect() as stream:
        stream.sendall(HEAD.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n1;")
        assert flood(stream, b"a" * 16384, ENDLESS)[0] < ENDLESS


def test_a_body_that_nobody_wants_ends(server: Front) -> None:
    with server.connect() as stream:
        stream.sendall(HEAD.replace(b"GET /livez", b"POST /api/v1/namespaces") + b"Content-Length: 10000000000\r\n\r\n")
        sent, answer = flood(stream, b"a" * 65536, ENDLESS)
    assert sent < ENDLESS
    assert not answer or answer.startswith(b"HTTP/1.1 403 ")


def test_requests_that_are_sent_before_any_is_answered_end(server: Front) -> None:
    before = server.forget_peak()
    with server.connect() as stream:
        answer = exchange(stream, (HEAD + b"\r\n") * 100_000)
    assert answer.count(ANSWERED) < 100_000
    assert server.memory() < before + ROOM


REFUSED = [
    (b"GET /livez HTTP/1.1\r\n\r\n", b"400 Bad Request: missing required Host header"),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400 Bad Request"),
    (b"GET /livez HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", b"400 Bad Request"),
    (b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", b"400 Bad Request: malformed Host header"),
    (b"GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n", b"400 Bad Request: malformed Host header"),
    (HEAD + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"501 Not Implemented"),
    (HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", b"501 Not Implemented"),
    (HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", None),
    (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", None),
    (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na", b"400 Bad Request"),
    (HEAD + b"Content-Length: 1, 2\r\n\r\na", b"400 Bad Request"),
    (HEAD + b"Content-Length: +1\r\n\r\na", b"400 Bad Request"),
    (HEAD + b"Content-Length: 99999999999999999999\r\n\r\na", b"400 Bad Request"),
    (HEAD + b"Content-Length : 1\r\n\r\na", b"400 Bad Request"),
    (HEAD + b"X-Of: a\r\n b\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X-Of: a\rb\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X-Of: a\nb: c\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X-Of: \0\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X\0Of: a\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X Of: a\r\n\r\n", b"400 Bad Request"),
    (HEAD + b": a\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"Expect: the-best\r\n\r\n", b"417 Expectation Failed"),
    (HEAD + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nGET /", b"400 Bad Request"),
    (b"GET /livez HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"501 Not Implemented"),
    (b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", b"505 HTTP Version Not Supported: unsupported protocol version"),
    (b"GET /livez\r\n\r\n", b"505 HTTP Version Not Supported: unsupported protocol version"),
    (b"GET /livez HTTP/1.1\nHost: a\n\n", b"400 Bad Request"),
    (b"G\0T /livez HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
    (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
    (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
    (b"\x16\x03\x01\x00\xa5\x01\x00", b"400 Bad Request"),
]


@pytest.mark.parametrize(("sent", "status"), REFUSED)
def test_what_can_be_read_in_two_ways_is_not_read(server: Front, sent: bytes, status: bytes | None) -> None:
    """And nothing that comes behind it is: it might be what the first was meant to hide."""
    with server.connect() as stream:
        answer = exchange(stream, sent + HEAD + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 " + (status + b"\r\n" if status else b""))
    assert not answer.startswith(ANSWERED)
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("to", [b"websocket", b"h2c", b"SPDY/3.1"])
def test_an_upgrade_is_not_taken_up(server: Front, to: bytes) -> None:
    """The request is answered as it is, and nothing behind it is: it is in another protocol."""
    with server.connect() as stream:
        answer = exchange(stream, HEAD + b"Upgrade: %b\r\nConnection: Upgrade\r\n\r\n" % to + HEAD + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(ANSWERED)
    server.as_admin("GET", "/livez")
    assert not [line for line in server.logged() if "pgrade" in json.dumps(line)]


def test_whoever_waits_to_be_asked_for_a_body_is_asked(server: Front) -> None:
    body = b'{"metadata":{"generateName":"n-"}}'
    asked = b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
    with server.admin() as stream:
        stream.sendall(asked + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert stream.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert exchange(stream, body).startswith(b"HTTP/1.1 201 ")
    with server.connect() as stream:  # and whoever is refused is not
        stream.sendall(asked + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert stream.recv(1 << 16).startswith(b"HTTP/1.1 403 ")


def test_what_was_whole_is_answered_before_what_is_not(server: Front) -> None:
    with server.connect() as stream:
        answer = exchange(stream, HEAD + b"\r\n" + b"nonsense\r\n\r\n")
    assert answer.startswith(ANSWERED)
    assert answer.count(b"HTTP/1.1 ") == 1


def test_each_is_counted_and_logged_once(server: Front) -> None:
    """A line a minute about each kind, all of them JSON, none with advice."""
    before = server.refused("malformed")
    for _ in range(20):
        with server.connect() as stream:
            exchange(stream, b"nonsense\r\n\r\n")
    assert server.refused("malformed") == before + 20
    assert once_in_a_while(server.logs(event="refused", reason="malformed"))
    assert not [line for line in server.lines if "pip install" in line]
