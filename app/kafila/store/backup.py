"""A backup of the database in one file, and a database made from it, by PostgreSQL's own pg_dump and pg_restore.

The file is one snapshot, taken while the database is used. What is restored is older than what clients and members saw since:
its revisions are raised above all of theirs, so that every watch begins anew (as etcd's ``snapshot restore --bump-revision``
does). The table with the schema's revision is made first, and filled last, together with that: a database that is not whole has none,
and nothing serves it, also one that is empty again because the file ended too early.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from kafila.core.files import open_private

from . import fleet, programs
from .timeline import NEWEST, raise_restored

_SCHEMA: Final = "alembic_version"  # the table with the schema's revision
_LONGEST: Final = 8192  # bytes of what a program says that are read
_COUNT: Final = "SELECT count(*) FROM objects"
# what follows from other tables is projected again: only rights are kept of the schema
_LEFT_OUT: Final = [f"--exclude-table-data=fleet.{name}" for name in (*fleet.TABLES, "followed", "state")]
_UNFINISHED: Final = (
    f"CREATE TABLE IF NOT EXISTS {_SCHEMA} (version_num varchar(32) NOT NULL CONSTRAINT {_SCHEMA}_pkc PRIMARY KEY)"
)
_USED: Final = f"""
SELECT count(*) FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relname NOT IN ('{_SCHEMA}', '{_SCHEMA}_pkc')
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


class BackupError(Exception):
    """What went wrong, in one line; the file or the database is not there, or not usable."""


class Summary(NamedTuple):
    """``revision``: of the newest write; after a restore that of the marker above it."""

    schema: str
    objects: int
    revision: int


async def back_up(dsn: str, to: Path) -> Summary:
    """Writes ``to``, which only its owner may read, when all of it is there. Raises BackupError, OSError."""
    connection = await _connected(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            try:
                schema = await connection.fetchval(f"SELECT version_num FROM {_SCHEMA}")
                newest = await connection.fetchrow(NEWEST)
                found = Summary(schema, await connection.fetchval(_COUNT), int(newest["revision"]))
            except asyncpg.UndefinedTableError:
                raise BackupError("the database is not kafila's, or empty") from None
            part = to.with_name(f".{to.name}.{os.getpid()}")
            try:
                to.parent.stat()
                part.unlink(missing_ok=True)
                os.close(open_private(part))
                await _run(
                    dsn, "pg_dump", "-w", "-Fc", "-O", "-x", *_LEFT_OUT, f"--snapshot={snapshot}", "-f", str(part)
                )
                with part.open("rb") as file:
                    os.fsync(file.fileno())
                part.replace(to)
            finally:
                part.unlink(missing_ok=True)
    finally:
        connection.terminate()
    return found


async def schema_of(backup: Path) -> str:
    """The schema's revision. Raises BackupError for what is no backup of kafila."""
    text = await _read(backup, "", "--data-only", f"--table={_SCHEMA}", "-f", "-")
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith("COPY ")), None)
    if start is None or start + 1 >= len(lines):
        raise BackupError(f"{backup}: it is a backup of something else")
    return lines[start + 1].strip()


async def restore(dsn: str, backup: Path) -> Summary:
    """Fills an empty database. Raises BackupError."""
    schema = await schema_of(backup)
    connection = await _connected(dsn)
    try:
        if await connection.fetchval(_USED):
            raise BackupError("the database is not empty: restore into a new one")
        await connection.execute(_UNFINISHED)
        with tempfile.NamedTemporaryFile("w", suffix=".list") as entries:
            listed = await _read(backup, "", "--list")
            entries.writelines(f"{line}\n" for line in listed.splitlines() if f" public {_SCHEMA} " not in line)
            entries.flush()
            await _read(backup, dsn, "-w", "-1", "-O", "-x", "-L", entries.name, "-d", "service=kafila")
        async with connection.transaction():
            revision = await raise_restored(connection)
            await connection.execute(f"INSERT INTO {_SCHEMA} VALUES ($1)", schema)
        return Summary(schema, await connection.fetchval(_COUNT), revision)
    except asyncpg.PostgresError as error:
        raise BackupError(" ".join(str(error).split())) from error
    finally:
        connection.terminate()


async def _connected(dsn: str) -> asyncpg.Connection:
    """Raises BackupError."""
    try:
        return await asyncpg.connect(dsn, timeout=10)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BackupError(f"the database: {' '.join(str(error).split()) or type(error).__name__}") from error


async def _read(backup: Path, dsn: str, *arguments: str) -> str:
    """What pg_restore writes. Raises BackupError, which names the file."""
    try:
        return await _run(dsn, "pg_restore", *arguments, str(backup))
    except BackupError as error:
        raise BackupError(f"{backup}: {error}") from None


async def _run(dsn: str, program: str, *arguments: str) -> str:
    """What it writes. Raises BackupError with the line in which it says what is wrong."""
    path = programs.installation() / "bin" / program
    async with _service(dsn) as environment:
        process = await asyncio.create_subprocess_exec(
            str(path),
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, said = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
    if process.returncode != 0:
        lines = said[:_LONGEST].decode(errors="replace").strip().splitlines()
        told = next((line for line in lines if "error:" in line), lines[0] if lines else f"{program} failed")
        raise BackupError(told.removeprefix(f"{program}: ").removeprefix("error: "))
    return output.decode(errors="replace")


@asynccontextmanager
async def _service(dsn: str) -> AsyncIterator[Mapping[str, str]]:
    """The environment in which libpq finds the database: neither arguments nor it show a password of ``dsn`` to others. What the
    environment says beside (``PGPASSWORD``, ``PGSSLROOTCERT``) counts for the server that asks, and so here."""
    own = {name: os.environ[name] for name in os.environ if name in ("PATH", "HOME") or name.startswith("PG")}
    if not dsn:
        yield own
        return
    from psycopg.conninfo import conninfo_to_dict

    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[kafila]\n" + "".join(f"{name}={value}\n" for name, value in conninfo_to_dict(dsn).items()))
        file.flush()
        yield {**own, "PGSERVICEFILE": file.name, "PGSERVICE": "kafila"}
