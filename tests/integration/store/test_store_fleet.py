"""The tables that `kafila sql` reads: what was projected is replaced object by object, by one process at a time."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from kafila.store.fleet import TABLES, Followed, NotTheProjector, Progress, Replacement, Row
from kafila.store.interface import Store

from .conftest import Connect


def row(table: str, *key: Any, **values: Any) -> Row:
    spec = TABLES[table]
    return {**dict.fromkeys(spec.columns), **dict(zip(spec.key, key, strict=True)), **values}


def placed(binding: str, cluster: str, replicas: int = 1) -> Row:
    return row("placement", "default", binding, cluster, replicas=replicas, leaving=False)


def obj(resource: str, name: str, revision: int, cluster: str = "") -> Row:
    return row(
        "object", cluster, resource, "default", name, revision=revision, labels={"app": "it's"}, images=["a", "b"]
    )


def of(rows: list[Row], table: str) -> list[tuple[Any, ...]]:
    spec = TABLES[table]
    return [tuple(each[column] for column in spec.key[: spec.of]) for each in rows]


def replaced(table: str, *rows: Row) -> Replacement:
    return Replacement(table, of(list(rows), table), rows)


async def test_rows_of_an_object_are_replaced(store: Store) -> None:
    tables = store.fleet
    assert await tables.take_over(1, 1) == Progress(0, 0)
    rows = [placed("web", "m1"), placed("web", "m2"), placed("other", "m1")]
    assert await tables.write(1, [replaced("placement", *rows)], revision=7) == 3
    assert await tables.write(1, [replaced("placement", *rows)], revision=8) == 0  # what is the same is not written
    fewer = [placed("web", "m2", 3)]
    assert await tables.write(1, [replaced("placement", *fewer)], events=5) == 2
    gone = Replacement("placement", [("default", "other")], [])
    assert await tables.write(1, [gone]) == 1
    assert await tables.take_over(2, 1) == Progress(8, 5)


async def test_what_is_known_is_told_in_pages(store: Store) -> None:
    tables = store.fleet
    await tables.take_over(1, 1)
    rows = [obj("pods", f"p{number}", number) for number in range(5)]
    rows += [obj("secrets", "s", 9), obj("/v1/pods", "p9", 3, "m1")]
    await tables.write(1, [replaced("object", *rows)])
    assert await tables.resources() == ["pods", "secrets"]
    first = await tables.known("pods", "", ("", ""), 3)
    assert first == [("default", f"p{number}", number) for number in range(3)]
    assert await tables.known("pods", "", ("default", "p2"), 3) == [("default", "p3", 3), ("default", "p4", 4)]
    events = [row("event", "default", f"e{number}", count=1) for number in range(3)]
    await tables.write(1, [replaced("event", *events)])
    assert await tables.known_events(("default", "e0")) == [("default", "e1"), ("default", "e2")]


async def test_a_members_objects_go_when_it_is_not_followed_any_more(store: Store) -> None:
    tables = store.fleet
    await tables.take_over(1, 1)
    rows = [obj("/v1/pods", "p", 1, "m1"), obj("/v1/pods", "p", 1, "m2"), obj("/v1/nodes", "n", 1, "m1")]
    followed = [Followed("/v1/pods", "m1", 4), Followed("/v1/pods", "m2", 5)]
    await tables.write(1, [replaced("object", *rows)], followed=followed)
    assert sorted(await tables.followed()) == sorted(followed)
    await tables.write(1, [], followed=[Followed("/v1/pods", "m1", None)])
    assert await tables.followed() == followed[1:]
    assert [len(await tables.known(*each, ("", ""))) for each in (("/v1/pods", "m1"), ("/v1/pods", "m2"))] == [0, 1]
    assert len(await tables.known("/v1/nodes", "m1", ("", ""))) == 1


async def test_one_process_writes(connect: Connect) -> None:
    one, two = (await connect()).fleet, (await connect()).fleet
    await one.take_over(1, 1)
    await one.write(1, [replaced("object", obj("pods", "p", 1))], revision=3)
    assert await two.take_over(2, 1) == Progress(3, 0)
    with pytest.raises(NotTheProjector):
        await one.write(1, [replaced("object", obj("pods", "q", 2))])
    assert await two.resources() == ["pods"]


async def test_rows_of_another_format_are_made_anew(store: Store) -> None:
    await store.fleet.take_over(1, 1)
    await store.fleet.write(1, [replaced("object", obj("pods", "p", 1))], revision=3, followed=[Followed("a", "b", 1)])
    assert await store.fleet.take_over(2, 2) == Progress(0, 0)
    assert await store.fleet.resources() == []
    assert await store.fleet.followed() == []


@pytest.mark.parametrize("make", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "wrong",
    [
        {"uid": "nul \0"},
        {"generation": 1 << 70},
        {"generation": 1 << 63},
        {"created": "0000-99-99"},
        {"labels": {"a": "\0"}},
    ],
)
async def test_what_the_database_cannot_hold_is_said_and_nothing_is_written(store: Store, wrong: Row) -> None:
    await store.fleet.take_over(1, 1)
    with pytest.raises(ValueError, match=r"\w"):
        await store.fleet.write(1, [replaced("object", obj("pods", "p", 1), {**obj("pods", "q", 1), **wrong})])
    assert await store.fleet.resources() == []


async def test_the_tables_are_what_the_writer_thinks(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    for name, spec in TABLES.items():
        found = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attname",
            f"fleet.{name}",
        )
        assert [record[0] for record in found] == sorted((*spec.key, *spec.columns))
    await connection.close()
