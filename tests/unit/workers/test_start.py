"""What a start loads, and when."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "not_yet"),
    [
        # PostgreSQL starts while the rest is loaded: nothing big may stand before it
        ("kafila.workers.serve", ("fastapi", "aiohttp", "kafila.catalog", "kafila.registry", "kafila.reconcile")),
        ("kafila.workers.process", ("fastapi", "rich", "sqlalchemy", "alembic", "kubernetes_asyncio")),
    ],
)
def test_what_is_not_loaded_yet(module: str, not_yet: tuple[str, ...]) -> None:
    program = f"import sys, kafila.telemetry.logs, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name in not_yet}


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
