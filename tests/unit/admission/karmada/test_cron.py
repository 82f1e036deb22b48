from __future__ import annotations

import pytest

from kafila.admission.karmada.cron import is_valid


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * * *",
        "*/5 0-23/2 1,15 * MON-FRI",
        "0 9 * * mon",
        "@daily",
        "@5minutes",
        "  0   9 * * *  ",
        "0 0 L * *",
        "0 0 15W * *",
        "0 0 * * 5L",
        "0 0 * * 5#2",
        "0 0 ? * 7",
        "30 * * * * *",
        "* * * * * 2026",
        "0 0 0 1 1 * 2026-2030",
        "0 0 1-31/5 JAN-DEC *",
    ],
)
def test_valid(schedule: str) -> None:
    assert is_valid(schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "* * * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "*/x * * * *",
        "1, * * * *",
        "@never",
        "* * * FOO *",
        "* * W * *",
        "* * * * 5#6",
    ],
)
def test_invalid(schedule: str) -> None:
    assert not is_valid(schedule)
