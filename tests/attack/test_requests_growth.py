"""No path is worse than n log n in what one request brings: counted, so that it fails on any machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.attack import weighing
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


def weighed(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack.weigh_requests", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "app")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert cases
    return [
        f"{case['case']}, {verb}: {found}"
        for case in cases
        for verb, weights in case["weights"].items()
        if len(weights) == 3
        for found in too_much(weights)
    ]


def test_each_verb_over_each_shape_of_list() -> None:
    assert weighed() == []


@pytest.mark.long
def test_each_list_of_each_kind() -> None:
    assert weighed("--sweep") == []


def test_a_search_in_a_list_is_seen() -> None:
    def searching(count: int) -> dict[str, int]:
        weighing.weights.clear()
        names: list[str] = []
        for i in range(count):
            if not weighing.contains(f"n{i}", names):
                names.append(f"n{i}")
        return dict(weighing.weights)

    assert too_much([searching(size) for size in (40, 80, 160)]) == ["search: 780, 3160, 12720"]
