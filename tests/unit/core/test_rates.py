from __future__ import annotations

import pytest

from kafila.core.rates import Backoff, TokenBucket, exponential


def test_pauses_double_up_to_the_longest() -> None:
    assert [exponential(failures, 0.5, 3.0) for failures in (0, 1, 2, 3, 10**6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert [exponential(failures, 1.0, factor=1.5) for failures in range(3)] == [1.0, 1.5, 2.25]


def test_half_of_a_pause_is_chance() -> None:
    surely, hardly = Backoff(1.0, 4.0, lambda: 1.0), Backoff(1.0, 4.0, lambda: 0.0)
    assert [surely.failed() for _ in range(4)] == [1.0, 2.0, 4.0, 4.0]
    assert [hardly.failed() for _ in range(2)] == [0.5, 1.0]
    surely.reset()
    assert surely.failed() == 1.0


def test_a_bucket_lets_a_burst_through_and_then_paces() -> None:
    bucket = TokenBucket(qps=10, burst=3)
    assert [bucket.reserve(100.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    assert bucket.reserve(100.2) == pytest.approx(0.1)
    assert [bucket.reserve(200.0) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_no_rate_means_no_limit() -> None:
    bucket = TokenBucket(qps=0, burst=0)
    assert {bucket.reserve(0.0) for _ in range(1000)} == {0.0}


def test_a_token_is_taken_where_there_is_one() -> None:
    bucket = TokenBucket(qps=1, burst=2)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(1.5) for _ in range(2)] == [True, False]
    assert bucket.available(2.0) == 1.0
