"""What a start loads, and when."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kafila.core import errors
from kafila.settings.settings import Settings
from kafila.store.interface import StoreUnavailable
from kafila.store.memory import MemoryStore
from kafila.watch import Cache
from kafila.workers import process


@pytest.mark.parametrize(
    ("module", "not_yet"),
    [
        # PostgreSQL starts while the rest is loaded: nothing big may stand before it
        ("kafila.workers.serve", ("fastapi", "aiohttp", "kafila.catalog", "kafila.registry", "kafila.reconcile")),
        ("kafila.workers.process", ("fastapi", "rich", "sqlalchemy", "alembic", "kubernetes_asyncio")),
        # members, webhooks and other servers are asked later, and controllers begin when the API answers
        ("kafila.workers.process", ("aiohttp", "python_socks", "wsproto", "kafila.members.network")),
        ("kafila.workers.process", ("kafila.workers.controllers", "kafila.reconcile.karmada.template")),
    ],
)
def test_what_is_not_loaded_yet(module: str, not_yet: tuple[str, ...]) -> None:
    program = f"import sys, kafila.telemetry.logs, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name in not_yet}


COLLECTED = """
import gc
from kafila.workers.serve import run_guarded

async def program():
    assert not gc.isenabled()

run_guarded(program())
"""


def test_nobody_goes_through_what_is_being_loaded() -> None:
    subprocess.run([sys.executable, "-c", COLLECTED], check=True, timeout=60)


GUARDED = """
import asyncio
from kafila.workers.serve import run_guarded

def fail():
    raise ValueError("nobody handles this")

async def program():
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(60)

run_guarded(program())
"""


def test_what_nobody_handles_ends_whatever_serves() -> None:
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 70
    assert "nobody handles this" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "passing",
    [errors.service_unavailable("storage is being read again"), StoreUnavailable("away"), errors.timeout("unknown")],
)
async def test_what_every_start_makes_sure_of_is_tried_again(
    passing: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_RETRIES", (0.0, 0.0))
    left = [passing, passing]

    async def step() -> None:
        if left:
            raise left.pop()

    await process.Process(Settings(), MemoryStore())._ensured(step)
    assert not left


async def test_what_another_attempt_does_not_change_ends_the_start() -> None:
    async def step() -> None:
        raise errors.forbidden("", "namespaces", "default", "no")

    with pytest.raises(errors.StatusError, match="no"):
        await process.Process(Settings(), MemoryStore())._ensured(step)


async def test_it_is_not_ready_while_everything_is_read_again() -> None:
    """Whoever asked now would be told to come again."""
    store = MemoryStore()
    started = process.Process(Settings(), store)
    cache = started._cache = Cache(store)
    await store.open()
    await cache.load()
    check = started._checks(store)["storage"]
    assert check() is None
    cache._on_reset()
    assert check() == "storage is being read again"
    await cache.load()
    assert check() is None
    await store.close()
