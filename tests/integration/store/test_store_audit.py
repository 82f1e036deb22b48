"""Who changed what: one contract over both stores, and what PostgreSQL lets go of."""

from __future__ import annotations

import itertools
import time

import pytest

from kafila.store import postgres_audit
from kafila.store.audit import AuditPage, AuditQuery, AuditRow
from kafila.store.interface import Store
from kafila.store.postgres import PostgresStore

from .conftest import Connect

_HOUR = 3600.0
_marks = itertools.count(1)


@pytest.fixture
def here() -> str:
    """A namespace of a test's own: the database is everybody's."""
    return f"audit-{time.time_ns()}-{next(_marks)}"


def row(namespace: str, number: int, at: float, user: str = "ann", acting: str = "", verb: str = "patch") -> AuditRow:
    texts = (user, acting, verb, "deployments.apps", "", namespace, f"web-{number % 3}")
    return AuditRow(round(at, 6), f"{namespace}-{number:05}", *texts, 200, "192.0.2.1", "kubectl", '{"a":1}')


async def insert(store: Store, *batches: list[AuditRow]) -> None:
    table = store.audit()
    for rows in batches:
        await table.insert(rows)
    await table.close()


async def everything(store: Store, asked: AuditQuery) -> tuple[list[AuditRow], int]:
    """All pages, and how many they were."""
    found: list[AuditRow] = []
    for number in itertools.count(1):
        page: AuditPage = await store.audit_rows(asked)
        assert len(page.rows) <= asked.limit
        found += page.rows
        if page.before is None:
            return found, number
        asked = asked._replace(before=page.before)
    raise AssertionError


async def test_the_newest_come_first_page_by_page(store: Store, here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processes whose batches overlap, and over the border of a partition."""
    monkeypatch.setattr(postgres_audit, "AT_ONCE", 2)
    monkeypatch.setattr(postgres_audit, "MOST_READ", 3)
    border = time.time() // postgres_audit.LENGTH * postgres_audit.LENGTH
    rows = [row(here, number, border + (number - 50) * 0.01) for number in range(100)]
    one, other = rows[::2], rows[1::2]
    await insert(store, one[:20], other[:10], one[20:35], other[10:45], one[35:], other[45:])
    for limit in (7, 500):
        found, pages = await everything(store, AuditQuery(0, limit, here))
        assert found == rows[::-1]
        assert pages >= 100 // limit


async def test_what_is_written_again_is_there_once(store: Store, here: str) -> None:
    rows = [row(here, number, time.time()) for number in range(3)]
    await insert(store, rows, rows)
    assert len((await everything(store, AuditQuery(0, 10, here)))[0]) == 3


async def test_questions(store: Store, here: str) -> None:
    now = time.time()
    rows = [
        row(here, 0, now - 3 * _HOUR),
        row(here, 1, now - 2, user="ann", acting="bob"),
        row(here, 2, now - 1, user="bob", verb="delete"),
        row(here + "x", 3, now, user="carl"),
    ]
    await insert(store, rows)

    async def numbers(**asked: object) -> list[int]:
        wanted = AuditQuery(**{"since": 0.0, "limit": 100, "namespace": here, **asked})  # type: ignore[arg-type]
        return [rows.index(each) for each in (await everything(store, wanted))[0]]

    assert await numbers() == [2, 1, 0]
    assert await numbers(since=now - 60) == [2, 1]
    assert await numbers(user="bob") == [2, 1]
    assert await numbers(user="carl") == []
    assert await numbers(verb="delete") == [2]
    assert await numbers(name="web-1") == [1]
    assert await numbers(resource="deployments.apps", name="web-2") == [2]
    assert await numbers(resource="deployments") == []
    assert await numbers(namespace=None, user="carl", since=now - 1) == [3]
    assert await numbers(namespace="") == []


async def test_any_text_that_has_no_nul_can_be_kept(store: Store, here: str) -> None:
    odd = row(here, 0, time.time())._replace(agent="\x1b[2J\r\n\u2028\u202e'\"\\ \ufffd", username="😀")
    await insert(store, [odd])
    assert (await everything(store, AuditQuery(0, 10, here, user="😀")))[0] == [odd]


async def test_two_processes_make_one_partition(connect: Connect, here: str) -> None:
    long_ago = time.time() - 40 * 86400 - next(_marks) * postgres_audit.LENGTH
    for number in range(2):
        await insert(await connect(), [row(here, number, long_ago + number)])
    assert len((await everything(await connect(), AuditQuery(0, 10, here)))[0]) == 2


async def test_what_is_old_goes(connect: Connect, here: str) -> None:
    store = await connect()
    now = time.time()
    await insert(store, [row(here, 0, now - 30 * 86400), row(here, 1, now)])
    await store.expire_audit(20 * 86400, 1 << 40)
    found, _ = await everything(store, AuditQuery(0, 10, here))
    assert [each.at for each in found] == [round(now, 6)]
    table = store.audit()
    await table.insert([row(here, 2, now - 30 * 86400)])  # and its partition is made again
    await table.close()


async def test_the_oldest_go_first_where_there_is_too_much(postgres_dsn: str, here: str) -> None:
    store = PostgresStore(postgres_dsn)
    await store.open()
    try:
        now = time.time()
        await insert(store, *([row(here, number, now - number * 86400)] for number in range(3)))
        await store.expire_audit(10 * 86400, 0)
        found, _ = await everything(store, AuditQuery(0, 10, here))
        assert [each.id[-5:] for each in found] == ["00000"]  # never the newest
    finally:
        await store.close()
