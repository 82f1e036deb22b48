"""SQL of users over the schema ``fleet``: one query at a time, that reads and can do nothing else.

Three fences, each enough for most: the transaction is read-only; its role is ``kafila_reader``, which has rights to that schema alone;
and what the query calls is looked at before it runs. The last one is needed because PostgreSQL lets everybody call functions that
change more than tables: one takes the lock that every commit of ours takes, another makes the session its owner's again and a third
then runs any SQL in a text. All of these are *volatile*, and of the volatile ones only a few that do no harm are let through.

What a query calls is asked of PostgreSQL itself: a temporary view of it, which is never committed, has its parse tree.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, final

import asyncpg
import orjson

from .fleet import READER

MOST_ROW: Final = 16 << 20  # bytes of one row, as JSON
MOST_BYTES: Final = 256 << 20  # of a result
MOST_QUERY: Final = 1 << 20  # characters
_DIGITS: Final = 19  # of a whole number that has room in 64 bits
_AT_ONCE: Final = 100  # rows
_CONNECT: Final = 10.0  # seconds
_GRACE: Final = 5.0  # seconds that the database may take to end a query after its time
_TEMPORARY_KIB: Final = 1 << 20  # that a query may take on the disk, where we may say so

_READS: Final = frozenset({"select", "with", "values", "table"})
_WORD: Final = re.compile(r"[a-z]+", re.I)
# OIDs of functions in a parse tree: of calls and operators, of aggregates and window functions
_CALLED: Final = re.compile(r":(?:funcid|opfuncid|aggfnoid|winfnoid|elemfuncid) (\d+)")
_HARMLESS: Final = ("random", "clock_timestamp", "timeofday", "gen_random_uuid")
_TREE: Final = """
SELECT ev_action::text FROM pg_rewrite WHERE ev_class = 'pg_temp.kafila_query'::regclass
"""
# Functions of ours are looked at too; those of types that a cast calls do what types do
_VOLATILE: Final = """
SELECT DISTINCT p.proname FROM pg_proc p WHERE p.oid = ANY ($1::oid[]) AND p.provolatile = 'v'
AND NOT (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($2::text[])) ORDER BY 1
"""
# ``reader``: whether the role that may only read is there and harmless; ``adopted``: whether it has its rights, and we may become it
_WHO: Final = f"""
SELECT me.rolsuper AS super, pg_is_in_recovery() AS standby, to_regnamespace('fleet') IS NOT NULL AS migrated,
    (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.objects')) = me.oid AS owner,
    NOT reader.rolsuper AS reader,
    reader.oid IS NOT NULL AND pg_has_role(me.oid, reader.oid, 'MEMBER')
        AND has_schema_privilege(reader.oid, to_regnamespace('fleet'), 'USAGE')
        AND has_table_privilege(reader.oid, to_regclass('fleet.drift'), 'SELECT') AS adopted
FROM pg_roles me LEFT JOIN pg_roles reader ON reader.rolname = '{READER}' WHERE me.rolname = current_user
"""
_SEES: Final = f"SELECT EXISTS (SELECT FROM fleet.reader WHERE role = '{READER}' AND namespace = '*')"


class QueryError(Exception):
    """What is wrong with a query, or keeps it from being run: one line."""


class Result(NamedTuple):
    """``rows``: values as JSON has them, in the order of ``columns``; ``more``: there were more than asked for."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool


class Limits(NamedTuple):
    rows: int = 10_000
    seconds: float = 30.0


class Freshness(NamedTuple):
    """``revision``: everything up to it is in the views; ``age``: seconds since that was said. 0: never."""

    revision: int
    age: float


@asynccontextmanager
async def querying(dsn: str, namespaces: Sequence[str] = ()) -> AsyncIterator[Queries]:
    """``namespaces``: only what readers of these see; empty: what the role may see. Raises QueryError."""
    connection = await _connected(dsn)
    try:
        yield Queries(connection, await _check_role(connection), ",".join(namespaces))
    finally:
        connection.terminate()


async def _connected(dsn: str) -> asyncpg.Connection:
    settings = {"application_name": "kafila sql"}
    try:
        return await asyncpg.connect(dsn, timeout=_CONNECT, server_settings=settings, statement_cache_size=0)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise QueryError(f"the database: {_line(error)}") from error


class _Role(NamedTuple):
    super: bool
    standby: bool
    becomes: str  # the role that queries run as, where that is another


async def _check_role(connection: asyncpg.Connection) -> _Role:
    """Whoever may write, or owns the tables, becomes the reader. Raises QueryError."""
    found = await connection.fetchrow(_WHO)
    if not found["migrated"]:
        raise QueryError("the database has no views yet: start this version's kafila serve, or run kafila migrate")
    if not found["super"] and not found["owner"]:
        return _Role(False, found["standby"], "")
    if found["reader"] is False:
        raise QueryError(f"the role {READER} is a superuser: it must be one that may only read")
    if found["standby"]:
        if found["super"]:
            raise QueryError(f"this is a standby, and its role a superuser: give a role that is a member of {READER}")
    elif not found["adopted"] or not await connection.fetchval(_SEES):
        await _adopt(connection)  # both the role and its rights may have been lost with a restore
    return _Role(found["super"], found["standby"], READER)


async def _adopt(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute("SELECT fleet.adopt()")
    except asyncpg.PostgresError as error:
        raise QueryError(
            f"there is no role {READER}, and this one may not make it ({_line(error)}): let an administrator of the"
            f" database run CREATE ROLE {READER}; GRANT {READER} TO the role of kafila serve"
        ) from error


@final
class Queries:
    def __init__(self, connection: asyncpg.Connection, role: _Role, namespaces: str) -> None:
        self._connection = connection
        self._role = role
        self._namespaces = namespaces

    async def freshness(self) -> Freshness:
        """Raises QueryError."""
        query = "SELECT revision, extract(epoch FROM clock_timestamp() - at)::float8 AS age FROM fleet.state"
        try:
            found = await self._connection.fetchrow(query)
        except asyncpg.PostgresError as error:
            raise QueryError(_line(error)) from error
        return Freshness(found["revision"], found["age"]) if found is not None else Freshness(0, 0.0)

    async def run(self, query: str, limits: Limits = Limits()) -> Result:  # noqa: B008 - immutable
        """Raises QueryError."""
        query = query.strip().rstrip(";").rstrip()
        if len(query) > MOST_QUERY or "\0" in query:
            raise QueryError(f"a query is at most {MOST_QUERY} characters, and has no NUL")
        if first_word(query) not in _READS:
            raise QueryError("only SELECT, WITH, VALUES and TABLE: these views are read, and nothing is written here")
        try:
            async with asyncio.timeout(limits.seconds + _GRACE):
                await self._check(query, limits)
                return await self._rows(query, limits)
        except TimeoutError:
            raise QueryError(f"it took longer than {limits.seconds:g} s") from None
        except asyncpg.QueryCanceledError as error:
            raise QueryError(f"{_line(error)} ({limits.seconds:g} s)") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise QueryError(_line(error)) from error

    async def _check(self, query: str, limits: Limits) -> None:
        """What it calls. Nothing of it runs."""
        if self._role.standby:
            return  # nothing can be made there, not even this view; nor can anything be changed
        connection = self._connection
        transaction = connection.transaction()
        await transaction.start()
        try:
            await self._bound(limits)
            await connection.prepare(query)  # its mistakes, in PostgreSQL's words
            await connection.execute(f"CREATE TEMPORARY VIEW kafila_query AS SELECT 1 AS one FROM (\n{query}\n) q")
            tree = await connection.fetchval(_TREE)
            called = sorted({int(number) for number in _CALLED.findall(tree)})
            if refused := await connection.fetch(_VOLATILE, called, _HARMLESS):
                names = ", ".join(f"{record['proname']}()" for record in refused)
                raise QueryError(f"it calls {names}: functions that may do more than read are not run here")
        finally:
            await transaction.rollback()

    async def _rows(self, query: str, limits: Limits) -> Result:
        connection = self._connection
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
        await transaction.start()
        try:
            await self._bound(limits)
            await connection.execute("SELECT set_config('fleet.namespaces', $1, true)", self._namespaces)
            if self._role.becomes:
                await connection.execute(f"SET LOCAL ROLE {self._role.becomes}")
            described = await connection.prepare(query)
            columns = [attribute.name for attribute in described.get_attributes()]
            cursor = await connection.cursor(
                f"SELECT octet_length(r), CASE WHEN octet_length(r) <= {MOST_ROW} THEN r END"
                f" FROM (SELECT row_to_json(q)::text AS r FROM (\n{query}\n) q OFFSET 0) rows"
            )
            rows: list[list[Any]] = []
            size = 0
            while len(rows) <= limits.rows and (page := await cursor.fetch(min(_AT_ONCE, limits.rows + 1 - len(rows)))):
                for length, document in page:
                    size += length
                    if document is None or size > MOST_BYTES:
                        raise QueryError(
                            f"a row may have {MOST_ROW >> 20} MiB, and a result {MOST_BYTES >> 20} MiB: ask for less"
                        )
                    rows.append(_values(document))
            return Result(columns, rows[: limits.rows], len(rows) > limits.rows)
        finally:
            await transaction.rollback()

    async def _bound(self, limits: Limits) -> None:
        milliseconds = max(round(limits.seconds * 1000), 1)
        await self._connection.execute(
            f"SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = '2s'; SET LOCAL jit = off;"
            " SET LOCAL search_path = fleet, pg_catalog;"
            f" SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
        )
        if self._role.super:
            await self._connection.execute(f"SET LOCAL temp_file_limit = {_TEMPORARY_KIB}")


def first_word(query: str) -> str:
    """In small letters, behind comments and parentheses; "" where there is none."""
    while True:
        query = query.lstrip(" \t\r\n\f(")
        if query.startswith("--"):
            query = query.partition("\n")[2]
        elif query.startswith("/*"):
            query = query[2:].partition("*/")[2]
        else:
            found = _WORD.match(query)
            return found[0].lower() if found else ""


def _values(document: str) -> list[Any]:
    """Of a row, in their order: two columns may have one name. Raises QueryError."""
    try:
        return [_plain(value) for _, value in json.loads(document, object_pairs_hook=_Pairs, parse_int=_whole)]
    except RecursionError:
        raise QueryError("a value has too many levels") from None


def _whole(digits: str) -> int | str:
    """Those that programs have no number for stay as they are written."""
    return int(digits) if len(digits) < _DIGITS else digits


class _Pairs(list[tuple[str, Any]]):
    pass


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(each) for key, each in value}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def as_json(result: Result) -> bytes:
    """A list of objects; of two columns with one name the last counts, as everywhere."""
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2)


def _line(error: BaseException) -> str:
    """PostgreSQL's message, and its hint, in one line."""
    hint = getattr(error, "hint", None)
    return " ".join(f"{error}{f' ({hint})' if hint else ''}".split()) or type(error).__name__
