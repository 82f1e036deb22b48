"""What a query may try: write, run programs, take locks, become somebody else, wait for ever, fill disk and memory, move a cursor."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kafila.cli.sql import as_csv, as_table
from kafila.store import querying as module
from kafila.store.postgres import PostgresStore
from kafila.store.querying import Limits, Queries, QueryError, Result, querying
from tests.integration.store.test_store_fleet import obj, replaced

MARKS = "\x1b[2J\x1b]0;pwned\x07\r\n\u2028\u202e\x9b1m"
COMMITS = 7236837471901  # any lock of ours will do


@pytest.fixture
async def queries(postgres_dsn: str) -> AsyncIterator[Queries]:
    store = PostgresStore(postgres_dsn)
    await store.open()
    await store.fleet.take_over(1, 1)
    await store.fleet.write(1, [replaced("object", *(obj("pods", f"p{number}", 1) for number in range(50)))])
    await store.close()
    async with querying(postgres_dsn) as found:
        yield found


async def said(queries: Queries, query: str, **limits: Any) -> str:
    with pytest.raises(QueryError) as error:
        await queries.run(query, Limits(**limits))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("DELETE FROM object", "only SELECT"),
        ("UPDATE object SET name = 'x'", "only SELECT"),
        ("INSERT INTO reader VALUES ('public', '*')", "only SELECT"),
        ("DROP SCHEMA fleet CASCADE", "only SELECT"),
        ("COPY object TO PROGRAM 'touch /tmp/pwned'", "only SELECT"),
        ("COPY (SELECT 1) TO '/tmp/pwned'", "only SELECT"),
        ("SET ROLE kafila", "only SELECT"),
        ("DO $$ BEGIN PERFORM 1; END $$", "only SELECT"),
        ("LISTEN x", "only SELECT"),
        ("EXPLAIN ANALYZE DELETE FROM object", "only SELECT"),
        ("SELECT 1 INTO other", "INTO is not allowed"),
        ("WITH x AS (DELETE FROM object RETURNING 1) SELECT * FROM x", "data-modifying"),
        ("WITH x AS (SELECT 1) DELETE FROM object", "syntax error"),
        ("SELECT * FROM object FOR UPDATE", "read-only"),
        ("SELECT 1; DROP SCHEMA fleet", "multiple commands"),
        ("SELECT 1) q; DROP SCHEMA fleet CASCADE; SELECT (1", "syntax error"),
        ("SELECT 1) q CROSS JOIN (SELECT 2", "syntax error"),
        ("SELECT 1 --", ""),
        ("SELECT 1 /*", "unterminated"),
        (f"SELECT pg_advisory_lock({COMMITS})", "pg_advisory_lock()"),
        (f"SELECT 1 FROM object ORDER BY pg_try_advisory_xact_lock({COMMITS})", "pg_try_advisory_xact_lock()"),
        (
            f"SELECT count(*) FILTER (WHERE pg_advisory_xact_lock_shared({COMMITS}) IS NULL)",
            "pg_advisory_xact_lock_shared",
        ),
        (f'SELECT U&"pg_adv\\0069sory_lock"({COMMITS})', "pg_advisory_lock()"),
        ("SELECT set_config('role', 'none', true)", "set_config()"),
        ("SELECT (SELECT set_config('statement_timeout', '0', false))", "set_config()"),
        ("WITH x AS (SELECT set_config('transaction_read_only', 'off', true)) TABLE x", "set_config()"),
        ("SELECT query_to_xml('DROP SCHEMA fleet', true, true, '')", "query_to_xml()"),
        ("SELECT * FROM ts_stat('SELECT 1')", "ts_stat()"),
        ("SELECT pg_sleep(100)", "pg_sleep()"),
        ("SELECT 1 FROM object, LATERAL pg_sleep_for('1 day')", "pg_sleep_for()"),
        ("SELECT pg_read_file('/etc/passwd')", "pg_read_file()"),
        ("SELECT lo_import('/etc/passwd')", "lo_import()"),
        ("SELECT lo_from_bytea(0, 'x')", "lo_from_bytea()"),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "pg_terminate_backend()"),
        ("SELECT pg_notify('kafila', '')", "pg_notify()"),
        ("SELECT nextval('x')", 'relation "x" does not exist'),
        ("SELECT fleet.admit('public', '*')", "admit()"),
        ("SELECT * FROM public.objects", "permission denied"),
        ("SELECT * FROM public.log", "permission denied"),
        ("SELECT * FROM public.search_objects", "permission denied"),
        ("SELECT rolpassword FROM pg_authid", "permission denied"),
        ("SELECT public.commit_batch()", "does not exist"),
    ],
)
async def test_a_query_does_nothing_but_read(queries: Queries, postgres_dsn: str, query: str, why: str) -> None:
    if not why:
        await queries.run(query)
        return
    assert why in await said(queries, query)
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("SELECT count(*) FROM fleet.object") == 50
    assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname IN ('other', 'kafila_query')") == 0
    await connection.close()
    assert (await queries.run("SELECT count(*) FROM object")).rows == [[50]]  # and the next one is answered


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM fleet.object",
        "CREATE TEMPORARY TABLE other (x int)",
        "COPY fleet.object TO PROGRAM 'touch /tmp/pwned'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM public.objects",
        "SET LOCAL transaction_read_only = off",
    ],
)
async def test_the_fences_behind_the_first_hold_too(queries: Queries, query: str) -> None:
    """As if it had not been looked at: the transaction and the role refuse it."""
    connection = queries._connection
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    await connection.execute("SELECT set_config('fleet.namespaces', '', true)")
    await connection.execute(f"SET LOCAL ROLE {queries._role.becomes}")
    await connection.fetchval("SELECT count(*) FROM fleet.object")
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute(query)
    await transaction.rollback()


async def test_a_role_that_logs_in_by_itself_takes_no_lock_of_ours(postgres_dsn: str) -> None:
    """With what docs/sql.md has a superuser run; the control plane's own role writes, compacts and migrates as before."""
    page = (Path(__file__).parents[2] / "docs/sql.md").read_text()
    (commands,) = re.findall(r"^    (REVOKE EXECUTE (?:.*\n)*?    GRANT EXECUTE .* TO kafila;)$", page, re.M)
    outside = await asyncpg.connect(postgres_dsn)
    name = await outside.fetchval("SELECT current_database()")
    ours, theirs = f"ours_{name}", f"team_{name}"
    await outside.execute(f"CREATE ROLE {ours}; CREATE ROLE {theirs}; GRANT ALL ON SCHEMA public TO {ours}")
    try:
        await outside.execute(commands.replace("TO kafila", f"TO {ours}"))
        await outside.execute(f"SET ROLE {theirs}")
        forms = [
            f"pg_{tried}advisory_{scope}lock{shared}"
            for tried in ("", "try_")
            for scope in ("", "xact_")
            for shared in ("", "_shared")
        ]
        for form in forms:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await outside.execute(f"SELECT {form}({COMMITS})")
        await outside.execute(f"SET ROLE {ours}")
        used = {
            found
            for file in (Path(module.__file__).parent).glob("*.py")
            for found in re.findall(r"(pg_(?:try_)?advisory_\w+)\(", file.read_text())
        }
        assert "pg_advisory_xact_lock" in used
        for function in sorted(used):
            await outside.execute(f"SELECT {function}({COMMITS})")
    finally:
        await outside.execute(
            f"RESET ROLE; SELECT pg_advisory_unlock_all(); DROP OWNED BY {ours}, {theirs}; DROP ROLE {ours}, {theirs}"
        )
        await outside.close()


async def test_nothing_runs_for_ever(queries: Queries) -> None:
    endless = "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT 1 - n FROM x) SELECT count(*) FROM x"
    assert "statement timeout" in await said(queries, endless, seconds=0.3)
    assert (await queries.run("SELECT 1")).rows == [[1]]


async def test_a_huge_result_ends(queries: Queries, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 100000) TABLE x"
    result = await queries.run(rows, Limits(rows=7))
    assert (result.rows, result.more) == ([[number] for number in range(1, 8)], True)
    assert not (await queries.run("TABLE object", Limits(rows=50))).more
    assert "16 MiB" in await said(queries, f"SELECT repeat('x', {module.MOST_ROW})")
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    assert "a result" in await said(queries, "SELECT repeat('x', 1000) FROM object, object o")
    assert "at most" in await said(queries, "SELECT '" + "x" * module.MOST_QUERY + "'")


async def test_values_that_no_program_has_a_number_for(queries: Queries) -> None:
    result = await queries.run(
        "SELECT repeat('9', 10000)::numeric, 'NaN'::float8, 'Infinity'::float8, '1e400'::numeric"
    )
    assert result.rows[0][1:3] == ["NaN", "Infinity"]
    assert module.as_json(result)
    deep = "SELECT (repeat('[', 4000) || repeat(']', 4000))::json"
    assert "levels" in await said(queries, deep)


def test_what_strangers_chose_moves_nobodys_cursor() -> None:
    result = Result(["a", MARKS], [["x", MARKS], [None, [MARKS]]], False)
    lines = as_table(result).split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert as_csv(Result(["a"], [["=1+1"], ['q"\n']], False)) == 'a\n=1+1\n"q""\n"\n'
