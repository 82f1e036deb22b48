"""Everything that is stored sealed anew, under the key that is written with now, beside processes that serve.

No revision changes and nobody is notified: what a body says is the same. Each body is put where it was if its row is still at the
revision it was read at, a few at a time under the lock of commits: a commit waits for some milliseconds, and copies no
old body into the log behind our back. Nothing is remembered: what is done already is seen in the bodies, so that a run that was
killed goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Protocol, final

import asyncpg

from kafila.core.resources import Key

from . import dictionaries
from .connect import Timeouts, connect
from .interface import EVENTS, Sealer
from .packing import Packing, unpack
from .sealing import MARK, CannotOpen, packed
from .search import key_of as search_key
from .timeline import COMMIT_LOCK

_REWRITING_LOCK: Final = 7236837471905
_PAGE: Final = 500  # rows that are looked at together, without their bodies
_ROWS: Final = 100  # that are read, and put back, together
_BYTES: Final = 1 << 20  # of bodies, and one more
_ROUNDS: Final = 3  # others go on writing: what they put under another key meanwhile is found in the next one
MOST_SHOWN: Final = 10
SEARCH: Final = "search_objects"
_LOCK_MEMBERS: Final = """
SELECT 1 FROM search_resources WHERE (resource, cluster) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY resource, cluster FOR UPDATE
"""
_COUNT_MEMBERS: Final = "UPDATE search_resources SET bytes = bytes + $3 WHERE resource = $1 AND cluster = $2"


class AlreadyRunning(Exception):
    """Another process rewrites."""


class Resealer(Sealer, Protocol):
    def is_current(self, key: Key, stored: bytes, clear: bytes) -> bool:
        """Whether it lies as it would be written now. ``clear``: its JSON."""
        ...

    def key_of(self, stored: bytes) -> str:
        """What it is sealed under, for people."""
        ...


class Unopened(NamedTuple):
    where: str  # "secrets default/token in objects"
    reason: str


@final
class Report:
    def __init__(self) -> None:
        self.seen = 0  # bodies that were looked at
        self.rewritten = 0
        self.stale = 0  # of the last round: not under the key that is written with
        self.keys: Counter[tuple[str, str]] = Counter()  # of the last round, by table and key
        self.unreadable = 0
        self.unopened: list[Unopened] = []  # the first of them

    def begin(self) -> None:
        """A round."""
        self.seen = self.stale = self.unreadable = 0
        self.keys.clear()
        self.unopened.clear()


class _Table(NamedTuple):
    """Where bodies lie. ``position``: columns that its rows are walked in the order of; ``row``: what tells a row in the state that
    was read (columns with their types); ``resource``: column or text; ``body``: the column."""

    name: str
    position: tuple[str, ...]
    row: tuple[tuple[str, str], ...]
    resource: str
    body: str = "body"

    def key(self, record: Any) -> Key:
        """What a body is bound to."""
        if self.name == SEARCH:
            return search_key(record["resource"], record["cluster"], record["namespace"], record["name"])
        return Key(record["resource"], record["namespace"], record["name"])


_PLACE: Final = (("namespace", "text"), ("name", "text"))
_ROW: Final = (("revision", "bigint"), ("resource", "text"), *_PLACE)  # a revision is written once
_MEMBERS: Final = (("resource", "text"), ("cluster", "text"), *_PLACE)
_TABLES: Final = (
    _Table("objects", ("resource", "namespace", "name"), _ROW, "resource"),
    _Table("log", ("revision",), _ROW, "resource"),
    _Table("log", ("revision",), _ROW, "resource", "previous_body"),
    _Table("events", ("revision",), (("revision", "bigint"), *_PLACE), f"'{EVENTS}'"),
    _Table(
        SEARCH,
        tuple(column for column, _ in _MEMBERS),
        (*_MEMBERS, ("version", "bigint"), ("object_version", "text")),
        "resource",
    ),
)


class _Found(NamedTuple):
    key: Key
    row: tuple[Any, ...]  # values of the table's ``row``
    size: int


@asynccontextmanager
async def rewriting(dsn: str, sealer: Resealer, rate: float) -> AsyncIterator[Rewriting]:
    """``rate``: bodies a second at most. Raises AlreadyRunning, and what asyncpg raises."""
    connection = await connect(dsn, Timeouts(pause=60.0))
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _REWRITING_LOCK):
            raise AlreadyRunning
        yield Rewriting(connection, sealer, rate)
    finally:
        connection.terminate()  # and the lock is free


@final
class Rewriting:
    def __init__(self, connection: asyncpg.Connection, sealer: Resealer, rate: float) -> None:
        self._connection = connection
        self._sealer = sealer
        self._packing = Packing()
        self._rate = rate
        self.report = Report()

    async def run(self, only_look: bool, progress: Callable[[Report], None] = lambda report: None) -> Report:
        """Until a round finds nothing to do, or some have not helped: then ``stale`` says how many are left."""
        for _ in range(1 if only_look else _ROUNDS):
            self.report.begin()
            for table in _TABLES:
                await self._go_through(table, only_look, progress)
            if not self.report.stale:
                break
        return self.report

    async def _go_through(self, table: _Table, only_look: bool, progress: Callable[[Report], None]) -> None:
        async for page in self._pages(table):
            for group in _groups(page):
                await self._group(table, group, only_look)
                progress(self.report)

    async def _pages(self, table: _Table) -> AsyncIterator[list[_Found]]:
        """Rows that concern us, without their bodies: what is large is not read for nothing."""
        position = ", ".join(table.position)
        places = ", ".join(f"${number}" for number in range(1, len(table.position) + 1))
        own = ", ".join(column for column, _ in table.row if column != "resource")
        query = (
            f"SELECT {table.resource} AS resource, {own}, octet_length({table.body}) AS size,"
            f" substring({table.body} FOR {len(MARK)}) AS head"
            f" FROM {table.name} WHERE ({position}) > ({places}) ORDER BY {position} LIMIT {_PAGE}"
        )
        after: tuple[Any, ...] = (0,) if table.position == ("revision",) else ("",) * len(table.position)
        while records := await self._connection.fetch(query, *after):
            yield [
                _Found(key, tuple(record[column] for column, _ in table.row), record["size"])
                for record in records
                if record["size"] and (key := table.key(record)).resource
                if record["head"] == MARK or self._sealer.concerns(key.resource)
            ]
            after = tuple(records[-1][column] for column in table.position)

    async def _group(self, table: _Table, group: Sequence[_Found], only_look: bool) -> None:
        stored = await self._bodies(table, group)
        if any(map(self._packing.lacks, stored.values())):
            await dictionaries.load(self._connection, self._packing)
        await self._sealer.prepare(list(stored.values()))
        fresh: dict[_Found, bytes] = {}
        for found, body in stored.items():
            self._look(table, found, body, fresh)
        self.report.seen += len(stored)
        if fresh and not only_look:
            self.report.rewritten += await self._put(table, fresh)
        if not only_look:
            await asyncio.sleep(len(fresh) / self._rate)

    def _look(self, table: _Table, found: _Found, stored: bytes, fresh: dict[_Found, bytes]) -> None:
        sealer, report = self._sealer, self.report
        report.keys[table.name, sealer.key_of(stored)] += 1
        try:
            body = sealer.open(found.key, self._packing.unpack(stored))
        except CannotOpen as error:
            report.unreadable += 1
            if len(report.unopened) < MOST_SHOWN:
                key = found.key
                path = f"{key.namespace}/{key.name}" if key.namespace else key.name
                report.unopened.append(Unopened(f"{key.resource} {path} in {table.name}", str(error)))
            return
        clear = unpack(body) if found.key.resource == EVENTS else body
        if not sealer.is_current(found.key, stored, clear):
            report.stale += 1
            event = found.key.resource == EVENTS
            before = packed(found.key, clear)
            after = sealer.seal(found.key, before, clear)
            fresh[found] = self._packing.pack(clear, event) if after is before else after

    async def _bodies(self, table: _Table, group: Sequence[_Found]) -> dict[_Found, bytes]:
        """Of the rows that are still what they were."""
        arrays, columns = _given(table)
        query = (
            f"SELECT g.number, t.{table.body} AS body FROM unnest({arrays}) WITH ORDINALITY AS g({columns}, number)"
            f" JOIN {table.name} t ON {_same(table)} WHERE t.{table.body} IS NOT NULL"
        )
        records = await self._connection.fetch(query, *_columns(group))
        return {group[record["number"] - 1]: record["body"] for record in records}

    async def _put(self, table: _Table, fresh: dict[_Found, bytes]) -> int:
        arrays, columns = _given(table)
        rows = f"unnest({arrays}, ${len(table.row) + 1}::bytea[]) AS g({columns}, body)"
        given = *_columns(list(fresh)), list(fresh.values())
        if table.name == SEARCH:
            return await self._put_members(table, rows, given)
        query = f"UPDATE {table.name} t SET {table.body} = g.body FROM {rows} WHERE {_same(table)}"
        async with self._connection.transaction():
            await self._connection.execute("SELECT pg_advisory_xact_lock($1)", COMMIT_LOCK)
            done = await self._connection.execute(query, *given)
        return int(done.rpartition(" ")[2])

    async def _put_members(self, table: _Table, rows: str, given: Sequence[Any]) -> int:
        """Who writes them has locked their cached resource, which also knows how many bytes it has."""
        query = (
            f"UPDATE {SEARCH} t SET body = g.body FROM {rows} JOIN {SEARCH} o USING (resource, cluster, namespace, name)"
            f" WHERE {_same(table)} RETURNING t.resource, t.cluster,"
            " CASE WHEN t.deleted THEN 0 ELSE octet_length(g.body) - octet_length(o.body) END AS more"
        )
        async with self._connection.transaction():
            await self._connection.execute(_LOCK_MEMBERS, *given[:2])
            done = await self._connection.fetch(query, *given)
            more: Counter[tuple[str, str]] = Counter()
            for resource, cluster, size in done:
                more[resource, cluster] += size
            await self._connection.executemany(_COUNT_MEMBERS, [(*each, size) for each, size in more.items() if size])
        return len(done)


def _given(table: _Table) -> tuple[str, str]:
    """The arrays that tell rows, as parameters, and the names of their columns."""
    arrays = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(table.row, 1))
    return arrays, ", ".join(column for column, _ in table.row)


def _same(table: _Table) -> str:
    """That a row ``t`` is what was read as ``g``."""
    return " AND ".join(f"t.{column} = g.{column}" for column, _ in table.row)


def _columns(group: Sequence[_Found]) -> list[list[Any]]:
    return [list(column) for column in zip(*(found.row for found in group), strict=True)]


def _groups(page: Sequence[_Found]) -> Iterator[list[_Found]]:
    group: list[_Found] = []
    size = 0
    for found in page:
        group.append(found)
        size += found.size
        if len(group) == _ROWS or size > _BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
