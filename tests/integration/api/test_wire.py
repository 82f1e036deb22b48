"""Answers as bytes: in the order of the requests, of the length that they say, and the end of the connection where it was asked for."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from .conftest import Served

FORBIDDEN = b"GET /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nAudit-ID: %b\r\n"  # whoever asks has no credential


class _Rest:
    """What a server sent, as a socket that responses are read from one after the other."""

    def __init__(self, stream: ssl.SSLSocket) -> None:
        self._file = stream.makefile("rb")

    def makefile(self, mode: str) -> Any:
        return self._file


def answers(served: Served, sent: bytes, methods: list[str]) -> list[tuple[HTTPResponse, bytes]]:
    """The answers to requests that are sent at once; afterwards the server has hung up."""
    at = urlsplit(served.server)
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    with socket.create_connection((at.hostname, at.port), timeout=30) as plain, tls.wrap_socket(plain) as stream:
        stream.sendall(sent)
        rest, found = _Rest(stream), []
        for method in methods:
            response = HTTPResponse(rest, method=method)  # type: ignore[arg-type]
            response.begin()
            body = rest.makefile("rb").read(int(response.headers["content-length"]) if method != "HEAD" else 0)
            found.append((response, body))
        assert rest.makefile("rb").read() == b""
        return found


def test_requests_that_are_sent_together_are_answered_in_their_order(served: Served) -> None:
    first, second = FORBIDDEN % b"one" + b"\r\n", (FORBIDDEN % b"two").replace(b"GET", b"HEAD") + b"\r\n"
    body = b'{"apiVersion":"v1","kind":"Namespace"}'
    third = (FORBIDDEN % b"three").replace(b"GET", b"POST") + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    last = FORBIDDEN % b"four" + b"Connection: close\r\n\r\n"
    got = answers(served, first + second + third + last, ["GET", "HEAD", "POST", "GET"])
    assert [response.headers["audit-id"] for response, _ in got] == ["one", "two", "three", "four"]
    assert {response.status for response, _ in got} == {403}
    assert [b'"reason":"Forbidden"' in body for _, body in got] == [True, False, True, True]
    assert [response.headers.get("connection") for response, _ in got] == [None, None, None, "close"]


def test_an_old_client_is_answered_and_hung_up_on(served: Served) -> None:
    ((response, body),) = answers(served, b"GET /nothing HTTP/1.0\r\n\r\n", ["GET"])
    assert response.headers["connection"] == "close"
    assert len(response.headers["audit-id"].split("-")) == 5, "a UUID, where the client names none"
    assert body
