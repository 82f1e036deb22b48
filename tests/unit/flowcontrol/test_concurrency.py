"""Seats of levels, lent and borrowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.flowcontrol import concurrency
from kafila.flowcontrol.concurrency import Level, Limits, Shares, adjust, divide, limits, most_seats
from kafila.flowcontrol.demand import Observed
from kafila.flowcontrol.drops import LONGEST, Drops

BOOTSTRAP = {
    "exempt": Shares(True, 0, 0),
    "catch-all": Shares(False, 5, 0),
    "system": Shares(False, 30, 33),
    "node-high": Shares(False, 40, 25),
    "leader-election": Shares(False, 10, 0),
    "workload-high": Shares(False, 40, 50),
    "workload-low": Shares(False, 100, 90),
    "global-default": Shares(False, 20, 50),
}


def test_seats_of_a_stock_server() -> None:
    """What kube-apiserver 1.36 says of its defaults (apiserver_flowcontrol_*_limit_seats with 600 seats)."""
    found = limits(BOOTSTRAP, 600)
    assert {name: (each.nominal, each.lower) for name, each in found.items()} == {
        "exempt": (0, 0),
        "catch-all": (13, 13),
        "system": (74, 50),
        "node-high": (98, 73),
        "leader-election": (25, 25),
        "workload-high": (98, 49),
        "workload-low": (245, 24),
        "global-default": (49, 24),
    }
    assert found["system"].upper == 674


def test_borrowing_has_a_limit_where_one_is_given() -> None:
    assert limits({"a": Shares(False, 1, 0, 50)}, 100)["a"] == Limits(100, 100, 150)
    assert limits({"a": Shares(False, 0, 0, 0)}, 100)["a"] == Limits(0, 0, 0)


@pytest.mark.parametrize(("nominal", "hand", "seats"), [(245, 6, 37), (49, 6, 8), (25, 4, 4), (3, 6, 1), (0, 6, 1)])
def test_seats_that_one_request_may_take(nominal: int, hand: int, seats: int) -> None:
    assert most_seats(nominal, hand) == seats


def test_who_needs_seats_gets_what_others_lend() -> None:
    found = limits(BOOTSTRAP, 600)
    levels = {name: Level(share.exempt, found[name], 0, 0.0) for name, share in BOOTSTRAP.items()}
    levels["global-default"] = Level(False, found["global-default"], 300, 300.0)
    adjusted = adjust(levels)
    assert adjusted.current["global-default"] > 300
    for name, level in levels.items():
        assert level.limits.lower <= adjusted.current[name] <= max(level.limits.upper, level.highest), name


def test_exempt_requests_take_from_the_others() -> None:
    found = limits(BOOTSTRAP, 600)
    levels = {name: Level(share.exempt, found[name], 0, 0.0) for name, share in BOOTSTRAP.items()}
    levels["exempt"] = Level(True, found["exempt"], 10_000, 10_000.0)
    adjusted = adjust(levels)
    assert adjusted.current["exempt"] == 10_000
    assert adjusted.current["global-default"] == found["global-default"].lower
    assert adjusted.fair == 0


wanted = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100)).map(
        lambda t: (max(t[0], min(t[1:])), min(t[1:]), max(t[1:]))
    ),
    min_size=1,
    max_size=8,
)


@given(wanted, st.floats(0, 1))
def test_seats_are_divided_by_targets_within_bounds(items: list[tuple[float, float, float]], where: float) -> None:
    low, high = sum(item[1] for item in items), sum(item[2] for item in items)
    total = low + (high - low) * where
    found, factor = divide(total, items)
    assert sum(found) == pytest.approx(total, abs=1e-3)
    for seats, (target, lowest, highest) in zip(found, items, strict=True):
        assert lowest <= seats <= highest
        free = lowest + 1e-6 < seats < highest - 1e-6
        assert not free or seats == pytest.approx(factor * max(target, concurrency.SMALLEST_TARGET))


def test_demand_rises_at_once_and_falls_slowly() -> None:
    up = concurrency.smoothed(0.0, Observed(10, 6.0, 2.0))
    assert up == 8.0
    assert 7.8 < concurrency.smoothed(up, Observed()) < 8.0


# -- when to come again --------------------------------------------------------------------------------------------------


def test_the_more_are_refused_the_later_they_may_come() -> None:
    drops = Drops()
    said = []
    for second in range(1, 120):
        for _ in range(200):
            drops.record(second + 0.5)
        said.append(drops.retry_after)
    assert said[0] == 1
    assert sorted(said) == said
    assert said[-1] == LONGEST


def test_it_goes_down_again() -> None:
    drops = Drops()
    for second in range(1, 20):
        for _ in range(100):
            drops.record(float(second))
    high = drops.retry_after
    for second in range(100, 2000, 40):
        drops.record(float(second))
    assert drops.retry_after == 1 < high
    assert len(drops._history) < 50
