"""How what code does grows with what it is given: counts of a program that weighs (``weighing``), and which are too much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.integration.conftest import ROOT

MORE_THAN_LINEAR = 2.5  # of a quadratic part it is 4; n log n of so few items is hardly more than 2
UNNOTICED = 200  # what is done once is worth so much


def too_much(weights: list[dict[str, int]]) -> list[str]:
    """What grows faster than the number of items, of requests with n, 2n and 4n of them."""
    found = []
    for what in sorted({what for weight in weights for what in weight}):
        one, two, four = (weight.get(what, 0) for weight in weights)
        if four - two > max(MORE_THAN_LINEAR * (two - one), UNNOTICED):
            found.append(f"{what}: {one}, {two}, {four}")
    return found


def weigh(module: str, *arguments: str) -> list[dict[str, Any]]:
    """What ``module`` prints, a case a line. It runs in a process of its own, where nothing of ``app`` is imported yet."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "app")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert cases
    return cases
