"""How fast copies leave clusters, by how many clusters are well."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.placement.failover.pace import Health, Pace, Rates, taken_at

RATES = Rates(normal=0.5, secondary=0.1, threshold=0.55, large=10)


@pytest.mark.parametrize(
    ("clusters", "not_ready", "rate"),
    [
        (0, 0, 0.5),
        (1, 0, 0.5),
        (1, 1, 0.0),  # there is nowhere to go
        (2, 1, 0.5),
        (2, 2, 0.0),
        (3, 2, 0.5),  # two thirds, and only two
        (3, 3, 0.0),
        (4, 3, 0.0),
        (5, 3, 0.0),
        (6, 3, 0.5),
        (10, 5, 0.5),
        (10, 6, 0.0),  # 10 are not more than 10
        (11, 6, 0.5),  # 0.545
        (11, 7, 0.1),
        (20, 11, 0.5),  # the share itself is not too much yet
        (20, 12, 0.1),
        (1000, 550, 0.5),
        (1000, 551, 0.1),
        (1000, 1000, 0.1),
    ],
)
def test_rates(clusters: int, not_ready: int, rate: float) -> None:
    pace = RATES.pace(Health(clusters, not_ready))
    assert pace.rate == rate
    assert bool(pace.because) == (rate != 0.5)
    assert pace.is_halted == (rate == 0.0)


def test_what_is_said() -> None:
    assert (
        RATES.pace(Health(4, 3)).because == "3 of 4 clusters are not Ready: nothing is evicted until more of them are"
    )
    slowed = "7 of 11 clusters are not Ready: 0.1 copies a second are evicted until more of them are"
    assert RATES.pace(Health(11, 7)).because == slowed


@pytest.mark.parametrize(
    ("rates", "pace"),
    [
        (RATES._replace(threshold=1.0), Pace(0.5)),  # switched off
        (
            RATES._replace(secondary=0.0),
            Pace(0.0, "7 of 11 clusters are not Ready: nothing is evicted until more of them are"),
        ),
        (
            RATES._replace(large=11),
            Pace(0.0, "7 of 11 clusters are not Ready: nothing is evicted until more of them are"),
        ),
        (
            RATES._replace(normal=0.05),  # it is no reason to be faster
            Pace(0.05, "7 of 11 clusters are not Ready: 0.05 copies a second are evicted until more of them are"),
        ),
        (RATES._replace(normal=0.0, threshold=1.0), Pace(0.0)),
    ],
)
def test_options(rates: Rates, pace: Pace) -> None:
    assert rates.pace(Health(11, 7)) == pace


def test_a_rate_of_none_that_was_asked_for_is_no_halt() -> None:
    assert not RATES._replace(normal=0.0).pace(Health(3, 0)).is_halted


@given(st.integers(0, 50), st.data())
def test_it_never_gets_faster_when_more_fail(clusters: int, data: st.DataObject) -> None:
    rates = Rates(
        data.draw(st.floats(0, 100)),
        data.draw(st.floats(0, 100)),
        data.draw(st.floats(0, 1)),
        data.draw(st.integers(0, 60)),
    )
    found = [rates.pace(Health(clusters, failing)).rate for failing in range(clusters + 1)]
    assert found == sorted(found, reverse=True)
    assert found[0] == rates.normal or rates.threshold < 0


@given(st.lists(st.floats(0, 0.19), min_size=1, max_size=50))
def test_being_late_by_less_than_a_turn_slows_nothing_down(late: list[float]) -> None:
    last = 100.0
    for each in late:
        last = taken_at(last, 0.2, last + 0.2 + each)
    assert last == pytest.approx(100.0 + 0.2 * len(late))


@pytest.mark.parametrize(("last", "now"), [(float("-inf"), 5.0), (1.0, 1.4), (1.0, 77.0)])
def test_what_comes_later_is_not_made_up_for(last: float, now: float) -> None:
    assert taken_at(last, 0.2, now) == now
