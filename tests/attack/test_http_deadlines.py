"""Whoever connects and does nothing, or too slowly, or too often: he loses his connection, and nobody else notices."""

from __future__ import annotations

import contextlib
import http.client
import resource
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

from .front import Front, exchange, front, once_in_a_while, rest

HEAD = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
ALONE = HEAD + b"Connection: close\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\n"
PEER = 12  # connections


def begun(length: int) -> bytes:
    return HEAD.replace(b"GET /livez", b"POST /api/v1/namespaces") + b"Content-Length: %d\r\n\r\n" % length


@pytest.fixture(scope="module")
def strict() -> Iterator[Front]:
    times = ("--read-header-timeout", "3", "--idle-timeout", "3", "--request-timeout", "3")
    with front(
        *times,
        *("--max-connections", "20", "--max-connections-per-peer", str(PEER)),
        limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096)),
    ) as found:
        yield found


def test_whoever_does_not_go_on_is_ended(strict: Front) -> None:
    """All of them at once: a silent one before and after the handshake, half a head, half a body, one that has been served."""
    reasons = ("handshake_timeout", "header_timeout", "body_timeout")
    before = [strict.refused(reason) for reason in reasons]
    with contextlib.ExitStack() as stack:
        bare = stack.enter_context(strict.plain())

        def sent(stream: ssl.SSLSocket, what: bytes) -> ssl.SSLSocket:
            """Before the next one connects: each has little time."""
            stack.enter_context(stream).sendall(what)
            return stream

        silent = sent(strict.connect(), b"")
        half = sent(strict.connect(), HEAD)
        served = sent(strict.connect(), HEAD + b"\r\n")
        owing = sent(strict.admin(), begun(1000) + b"{")
        owing_reader = sent(strict.connect(), begun(1000) + b"{")
        assert rest(bare) == rest(silent) == rest(half) == b""
        assert rest(served).startswith(ANSWERED)
        assert rest(owing).startswith(b"HTTP/1.1 504 ")
        assert rest(owing_reader).startswith(b"HTTP/1.1 403 ")
    wait_until(lambda: all(strict.refused(r) > count for r, count in zip(reasons, before, strict=True)))


def test_a_body_that_drips_ends_as_a_whole(strict: Front) -> None:
    with strict.admin() as stream:
        stream.sendall(begun(1000))
        stream.settimeout(0.5)
        answer = b""
        while not answer:
            stream.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = stream.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b'"message":"Timeout: request did not complete within the allotted timeout"' in answer


def test_a_body_that_nobody_wants_may_not_drip(strict: Front) -> None:
    with strict.connect() as stream:
        stream.sendall(begun(1000))
        assert stream.recv(1 << 16).startswith(b"HTTP/1.1 403 ")
        stream.settimeout(0.5)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for _ in range(1000):
                stream.sendall(b" ")
                with contextlib.suppress(TimeoutError):
                    if not stream.recv(1 << 16):
                        return
            pytest.fail("it may")


def test_all_descriptors_that_it_may_have_are_taken(strict: Front) -> None:
    assert resource.prlimit(strict.process.pid, resource.RLIMIT_NOFILE) == (4096, 4096)


def test_the_oldest_that_waits_makes_room(strict: Front) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(strict.connect())
        watching = stack.enter_context(strict.admin())
        watching.sendall(b"GET /api/v1/namespaces?watch=true HTTP/1.1\r\nHost: a\r\n\r\n")
        assert watching.recv(1 << 16).startswith(ANSWERED)
        others = [stack.enter_context(strict.plain()) for _ in range(PEER)]
        assert rest(first) == b""
        with strict.connect() as late:
            assert exchange(late, ALONE).startswith(ANSWERED)
        status, _ = strict.as_admin(
            "POST", "/api/v1/namespaces", b'{"metadata":{"name":"seen"}}', **{"Content-Type": "application/json"}
        )
        assert status == 201
        seen = b""
        while b'"seen"' not in seen:  # it was at work and stayed
            part = watching.recv(1 << 16)
            assert part
            seen += part
        assert len(others) == PEER
    assert strict.refused("evicted_for_peer_connections") > 0


def test_one_peer_does_not_keep_others_out(strict: Front) -> None:
    """All that one address may have are at work; the next of it is refused, and another address is served."""
    with contextlib.ExitStack() as stack:
        for _ in range(PEER):
            watching = stack.enter_context(strict.admin())
            watching.sendall(b"GET /api/v1/namespaces?watch=true HTTP/1.1\r\nHost: a\r\n\r\n")
            assert watching.recv(1 << 16).startswith(ANSWERED)
        assert not _is_served(strict)
        with strict.connect("127.0.0.2") as other:
            assert exchange(other, ALONE).startswith(ANSWERED)
    assert strict.refused("peer_connections") > 0


@pytest.fixture(scope="module")
def poor() -> Iterator[Front]:
    with front(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))) as found:
        yield found


def test_with_few_descriptors_whoever_comes_is_served(poor: Front) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(poor.plain())
        assert _is_served(poor)
        assert poor.as_admin("GET", "/api/v1/namespaces")[0] == 200
        assert once_in_a_while(poor.logs(event="refused", reason="evicted_for_peer_connections"))  # not for each socket


def test_without_descriptors_the_oldest_makes_room(poor: Front) -> None:
    """Whoever has taken them: the listener has a spare one to send away who comes next."""
    taken = len(list(Path(f"/proc/{poor.process.pid}/fd").iterdir()))
    resource.prlimit(poor.process.pid, resource.RLIMIT_NOFILE, (taken + 8, 128))
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(poor.plain())
        poor.logs(event="refused", reason="descriptors")
        wait_until(lambda: _is_served(poor))
    resource.prlimit(poor.process.pid, resource.RLIMIT_NOFILE, (128, 128))


def test_without_memory_the_process_ends(poor: Front) -> None:
    """It does not stay, deaf: whoever supervises it starts it again."""
    size = poor.memory("VmSize") + (4 << 20)
    resource.prlimit(poor.process.pid, resource.RLIMIT_AS, (size, size))
    body = b'{"metadata":{"name":"a"},"data":{"a":"%b"}}' % (b"a" * 900_000)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            if poor.process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                stack.enter_context(poor.connect())
                poor.as_admin("POST", "/api/v1/namespaces/default/configmaps", body)
        assert poor.process.wait(60) > 0
    assert poor.logs(level="critical")


def _is_served(found: Front) -> bool:
    with contextlib.suppress(OSError), found.connect() as stream:
        return exchange(stream, ALONE).startswith(ANSWERED)
    return False
