from __future__ import annotations

import pytest

from kafila.members.limits import CircuitBreaker


def breaker(**options) -> CircuitBreaker:
    return CircuitBreaker(threshold=3, shortest=1.0, longest=4.0, jitter=lambda: 1.0, **options)


def test_a_breaker_opens_after_failures_in_a_row() -> None:
    b = breaker()
    b.failed(0.0)
    b.failed(0.0)
    b.succeeded()
    b.failed(0.0)
    b.failed(0.0)
    assert not b.open
    assert b.admits(0.0)
    b.failed(0.0)
    assert b.open
    assert not b.admits(0.9)
    assert b.remaining(0.25) == pytest.approx(0.75)


def test_an_open_breaker_lets_one_try_at_a_time() -> None:
    b = breaker()
    for _ in range(3):
        b.failed(0.0)
    assert b.admits(1.0)
    assert not b.admits(1.0)
    b.failed(1.0)
    assert not b.admits(2.9)
    assert b.admits(3.0)
    b.left()  # cancelled: tells nothing, and the next may try
    assert b.admits(3.0)
    b.succeeded()
    assert not b.open
    assert b.admits(3.0)
    assert b.admits(3.0)


def test_pauses_grow_to_the_longest_and_late_failures_do_not_add() -> None:
    b = breaker()
    for _ in range(50):  # requests that were under way together
        b.failed(0.0)
    assert b.remaining(0.0) == pytest.approx(1.0)
    now, pauses = 0.0, []
    for _ in range(4):
        now += b.remaining(now)
        assert b.admits(now)
        b.failed(now)
        pauses.append(b.remaining(now))
    assert pauses == pytest.approx([2, 4, 4, 4])
