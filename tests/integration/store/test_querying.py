"""`kafila sql`: who sees what, what the views say, and that a query can do nothing but read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kafila.placement.disagreements import of_works
from kafila.reconcile.karmada.sql_views.rows import of_binding, of_cluster, of_work
from kafila.store.backup import back_up, restore
from kafila.store.fleet import Replacement
from kafila.store.migrate import upgrade
from kafila.store.postgres import PostgresStore
from kafila.store.querying import Limits, QueryError, first_word, querying

from .test_store_fleet import obj, placed, replaced, row


async def fill(dsn: str, *replacements: Replacement) -> None:
    store = PostgresStore(dsn)
    await store.open()
    await store.fleet.take_over(1, 1)
    await store.fleet.write(1, replacements, revision=7)
    await store.close()


@pytest.fixture
async def filled(postgres_dsn: str) -> str:
    clusters = [row("cluster", name, ready="True") for name in ("m1", "m2", "m3")]
    bindings = [row("binding", "default", "web", scheduled=True, deleting=False)]
    bindings.append(
        row("binding", "team-a", "api", scheduled=False, reason="NoClusterFit", deleting=False, kind="Deployment")
    )
    works = [
        row("work", "m1", "web-1", 0, namespace="default", applied=True, deleting=False),
        row("work", "m3", "api-1", 0, namespace="team-a", applied=False, deleting=False, reason="AppliedFailed"),
    ]
    placements = [placed("web", "m1"), placed("web", "m2"), {**placed("api", "m3"), "namespace": "team-a"}]
    objects = [
        obj("pods", "p", 1),
        {**obj("pods", "q", 1), "namespace": "team-a"},
        {**obj("nodes", "n", 1), "namespace": ""},
    ]
    events = [row("event", "team-a", "e", reason="Failed"), row("event", "karmada-es-m1", "f")]
    await fill(
        postgres_dsn,
        replaced("cluster", *clusters),
        replaced("binding", *bindings),
        replaced("work", *works),
        replaced("placement", *placements),
        replaced("object", *objects),
        replaced("event", *events),
    )
    return postgres_dsn


async def ask(dsn: str, query: str, *namespaces: str, **limits: Any) -> list[list[Any]]:
    async with querying(dsn, namespaces) as queries:
        return (await queries.run(query, Limits(**limits))).rows


def as_role(dsn: str, role: str) -> str:
    return f"{dsn}&options=-c%20role%3D{role}"


EVERYTHING = {"cluster": 3, "binding": 2, "work": 2, "placement": 3, "object": 3, "event": 2, "pending": 2, "drift": 3}
OF_TEAM_A = {"cluster": 1, "binding": 1, "work": 1, "placement": 1, "object": 1, "event": 1, "pending": 2, "drift": 1}


async def counts(dsn: str, *namespaces: str) -> dict[str, int]:
    async with querying(dsn, namespaces) as queries:
        found = {}
        for name in EVERYTHING:
            ((count,),) = (await queries.run(f"SELECT count(*) FROM {name}")).rows
            found[name] = count
        return found


async def test_who_asks_for_a_namespace_sees_what_its_readers_see(filled: str) -> None:
    assert await counts(filled) == EVERYTHING
    assert await counts(filled, "team-a") == OF_TEAM_A
    assert await ask(filled, "SELECT name FROM cluster", "team-a") == [["m3"]]
    assert await ask(filled, "SELECT DISTINCT namespace FROM drift", "default") == [["default"]]
    assert await ask(filled, "SELECT count(*) FROM object", "none") == [[0]]
    assert await ask(filled, "SELECT count(*) FROM object", "default", "team-a") == [[2]]


@pytest.fixture
async def roles(filled: str) -> AsyncIterator[asyncpg.Connection]:
    """team_a may read one namespace, nobody_yet nothing, everybody all."""
    connection = await asyncpg.connect(filled)
    await connection.execute("CREATE ROLE team_a; CREATE ROLE nobody_yet; CREATE ROLE everybody IN ROLE kafila_reader")
    await connection.execute("SELECT fleet.admit('team_a', 'team-a'), fleet.admit('nobody_yet', VARIADIC '{}')")
    yield connection
    await connection.execute("RESET ROLE")
    await connection.execute("DROP OWNED BY team_a, nobody_yet, everybody; DROP ROLE team_a, nobody_yet, everybody")
    await connection.close()


async def test_a_role_sees_its_namespaces(filled: str, roles: asyncpg.Connection) -> None:
    assert await counts(as_role(filled, "team_a")) == OF_TEAM_A
    assert not any((await counts(as_role(filled, "nobody_yet"))).values())
    assert (await counts(as_role(filled, "everybody")))["object"] == 3
    # what is asked for makes it less, never more
    assert not any((await counts(as_role(filled, "team_a"), "default")).values())
    await roles.execute("SELECT fleet.admit('team_a', 'default')")
    assert (await counts(as_role(filled, "team_a")))["object"] == 2
    await roles.execute("DELETE FROM fleet.reader WHERE role = 'team_a'")
    assert not any((await counts(as_role(filled, "team_a"))).values())


async def test_a_role_sees_no_more_by_its_own_settings(filled: str, roles: asyncpg.Connection) -> None:
    """Past `kafila sql`, with any client."""
    await roles.execute("SET ROLE team_a")
    for setting in ("*", "default", "default,team-a"):
        await roles.execute(f"SET fleet.namespaces = '{setting}'")
        assert await roles.fetchval("SELECT count(*) FROM fleet.object WHERE namespace <> 'team-a'") == 0
    assert [record[0] for record in await roles.fetch("SELECT DISTINCT role FROM fleet.reader")] == ["team_a"]
    for refused in (
        "INSERT INTO fleet.reader VALUES ('team_a', '*')",
        "UPDATE fleet.object SET namespace = 'team-a'",
        "SELECT fleet.admit('team_a', '*')",
        "SELECT fleet.adopt()",
        "SELECT * FROM public.objects",
        "SELECT * FROM public.search_objects",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await roles.execute(refused)


async def test_many_ask_at_once(filled: str) -> None:
    found = await asyncio.gather(*(ask(filled, "SELECT count(*) FROM object") for _ in range(8)))
    assert found == [[[3]]] * 8


@pytest.fixture
async def owner(postgres_server: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """A database whose owner is no superuser, as at most providers; and a connection of the administrator."""
    administrator = await asyncpg.connect(postgres_server.replace("/kafila?", "/postgres?"))
    await administrator.execute("CREATE ROLE app")
    await administrator.execute("CREATE DATABASE owned OWNER app TEMPLATE template0")
    dsn = as_role(postgres_server.replace("/kafila?", "/owned?"), "app")
    yield dsn, administrator
    await administrator.execute("DROP DATABASE owned WITH (FORCE)")
    await administrator.execute("DROP ROLE app")
    await administrator.close()


async def test_an_owner_that_may_make_no_roles_says_what_to_do(owner: tuple[str, asyncpg.Connection]) -> None:
    dsn, administrator = owner
    await administrator.execute("ALTER ROLE kafila_reader RENAME TO elsewhere")  # that of the other databases here
    try:
        await upgrade(dsn)
        await fill(dsn, replaced("object", obj("pods", "p", 1)))
        with pytest.raises(QueryError, match="CREATE ROLE kafila_reader; GRANT kafila_reader TO") as error:
            await ask(dsn, "TABLE object")
        assert "permission denied to create role" in str(error.value)
        await administrator.execute("CREATE ROLE kafila_reader; GRANT kafila_reader TO app")
        assert await ask(dsn, "SELECT count(*) FROM object") == [[1]]
        with pytest.raises(QueryError, match="permission denied"):
            await ask(dsn, "TABLE public.objects")
        await administrator.execute("ALTER ROLE kafila_reader SUPERUSER")
        with pytest.raises(QueryError, match="is a superuser"):
            await ask(dsn, "TABLE object")
    finally:
        await administrator.execute("DROP DATABASE owned WITH (FORCE)")
        await administrator.execute("DROP ROLE IF EXISTS kafila_reader")
        await administrator.execute("ALTER ROLE elsewhere RENAME TO kafila_reader")
        await administrator.execute("CREATE DATABASE owned OWNER app TEMPLATE template0")


async def test_an_owner_that_may_make_roles_makes_it(owner: tuple[str, asyncpg.Connection]) -> None:
    dsn, administrator = owner
    await administrator.execute("ALTER ROLE kafila_reader RENAME TO elsewhere; ALTER ROLE app CREATEROLE")
    try:
        await upgrade(dsn)
        await fill(dsn, replaced("object", obj("pods", "p", 1)))
        assert await ask(dsn, "SELECT count(*) FROM object") == [[1]]
    finally:
        await administrator.execute("DROP DATABASE owned WITH (FORCE)")
        await administrator.execute("DROP ROLE IF EXISTS kafila_reader")
        await administrator.execute("ALTER ROLE elsewhere RENAME TO kafila_reader")
        await administrator.execute("CREATE DATABASE owned OWNER app TEMPLATE template0")


async def test_a_backup_has_the_rights_and_no_rows(filled: str, roles: asyncpg.Connection, tmp_path: Path) -> None:
    await back_up(filled, tmp_path / "backup")
    other = filled.partition("?")
    await roles.execute("CREATE DATABASE again TEMPLATE template0")
    dsn = f"{other[0].rpartition('/')[0]}/again?{other[2]}"
    try:
        await restore(dsn, tmp_path / "backup")
        assert await ask(dsn, "SELECT count(*) FROM object") == [[0]]
        async with querying(dsn) as queries:
            assert (await queries.freshness()).revision == 0
        await fill(dsn, replaced("object", obj("pods", "p", 1), {**obj("pods", "q", 1), "namespace": "team-a"}))
        assert await ask(dsn, "SELECT count(*) FROM object") == [[2]]
        assert await ask(as_role(dsn, "team_a"), "SELECT namespace FROM object") == [["team-a"]]
    finally:
        await roles.execute("DROP DATABASE again WITH (FORCE)")


async def test_values_are_what_they_are(filled: str) -> None:
    async with querying(filled) as queries:
        result = await queries.run(
            "SELECT 1 AS a, 2 AS a, NULL, 1.50, true, ARRAY['x'], labels, timestamptz '2026-01-02 03:04:05Z', 'é'"
            " FROM object WHERE name = 'p'; "
        )
        assert result.columns[:3] == ["a", "a", "?column?"]
        assert result.rows == [[1, 2, None, 1.5, True, ["x"], {"app": "it's"}, "2026-01-02T03:04:05+00:00", "é"]]
        assert (await queries.run("TABLE cluster LIMIT 0")).columns[0] == "name"
        assert (await queries.run("VALUES (repeat('9', 5000)::numeric)")).rows == [["9" * 5000]]
        assert (await queries.run("/* a */ -- b\n (SELECT 1) UNION SELECT 1 -- end")).rows == [[1]]
        assert (await queries.run("WITH x AS (SELECT 3) TABLE x")).rows == [[3]]
        assert (await queries.freshness()).revision == 7


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT nothing FROM cluster", 'column "nothing" does not exist'),
        ("SELECT * FROM clusters", 'relation "clusters" does not exist'),
        ("SELECT FROM WHERE", 'syntax error at or near "WHERE"'),
        ("SELECT 1; SELECT 2", "cannot insert multiple commands into a prepared statement"),
        ("SELECT 1/0", "division by zero"),
        ("", "only SELECT, WITH, VALUES and TABLE"),
        ("SELECT '\0'", "has no NUL"),
    ],
)
async def test_a_wrong_query_is_told_in_one_line(filled: str, query: str, said: str) -> None:
    with pytest.raises(QueryError) as error:
        await ask(filled, query)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_first_words() -> None:
    assert [first_word(each) for each in ("", "  ((Select", "/* x */--y\nWITH", "/*", "--", "1", "delete")] == [
        "", "select", "with", "", "", "", "delete"
    ]  # fmt: skip
    assert first_word("/**/" * 100_000) == ""


# -- drift is what kafila check finds between bindings, Works and Clusters --------------------------------------------------


def rollout(rng: random.Random, names: list[str]) -> Any:
    phases = ("Pending", "Progressing", "Succeeded", "Skipped")
    rows = [
        {"name": name, "phase": rng.choice(phases), **({"revision": "a"} if rng.random() < 0.5 else {})}
        for name in names
        if rng.random() < 0.8
    ]
    stable = {"stableRevision": "z"} if rng.random() < 0.3 else {}
    return {"revision": "a", "phase": rng.choice(("Progressing", "Failed", "Succeeded")), "clusters": rows, **stable}


def world(rng: random.Random) -> tuple[list[Any], list[Any], list[Any]]:
    names = ["m1", "m2", "m3"]
    clusters = [{"metadata": {"name": name}} for name in names if rng.random() < 0.8]
    bindings, works = [], []
    for number in range(rng.randrange(5)):
        template = {"apiVersion": rng.choice(("v1", "a/v1")), "kind": "K", "namespace": "n", "name": f"t{number}"}
        spec = {
            "resource": template,
            "clusters": [{"name": name} for name in names if rng.random() < 0.5],
            "requiredBy": [{"namespace": "n", "name": "o", "clusters": [{"name": rng.choice(names)}]}] if rng.random() < 0.3 else None,
            "gracefulEvictionTasks": [{"fromCluster": rng.choice(names)}] if rng.random() < 0.3 else None,
        }  # fmt: skip
        labels = {"resourcebinding.karmada.io/permanent-id": f"id{number}"} if rng.random() < 0.9 else {}
        meta = {"namespace": "n", "name": f"b{number}", "labels": labels}
        if rng.random() < 0.1:
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        if rng.random() < 0.9:
            status = {"rollout": rollout(rng, names)} if rng.random() < 0.5 else {}
            bindings.append({"kind": "ResourceBinding", "metadata": meta, "spec": spec, "status": status})
        for name in names:
            if rng.random() < 0.6:
                manifest = {
                    "apiVersion": template["apiVersion"],
                    "kind": "K",
                    "metadata": {"namespace": "n", "name": f"t{number}"},
                }
                of_work: Any = {"namespace": f"karmada-es-{name}", "name": f"w{number}", "labels": labels}
                if rng.random() < 0.1:
                    of_work["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                manifests = [manifest] if rng.random() < 0.9 else [manifest, {**manifest, "kind": "L"}]
                works.append({"metadata": of_work, "spec": {"workload": {"manifests": manifests}}})
    return bindings, works, clusters


def work_rows(work: Any) -> list[Any]:
    meta = work["metadata"]
    return of_work(meta["namespace"].removeprefix("karmada-es-"), meta["name"], work, False)


def rows_of(bindings: Iterable[Any], works: Iterable[Any], clusters: Iterable[Any]) -> list[Replacement]:
    of_bindings = [of_binding("n", each["metadata"]["name"], each, False) for each in bindings]
    return [
        replaced("cluster", *(of_cluster(each["metadata"]["name"], each, False) for each in clusters)),
        replaced("binding", *(each for each, _ in of_bindings)),
        replaced("placement", *(each for _, placements in of_bindings for each in placements)),
        replaced("work", *(each for work in works for each in work_rows(work))),
    ]


async def test_drift_is_what_kafila_check_finds(postgres_dsn: str) -> None:
    store = PostgresStore(postgres_dsn)
    await store.open()
    async with querying(postgres_dsn) as queries:
        for seed in range(40):
            await store.fleet.take_over(1, seed)
            bindings, works, clusters = world(random.Random(seed))
            await store.fleet.write(1, rows_of(bindings, works, clusters))
            found = (await queries.run("SELECT reason, cluster, binding, work, message FROM drift")).rows
            expected = []
            for each in of_works(bindings, works, clusters):
                if each.kind == "Work":
                    cluster, work = each.namespace.removeprefix("karmada-es-"), each.name
                    expected.append((each.reason, cluster, work, each.message))
                else:
                    expected.append((each.reason, each.message.rpartition(" ")[2], each.name, each.message))
            assert sorted((r, c, w or b, m) for r, c, b, w, m in found) == sorted(expected), seed
    await store.close()
    await asyncio.sleep(0)
