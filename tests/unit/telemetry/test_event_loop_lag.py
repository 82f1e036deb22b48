"""Whatever holds the event loop shows in the metrics, wherever between two looks it began."""

from __future__ import annotations

import asyncio
import time

import pytest

from kafila.telemetry import runtime
from kafila.telemetry.runtime import LAG, PERIOD, WORST_LAG, watch_event_loop


def held(seconds: float) -> float:
    """How often the loop was held for longer than the bucket of so many seconds."""
    [family] = LAG.collect()
    found = {sample.labels.get("le"): sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    return found["+Inf"] - found[str(seconds)]


def hold(seconds: float) -> None:
    time.sleep(seconds)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
async def test_each_hold_is_seen(part: float) -> None:
    before = held(0.25)
    watching = asyncio.create_task(watch_event_loop())
    await asyncio.sleep(PERIOD * (1 + part))
    hold(0.25 + PERIOD)
    while held(0.25) == before:
        await asyncio.sleep(0)
    watching.cancel()
    assert WORST_LAG._value.get() >= 0.25


async def test_a_long_one_is_logged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "LONG", 0.2)
    watching = asyncio.create_task(watch_event_loop())
    await asyncio.sleep(PERIOD)
    hold(0.2 + PERIOD)
    while "the event loop was held" not in (said := capsys.readouterr().out):
        await asyncio.sleep(0)
    watching.cancel()
    assert "seconds=" in said
