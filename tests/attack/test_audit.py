"""What a caller may try against the record of what he does: write lines of his own, hide, hold the server up, read secrets out of it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from kafila.api.auditing import Auditor
from kafila.audit.buffer import Buffer
from kafila.audit.log import LogBackend, LogFile
from kafila.audit.metrics import ERRORS
from kafila.audit.reading import read_policy
from kafila.audit.webhook import WebhookBackend
from tests.integration.api.conftest import Api, Object, configmap

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
EVERYTHING = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n"
FORGED = '\n{"kind":"Event","user":{"username":"somebody else"}}\n'
MARKS = "\u2028\u2029\u0085\x1b[2J\x7f\r\n\x00"


def recorded(api: Api, path: Path) -> LogBackend:
    backend = LogBackend(LogFile(path))
    api.app.auditor = Auditor(read_policy(EVERYTHING), [backend])
    return backend


def lines(path: Path) -> list[Object]:
    text = path.read_text()
    assert text.splitlines() == text.split("\n")[:-1], "a line ends where no event does"
    return [json.loads(line) for line in text.splitlines()]


async def raw(api: Api, path: str, headers: list[tuple[bytes, bytes]], query: bytes = b"") -> list[Any]:
    """Past what httpx would refuse to send."""
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": headers}
    await api.app({**scope, "client": ("192.0.2.1", 1), "state": {"user": api.user}}, None, send)
    return answers


@pytest.mark.parametrize("where", ["user-agent", "audit-id", "x-forwarded-for", "x-real-ip", "accept", "path", "query"])
@pytest.mark.parametrize(
    "text", [FORGED, MARKS, "x" * 200_000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")]
)
async def test_nobody_writes_a_line_of_his_own(api: Api, tmp_path: Path, where: str, text: str) -> None:
    file = tmp_path / "audit.log"
    backend = recorded(api, file)
    value = text.encode("utf-8", "surrogatepass")
    header = [] if where in ("path", "query") else [(where.encode(), value)]
    await raw(api, CONFIGMAPS + (f"/{text}" if where == "path" else ""), header, value if where == "query" else b"")
    backend.close(60)
    events = lines(file)
    assert [event["stage"] for event in events] in (
        ["RequestReceived", "ResponseComplete"],
        ["RequestReceived", "Panic"],
    )
    assert {event["user"]["username"] for event in events} == {"system:admin"}
    assert {event["sourceIPs"][-1] for event in events} == {"192.0.2.1"}
    assert all(len(event["auditID"]) <= 64 and len(event["userAgent"]) <= 1100 for event in events)


async def test_nobody_writes_a_line_of_his_own_with_an_object(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    backend = recorded(api, file)
    await api.post(CONFIGMAPS, configmap("a" + FORGED, x=FORGED + MARKS))
    await api.made(CONFIGMAPS, configmap("a", x=FORGED + MARKS.replace("\x00", "")))
    for broken in (b'{"kind":\n\n', b"[" * 100_000, b"\xff\xfe\n", b'{"metadata":{"name":{}}}'):
        await api.post(CONFIGMAPS, broken)
    backend.close(60)
    events = lines(file)
    assert len(events) == 12
    assert {event["user"]["username"] for event in events} == {"system:admin"}


async def test_credentials_in_headers_are_not_recorded(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    backend = recorded(api, file)
    secret = b"hunter2"
    names = (b"authorization", b"cookie", b"sec-websocket-protocol", b"x-remote-user", b"proxy-authorization")
    await raw(api, CONFIGMAPS, [(name, b"Bearer " + secret) for name in names])
    backend.close(60)
    assert len(lines(file)) == 2
    assert secret not in file.read_bytes()


async def test_a_backend_that_stands_still_holds_no_request_up(api: Api) -> None:
    class Still:
        go = threading.Event()

        def write(self, content: bytes) -> None:
            self.go.wait(60)

        def close(self) -> None:
            pass

    backend = LogBackend(Still(), Buffer(most_events=2))  # type: ignore[arg-type]
    api.app.auditor = Auditor(read_policy(EVERYTHING), [backend])
    before = ERRORS.labels("log")._value.get()
    for _ in range(200):
        assert (await api.get(CONFIGMAPS)).status_code == 200
    assert ERRORS.labels("log")._value.get() - before >= 200
    Still.go.set()
    backend.close(60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_a_full_disk_holds_no_request_up(api: Api) -> None:
    backend = recorded(api, Path("/dev/full"))
    before = ERRORS.labels("log")._value.get()
    for _ in range(20):
        assert (await api.get(CONFIGMAPS)).status_code == 200
    backend.close(60)
    assert ERRORS.labels("log")._value.get() - before == 40


async def test_what_waits_to_be_recorded_is_bounded(api: Api) -> None:
    """Long paths and user agents count, not only objects."""
    stopped = threading.Event()

    class Still:
        def write(self, content: bytes) -> None:
            stopped.wait(60)

        def close(self) -> None:
            pass

    buffer = Buffer(most_bytes=1 << 20)
    backend = LogBackend(Still(), buffer)  # type: ignore[arg-type]
    api.app.auditor = Auditor(read_policy(EVERYTHING), [backend])
    for _ in range(40):
        await raw(api, CONFIGMAPS, [(b"x-forwarded-for", b"1" * 100_000)], b"a=" + b"b" * 100_000)
    assert len(buffer) <= 6
    stopped.set()
    backend.close(60)


async def test_nobody_is_left_out_for_what_he_sends(api: Api, tmp_path: Path) -> None:
    """A request that fails in whatever way is recorded all the same."""
    file = tmp_path / "audit.log"
    backend = recorded(api, file)
    queries = (
        b"limit=x",
        b"labelSelector=(((",
        b"fieldSelector=a%3D%3D%3Db",
        b"watch=1&resourceVersion=x",
        b"%ff%fe=%00",
    )
    for query in queries:
        await raw(api, CONFIGMAPS, [], query)
    backend.close(60)
    ended = [event for event in lines(file) if event["stage"] == "ResponseComplete"]
    assert [event["requestURI"] for event in ended] == [f"{CONFIGMAPS}?{query.decode()}" for query in queries]


HIDING = {
    "deep": (b'{"metadata":{"name":"hidden"},"x":' + b"[" * 300 + b"]" * 300 + b"}", "application/json"),
    "deep lists": (
        b'{"metadata":{"name":"hidden"}' + b',"items":[{"a":1' * 500 + b"}]" * 500 + b"}",
        "application/json",
    ),
    "large number": (b"metadata: {name: hidden}\nx: 0x" + b"f" * 40, "application/yaml"),
}


@pytest.mark.parametrize("what", HIDING)
@pytest.mark.parametrize("omit", ["true", "false"])
async def test_what_cannot_be_written_hides_nobody(api: Api, tmp_path: Path, what: str, omit: str) -> None:
    file = tmp_path / "audit.log"
    backend = recorded(api, file)
    policy = read_policy(EVERYTHING + f"omitManagedFields: {omit}\n".encode())
    sent: list[bytes] = []

    async def post(content: bytes) -> bytes:
        sent.append(content)
        return b"{}"

    hook = WebhookBackend(post)
    api.app.auditor = Auditor(policy, [backend, hook])
    body, media_type = HIDING[what]
    await api.post(f"{CONFIGMAPS}?fieldValidation=Ignore", body, type=media_type)
    await api.get(CONFIGMAPS)
    await hook.close(60)
    backend.close(60)
    found = lines(file)
    assert [(event["verb"], event["stage"]) for event in found] == [
        (verb, stage) for verb in ("create", "list") for stage in ("RequestReceived", "ResponseComplete")
    ]
    assert found[1]["objectRef"]["resource"] == "configmaps"
    told = [event for content in sent for event in json.loads(content)["items"]]
    assert [event["auditID"] for event in told] == [event["auditID"] for event in found]


def test_the_log_is_for_its_owner(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        LogFile(tmp_path / "audit.log").close()
    finally:
        os.umask(mask)
    assert (tmp_path / "audit.log").stat().st_mode & 0o077 == 0
