"""Which requests a process without an API answers itself."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.api.health import HealthApp


@pytest.mark.parametrize(
    ("path", "status"),
    [("/healthz", 200), ("/readyz/x", 200), ("/metricsx", 404), ("/", 404), ("", 404), ("*", 404), ("a:1", 404)],
)
async def test_paths(path: str, status: int) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(*_: Any) -> None:
        sent.append({"status": 200})

    await HealthApp(app)({"type": "http", "method": "OPTIONS", "path": path}, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == status
