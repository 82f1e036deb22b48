"""No path is worse than n log n in what one request brings: counted, so that it fails on any machine."""

from __future__ import annotations

import pytest

from tests.attack import weighing
from tests.attack.growth import too_much, weigh


def weighed(*arguments: str) -> list[str]:
    cases = weigh("tests.attack.weigh_requests", *arguments)
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
