"""One control plane of whole processes for all tests here; each test gets it whole, whatever the one before has killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from kafila.store.embedded import EmbeddedPostgres
from kafila.store.migrate import upgrade

from .processes import ControlPlane, running_control_plane


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared_plane() -> AsyncIterator[ControlPlane]:
    async with running_control_plane() as plane:
        yield plane


@pytest_asyncio.fixture(loop_scope="package")
async def plane(shared_plane: ControlPlane) -> ControlPlane:
    await shared_plane.whole()
    return shared_plane


@pytest.fixture
async def server(server_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL of this test's own, which it may kill."""
    server = EmbeddedPostgres(server_folder)
    await upgrade(await server.start())
    yield server
    await server.stop()
