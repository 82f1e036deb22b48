"""The primary dies and an asynchronous standby, a hundred revisions behind, is promoted under two api and two workers processes.

What the standby did not have is lost, and everybody is told: watches end with 410, revisions go on far above. No revision
has two contents for anybody, and no guard is passed because a process still believes what is lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import final

import pytest

from kafila.core.resources import Key
from kafila.store.interface import Row
from kafila.store.timeline import RAISE
from tests.waiting import PATIENCE, eventually

from .process_load import END, Load, state_of
from .processes import Answer, ControlPlane, Serve, serving
from .replicas import Replicas, replicas
from .store_proxy import Proxy
from .test_processes_guards import given, service
from .test_processes_leaders import one_leads

BEHIND = 100
RELOADED = "history changed under us, loading everything again"


@pytest.fixture
async def pair() -> AsyncIterator[Replicas]:
    with tempfile.TemporaryDirectory(prefix="kafila-fo-") as name:
        os.chmod(name, 0o711)
        async with replicas(Path(name)) as pair:
            yield pair


@pytest.fixture
async def plane(pair: Replicas, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    dsn = pair.dsn
    async with serving(tmp_path, ("api", dsn), ("api", dsn), ("workers", dsn), ("workers", dsn)) as started:
        yield ControlPlane(pair.primary, Proxy(tmp_path, pair.primary.dsn), started[:2], started[2:])


@final
class FailoverLoad(Load):
    """What was acknowledged behind ``kept``, up to the failover, may be lost; nothing else."""

    kept = 0

    async def judge(self) -> None:
        await self.end()
        found = await self.plane.sql("SELECT revision, resource, namespace, name, body, deleted, previous FROM log")
        rows = [Row(r[0], Key(*r[1:4]), *r[4:7]) for r in sorted(found)]
        [first] = [row.revision for row in rows if not row.key.resource and row.revision > 1]  # the marker
        assert first >= self.kept + RAISE
        assert not [row for row in rows if self.kept < row.revision < first]
        rows = [row for row in rows if row.key.resource == "configmaps" and row.key.namespace == self.namespace]
        log = {row.revision: (row.key.name, json.loads(row.body)["data"]["text"], row.deleted) for row in rows}
        self._check_writers(log, first)
        state = {row.key.name: log[row.revision][1] for row in rows}
        for row in rows:
            if row.deleted:
                state.pop(row.key.name, None)
            else:
                state[row.key.name] = log[row.revision][1]
        self._check_watches(log, first, state)
        for server in self.plane.api:
            assert state_of((await server.request("GET", self.path)).body) == state

    def _check_writers(self, log: dict[int, tuple[str, str, bool]], first: int) -> None:
        books = self.books
        assert not books.surprises, books.surprises[:5]
        lost = 0
        for text, (revision, name) in books.acknowledged.items():
            if self.kept < revision < first:
                assert revision not in log
                lost += 1
            else:
                assert log.get(revision) == (name, text, False), f"{text}, acknowledged at {revision}, is lost"
        assert lost, "nothing was lost: the standby was not behind"
        written = [text for _, text, deleted in log.values() if not deleted]
        assert len(written) == len(set(written)), "a write was carried out twice"
        assert not books.refused & set(written)
        assert set(written) <= books.acknowledged.keys() | books.unknown | {END}

    def _check_watches(self, log: dict[int, tuple[str, str, bool]], first: int, state: dict[str, str]) -> None:
        contents = dict(log)
        for text, (revision, name) in self.books.acknowledged.items():
            assert contents.setdefault(revision, (name, text, False)) == (name, text, False)
        for watch in self.watches:
            assert not watch.surprises, watch.surprises[:5]
            assert watch.relisted == 1, "a watch was not told that history is lost, or more than once"
            assert watch.started >= first
            for revision, content in watch.read.items():
                assert contents.setdefault(revision, content) == content, f"revision {revision} has two contents"
            replayed = dict(watch.listed)
            for event in watch.events:
                if event.revision > watch.started:
                    if event.type == "DELETED":
                        del replayed[event.name]
                    else:
                        replayed[event.name] = event.text
            assert replayed == state


async def test_a_promoted_standby_loses_what_it_did_not_have_and_nothing_else(
    plane: ControlPlane, pair: Replicas
) -> None:
    await one_leads(plane)
    one, two = plane.api
    for name in ("ends", "services"):
        await plane.make_namespace(name)
    services = "/api/v1/namespaces/services/services"

    async def serve(first: int, last: int) -> list[Answer]:
        asked = (plane.api[n % 2].request("POST", services, service(f"s{n}")) for n in range(first, last))
        answers = await asyncio.gather(*asked)
        assert Counter(answer.status for answer in answers) == {201: last - first}, answers[:3]
        return answers

    async with FailoverLoad(plane, "failover") as load:
        await serve(0, 10)
        await load.more(30, one)
        load.kept = await pair.fall_behind()
        # all of this is lost: addresses that are given, a namespace with an object, the end of another one
        lost = await serve(10, 20)
        await plane.make_namespace("lost")
        answer = await two.request("POST", "/api/v1/namespaces/lost/configmaps", {"metadata": {"name": "c"}})
        assert answer.status == 201
        assert (await one.request("DELETE", "/api/v1/namespaces/ends")).status == 200
        while await pair.newest(pair.primary) < load.kept + BEHIND:
            await load.more(10, two)
        await pair.lose_primary()
        plane.database = pair.standby
        await pair.promote()
        for server in plane.api:
            await load.more(30, server)
        for process in (*plane.api, *plane.workers):
            await eventually(lambda process=process: said(process, RELOADED) == 1, "it reads everything again")

        # guards look at what is, not at what was
        for server in plane.api:
            answer = await server.request("POST", "/api/v1/namespaces/lost/configmaps", {"metadata": {"name": "d"}})
            assert (answer.status, answer.body["details"]["kind"]) == (404, "namespaces")
        again = await serve(20, 40)
        listed = (await one.request("GET", services)).body["items"]
        addresses = [item["spec"]["clusterIP"] for item in listed]
        assert len(listed) == 30
        assert len(set(addresses)) == 30
        assert {given(answer)[0] for answer in again} <= set(addresses)
        assert not {answer.body["metadata"]["uid"] for answer in lost} & {item["metadata"]["uid"] for item in listed}
        # the namespace whose end was lost is alive; it ends again, while both processes create in it
        created = Counter[str]()
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as creating:
            for number, server in enumerate((one, two, one, two)):
                creating.create_task(_create_until_gone(server, "ends", number, created))
            await eventually(lambda: created["ends"] >= 20, "objects in it")
            assert (await one.request("DELETE", "/api/v1/namespaces/ends")).status == 200
    homeless = await plane.sql(
        "SELECT o.resource, o.namespace, o.name FROM objects o WHERE o.namespace <> '' AND NOT EXISTS"
        " (SELECT FROM objects n WHERE n.resource = 'namespaces' AND n.name = o.namespace)"
    )
    assert homeless == []
    await one_leads(plane)


def said(process: Serve, event: str) -> int:
    return [line["event"] for line in process.lines()].count(event)


async def _create_until_gone(server: Serve, namespace: str, number: int, created: Counter[str]) -> None:
    count = 0
    while True:
        body = {"metadata": {"name": f"c{number}-{count}"}}
        answer = await server.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
        if answer.status == 404:
            return
        assert answer.status in (201, 403), answer
        created[namespace] += answer.status == 201
        count += 1
