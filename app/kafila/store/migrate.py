"""Brings a database to the schema of this program.

The check is one query. Alembic and SQLAlchemy are loaded in a process of their own and only when there is something to do:
they would cost every start half a second and this process 30 MB for good.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import asyncpg

HEAD = "0012"  # the newest revision in migrations/versions; a test compares

_PACKAGE = Path(__file__).parents[1]
_IN_WHEEL = _PACKAGE / "migrations"
SCRIPTS = _IN_WHEEL if _IN_WHEEL.exists() else _PACKAGE.parents[1] / "migrations"
"""Alembic's folder: in the wheel, or beside ``app/`` in a checkout."""

_LOCK = 7236837471901  # advisory: one process migrates


class MigrationError(RuntimeError):
    """The schema could not be brought up to date; the database is as it was before."""


async def upgrade(dsn: str) -> bool:
    """True when something was changed. Raises MigrationError, and OSError or asyncpg's errors without a database."""
    if await current(dsn) == HEAD:
        return False
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        env=os.environ | {"KAFILA_MIGRATE": dsn},  # not an argument: others can read those
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()
        raise MigrationError("\n".join(lines[-5:]))
    return True


async def current(dsn: str) -> str | None:
    """The schema's revision; None when the database is empty. Raises MigrationError for one that ``kafila restore`` left half made."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()
    if found is None:
        raise MigrationError("kafila restore did not come to its end in this database: restore into a new one")
    return found


def upgrade_here(dsn: str) -> None:
    """Runs the migrations in this process, under a lock that lasts until they are committed."""
    import psycopg
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import create_engine

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            raise SystemExit(
                f"the database was written by a newer kafila (schema {found}): use that version, or another database"
            ) from None
        connection.commit()


if __name__ == "__main__":
    upgrade_here(os.environ["KAFILA_MIGRATE"])
