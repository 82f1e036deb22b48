"""One PostgreSQL for the whole run, a database of its own for each test that asks for one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from kafila.store import embedded
from kafila.store.embedded import EmbeddedPostgres
from kafila.store.migrate import upgrade

# Examples are searched anew on developers' machines and repeated in CI; how long one takes is no property of the code.
settings.register_profile("search", deadline=None)
settings.register_profile("repeat", deadline=None, derandomize=True)
settings.load_profile("repeat" if os.environ.get("CI") else "search")

# Another PostgreSQL than the wheel's 18: KAFILA_TEST_POSTGRES names a folder with bin/postgres and bin/initdb.
if installed := os.environ.get("KAFILA_TEST_POSTGRES"):
    embedded.installation = lambda: Path(installed)
    del embedded._SETTINGS["io_method"]  # since 18

_numbers = itertools.count(1)


_WITH_MEMBERS = {"clients", "clusters", "differential"}


class ByFolder(LoadScopeScheduling):
    """What starts member clusters runs folder by folder, each in one test process, which starts them once; all the rest file by file."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        return next((part for part in path.parts if part in _WITH_MEMBERS), str(path))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFolder:
    return ByFolder(config, log)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the server's user may enter when we are root. Not below pytest's own: each of its runs closes those."""
    with tempfile.TemporaryDirectory(prefix="kafila-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with kubectl and others, which tests/clusters/build.sh builds, or finds built."""
    script = Path(__file__).with_name("clusters") / "build.sh"
    done = subprocess.run([script], stdout=subprocess.PIPE, check=True, text=True)
    return Path(done.stdout.splitlines()[-1]) / "bin"


@pytest.fixture
def server_folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def module_folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """DSN of a migrated database that nobody connects to: the template of the others."""
    with open_folder() as folder, asyncio.Runner() as runner:  # one loop: the server has a task in it
        server = EmbeddedPostgres(folder)
        dsn = runner.run(server.start())
        try:
            runner.run(upgrade(dsn))
            yield dsn
        finally:
            runner.run(server.stop())


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """DSN of an empty migrated database, dropped afterwards."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server.replace("/kafila?", "/postgres?"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE kafila")
        yield postgres_server.replace("/kafila?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
