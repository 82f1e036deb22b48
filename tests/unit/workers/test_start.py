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
