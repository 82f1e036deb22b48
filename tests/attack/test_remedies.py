"""Remedies and conditions of clusters, as many as there can be, cost no more than as many looks."""

from __future__ import annotations

from tests.attack.growth import too_much, weigh


def test_very_many_matches_and_conditions() -> None:
    (case,) = weigh("tests.attack.weigh_remedies")
    assert too_much(case["weights"]) == []
