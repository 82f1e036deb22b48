"""The queues that metrics and logs name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kafila.reconcile.queue import WorkQueue

from .conftest import Lab

PAGE = Path(__file__).parents[3] / "docs/operations.md"


async def test_every_queue_is_written_of(monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    original = WorkQueue.__init__

    def noted(self: WorkQueue[Any], name: str, *given: Any, **named: Any) -> None:
        names.add(name.replace("/m1", "/<cluster>"))
        original(self, name, *given, **named)

    monkeypatch.setattr(WorkQueue, "__init__", noted)
    lab = await Lab(feature_gates="AllAlpha=true,AllBeta=true", enable_no_execute_taint_eviction=True).start()
    try:
        await lab.join("m1")
        await lab.until(lambda: "execution/<cluster>" in names)
    finally:
        await lab.close()
    listed = re.search(r"^Queues: (.*?)\n\n", PAGE.read_text(), re.M | re.S)
    assert listed is not None
    assert set(re.findall(r"`([^`]+)`", listed[1])) == {name for name in names if not name.startswith("simulated-")}
