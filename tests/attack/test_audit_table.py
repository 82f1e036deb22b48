"""What a caller may try against the table of who changed what: hide a change, write to somebody's terminal, fill the memory, read
secrets out of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.audit.table import MOST_NAME, Journal
from kafila.cli.audit import lines
from kafila.registry import User
from kafila.store.audit import AuditQuery
from tests.integration.api.conftest import PATIENCE, Api, configmap, failure

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MARKS = "\x1b[2J\x1b]0;pwned\x07\r\n\x00\u2028\u202e\x9b1m"


@pytest.fixture
async def recorded(api: Api) -> AsyncIterator[Api]:
    api.app.journal = Journal(api.store)
    yield api
    api.app.journal.close(PATIENCE)


def rows(api: Api) -> list[Any]:
    assert api.app.journal is not None
    api.app.journal.close(PATIENCE)
    api.app.journal = Journal(api.store)
    return api.store.database.audit.select(AuditQuery(0, 1000)).rows


async def write(api: Api, path: str, headers: list[tuple[bytes, bytes]], body: bytes = b"{}") -> int:
    """Past what httpx would refuse to send."""
    answers: list[Any] = []
    sent = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return sent.pop(0)

    async def send(message: Any) -> None:
        answers.append(message)

    head = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "raw_path": b"/x"}
    await api.app({**head, "client": ("192.0.2.1", 1), "state": {"user": api.user}}, receive, send)
    return answers[0]["status"]


@pytest.mark.parametrize("where", ["user-agent", "audit-id", "x-forwarded-for", "path"])
@pytest.mark.parametrize(
    "text", [MARKS, "x" * 200_000, "\ud800", "→" * 2000], ids=["marks", "long", "surrogate", "wide"]
)
async def test_nobody_writes_to_the_terminal_of_who_asks(recorded: Api, where: str, text: str) -> None:
    value = text.encode("utf-8", "surrogatepass")
    path = f"/api/v1/namespaces/default/{text}" if where == "path" else CONFIGMAPS
    await write(recorded, path, [] if where == "path" else [(where.encode(), value)])
    (row,) = rows(recorded)
    assert all(len(part) <= MOST_NAME for part in row if isinstance(part, str))
    assert row.source == "192.0.2.1"  # which nobody chooses
    shown = (await recorded.get("/apis/audit.kafila.io/v1alpha1/auditrecords")).json()["items"]
    printed = list(lines(shown, wide=True))
    assert len(printed) == 2  # the head and one row
    assert all(line.isprintable() for line in printed)


async def test_a_field_that_is_told_is_printable_too(recorded: Api) -> None:
    await recorded.made(CONFIGMAPS, {**configmap("x", a="1"), "metadata": {"name": "x", "annotations": {}}})
    value = {"metadata": {"annotations": {"a": MARKS.replace("\x00", "")}}}
    assert (await recorded.patch(f"{CONFIGMAPS}/x", value)).status_code == 200
    rows(recorded)
    shown = (await recorded.get("/apis/audit.kafila.io/v1alpha1/auditrecords?fieldSelector=verb=patch")).json()["items"]
    printed = list(lines(shown, wide=True))
    assert "metadata.annotations" in printed[2]
    assert all(line.isprintable() for line in printed)


async def test_nobody_hides_by_calling_two_requests_the_same(recorded: Api) -> None:
    for name in ("a", "b"):
        body = json.dumps(configmap(name)).encode()
        headers = [(b"audit-id", b"the-same"), (b"content-type", b"application/json")]
        assert await write(recorded, CONFIGMAPS, headers, body) == 201
    found = rows(recorded)
    assert sorted(row.name for row in found) == ["a", "b"]
    assert len({row.id for row in found}) == 2


async def test_what_is_refused_by_whoever_is_nobody_takes_no_room(recorded: Api) -> None:
    assert await write(recorded, CONFIGMAPS, [(b"authorization", b"Bearer x")]) in (201, 400, 401, 422)
    recorded.user = User("")
    before = len(rows(recorded))
    head = {"type": "http", "method": "POST", "path": CONFIGMAPS, "query_string": b""}
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    headers = [(b"authorization", b"Bearer nonsense")]
    await recorded.app({**head, "headers": headers, "client": ("192.0.2.1", 1), "state": {}}, None, send)
    assert answers[0]["status"] == 401
    assert len(rows(recorded)) == before


@pytest.mark.parametrize("part", ["data", "stringData"])
async def test_a_work_does_not_tell_the_secret_in_it(recorded: Api, part: str) -> None:
    def work(value: str) -> Any:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, part: {"p": value}}
        head = {"apiVersion": "work.karmada.io/v1alpha1", "kind": "Work", "metadata": {"name": "w"}}
        return {**head, "spec": {"workload": {"manifests": [secret]}}}

    path = "/apis/work.karmada.io/v1alpha1/namespaces/default/works"
    await recorded.made(path, work("aHVudGVyMg=="))
    assert (await recorded.patch(f"{path}/w", work("aHVudGVyMw=="))).status_code == 200
    found = rows(recorded)
    assert [row.verb for row in found] == ["patch", "create"]
    assert f"manifests[0].{part}.p" in found[0].changes
    assert "aHVudGVy" not in "".join(row.changes for row in found)


async def test_who_may_read_nothing_reads_no_records(recorded: Api) -> None:
    await recorded.made(CONFIGMAPS, configmap("x", token="hush"))
    rows(recorded)
    recorded.user = User("mallory", ("system:authenticated",))
    for where in ("", "namespaces/default/"):
        answer = await recorded.get(f"/apis/audit.kafila.io/v1alpha1/{where}auditrecords")
        failure(answer, 403, "Forbidden")
        assert "hush" not in answer.text
