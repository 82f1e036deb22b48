"""Migrations: one process of many runs them, and they make what the metadata says."""

from __future__ import annotations

import asyncio

import asyncpg
import psycopg
import pytest

from kafila.settings.checks import check_database_url
from kafila.store.migrate import HEAD, SCRIPTS, MigrationError, current, upgrade
from kafila.store.postgres import PostgresStore


async def test_processes_that_start_together_migrate_once(empty_dsn: str) -> None:
    assert await current(empty_dsn) is None
    assert sorted(await asyncio.gather(*(upgrade(empty_dsn) for _ in range(2))))[-1] is True
    assert await current(empty_dsn) == HEAD
    assert await upgrade(empty_dsn) is False


async def test_the_host_that_is_there_is_found_among_several(empty_dsn: str) -> None:
    several = empty_dsn.replace("host=", "host=/nowhere,") + "&target_session_attrs=read-write"
    check_database_url(several)
    assert await upgrade(several) is True
    store = PostgresStore(several)
    await store.open()
    assert await store.head() >= 0
    await store.close()


def test_several_hosts_may_have_ports() -> None:
    check_database_url("postgresql://kafila@db-1:5432,db-2:5433/kafila")
    with pytest.raises(ValueError, match="the port must be a number"):
        check_database_url("postgresql://kafila@db-1:5432,db-2:70000/kafila")


def test_head_is_the_newest_script() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


async def test_a_newer_database_is_refused(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(MigrationError, match="newer kafila"):
        await upgrade(postgres_dsn)


def upgrade_to(dsn: str, revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


async def test_placements_of_the_version_before_0012_stay_and_can_be_read(empty_dsn: str) -> None:
    await asyncio.to_thread(upgrade_to, empty_dsn, "0011")
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("INSERT INTO fleet.cluster (name) VALUES ('m1'), ('m2')")
    await connection.execute("INSERT INTO fleet.binding (namespace, binding, deleting) VALUES ('team-a', 'web', false)")
    await connection.execute(
        "INSERT INTO fleet.placement (namespace, binding, cluster, kind, name, leaving)"
        " VALUES ('team-a', 'web', 'm1', 'K', 'web', false), ('team-a', 'web', 'm2', 'K', 'web', false)"
    )
    drift = "SELECT cluster, reason FROM fleet.drift ORDER BY cluster"
    missing = [("m1", "WorkMissing"), ("m2", "WorkMissing")]
    await connection.execute("SET ROLE kafila_reader")
    assert [tuple(each) for each in await connection.fetch(drift)] == missing
    await connection.close()
    assert await upgrade(empty_dsn) is True
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("SET ROLE kafila_reader")
    assert [tuple(each) for each in await connection.fetch(drift)] == missing  # until it is projected anew
    await connection.execute("RESET ROLE")
    await connection.execute("UPDATE fleet.placement SET waits = true WHERE cluster = 'm2'")
    await connection.execute("SET ROLE kafila_reader")
    await connection.execute("SET fleet.namespaces = 'team-a'")
    assert [tuple(each) for each in await connection.fetch(drift)] == missing[:1]
    await connection.execute("SET fleet.namespaces = 'team-b'")
    assert await connection.fetch(drift) == []
    await connection.close()


def test_the_migrations_make_what_the_metadata_says(postgres_dsn: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    from kafila.store.tables import metadata

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_dsn))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_object": lambda thing, name, kind, *_: (
                    not (kind == "table" and name.startswith(("log_", "events_")))
                ),
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name in (None, "fleet"),
                "compare_type": True,
            },
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()
