"""A primary and its asynchronous standby, both reached over sockets; a client's DSN names both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from kafila.store.embedded import EmbeddedPostgres
from kafila.store.migrate import upgrade

_REPLICATES = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}


def _host(dsn: str) -> str:
    found = re.search(r"host=([^&]+)", dsn)
    assert found
    return found[1]


class Replicas:
    def __init__(self, primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
        self.primary = primary
        self.standby = standby
        self.dsn = primary.dsn.replace(_host(primary.dsn), f"{_host(primary.dsn)},{_host(standby.dsn)}")

    async def fall_behind(self) -> int:
        """The standby gets nothing any more; returns the newest revision that it has."""
        await _execute(self.standby.dsn, "ALTER SYSTEM SET primary_conninfo = ''")
        await _execute(self.standby.dsn, "SELECT pg_reload_conf()")
        while await _value(self.standby.dsn, "SELECT count(*) FROM pg_stat_wal_receiver"):
            await asyncio.sleep(0.02)
        while await _value(self.standby.dsn, "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"):
            await asyncio.sleep(0.02)
        return await self.newest(self.standby)

    async def newest(self, server: EmbeddedPostgres) -> int:
        return await _value(server.dsn, "SELECT max(revision) FROM log")

    async def lose_primary(self) -> None:
        """For good: nobody starts it again."""
        assert self.primary._keeper is not None
        self.primary._keeper.cancel()
        assert self.primary.pid is not None
        os.kill(self.primary.pid, signal.SIGKILL)
        await self.primary.stop()

    async def promote(self) -> None:
        assert await _value(self.standby.dsn, "SELECT pg_promote()")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _value(dsn: str, query: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def replicas(folder: Path) -> AsyncIterator[Replicas]:
    """The standby follows from before the first object on."""
    for part in ("one", "two"):
        (folder / part).mkdir(mode=0o711)
    primary = EmbeddedPostgres(folder / "one", _REPLICATES)
    standby = EmbeddedPostgres(folder / "two", _REPLICATES)
    try:
        await upgrade(await primary.start())
        await primary.stop()
        with (primary.root / "data" / "pg_hba.conf").open("a") as hba:
            hba.write(
                "local replication kafila trust\n"
            )  # only the user that runs both reaches the socket; he may have no name
        copy = await asyncio.create_subprocess_exec("cp", "-a", str(primary.root), str(standby.root))
        assert await copy.wait() == 0
        shutil.rmtree(standby.root / "run", ignore_errors=True)
        with (standby.root / "data" / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = 'host={_host(primary.dsn)} user=kafila'\n")
        (standby.root / "data" / "standby.signal").touch()
        await primary.start()
        await standby.start()
        yield Replicas(primary, standby)
    finally:
        await standby.stop()
        await primary.stop()
