"""From the version before the newest change of the database's schema to this one while clients write and watch, and back.

The earlier version comes from the history of this repository, so that it is what was released, unmodified.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kafila.store.embedded import EmbeddedPostgres
from tests.conftest import open_folder
from tests.history import checkout, newest_migration

from .process_load import Load
from .processes import KAFILA, ControlPlane, Serve, serving
from .store_proxy import Proxy

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def earlier() -> Iterator[Path]:
    """A checkout of what came before the newest migration."""
    with checkout(f"{newest_migration()}^") as tree:
        yield tree


@pytest.fixture
async def database(server_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(server_folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _ended(serve: Serve) -> None:
    serve.signal(signal.SIGTERM)
    assert serve._process is not None
    await asyncio.to_thread(serve._process.wait, 60)


def _kafila(tree: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", **({"PYTHONPATH": str(tree / "app")} if tree else {})}
    return subprocess.run(
        [sys.executable, str(KAFILA), *arguments], capture_output=True, text=True, env=env, timeout=120
    )


async def test_no_write_is_lost_and_no_watch_begins_anew(earlier: Path, database: EmbeddedPostgres) -> None:
    with open_folder() as folder:
        (folder / "cut").mkdir(mode=0o711)
        dsn = database.dsn
        async with (
            Proxy(folder / "cut", dsn) as proxy,
            serving(folder, ("api", dsn), ("api", dsn), ("workers", dsn), tree=earlier) as started,
        ):
            plane = ControlPlane(database, proxy, started[:2], started[2:])
            async with Load(plane, "upgraded") as load:
                await load.more(100, plane.api[0])
                await asyncio.gather(*map(_ended, started))  # one that runs on cannot read what a newer one stores
                for serve in started:
                    serve.tree = None
                    serve.launch()
                await asyncio.gather(*(serve.ready() for serve in started))
                for serve in plane.api:
                    await load.more(100, serve)


async def test_back_again_is_a_restore(earlier: Path, database: EmbeddedPostgres) -> None:
    """The earlier version refuses the newer data in one line, and has what it had from its own backup."""
    with open_folder() as folder:
        dsn = database.dsn
        old, new, again = (folder / name for name in ("old", "new", "again"))
        for each in (old, new, again):
            each.mkdir(mode=0o711)
        async with serving(old, ("api", dsn), tree=earlier) as (api,):
            made = {"metadata": {"name": "kept", "namespace": "default"}, "data": {"text": "before"}}
            assert (await api.request("POST", "/api/v1/namespaces/default/configmaps", made)).status == 201
            backup = _kafila(earlier, "backup", str(folder / "backup"), "--database-url", dsn)
            assert backup.returncode == 0, backup.stderr
        async with serving(new, ("api", dsn)) as (api,):
            assert (await api.request("GET", "/api/v1/namespaces/default/configmaps/kept")).status == 200
        refused = _kafila(earlier, "serve", "--data-dir", str(old / "p0"), "--database-url", dsn)
        assert refused.returncode == 1
        (line,) = refused.stderr.strip().splitlines()[-1:]
        assert "the database was written by a newer kafila" in line
        restored = EmbeddedPostgres(again)
        try:
            dsn = await restored.start()
            done = _kafila(earlier, "restore", str(folder / "backup"), "--database-url", dsn)
            assert done.returncode == 0, done.stderr
            async with serving(again, ("api", dsn), tree=earlier) as (api,):
                found = await api.request("GET", "/api/v1/namespaces/default/configmaps/kept")
                assert found.body["data"] == {"text": "before"}
        finally:
            await restored.stop()
