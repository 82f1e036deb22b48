"""Stabilization, policies and bounds: Kubernetes' cases, and what holds for all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.behavior import MOST_REMEMBERED, Bounds, Dated, History, normalized

NOW = 10_000.0
WIDE = Bounds(1, 1000)


def rules(*policies: tuple[str, int, int], select: str = "Max", window: int | None = 0) -> dict[str, Any]:
    found = [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies]
    return {"policies": found, "selectPolicy": select, "stabilizationWindowSeconds": window}


FREE = rules(("Percent", 100, 15), ("Pods", 1000, 15))


def behavior(up: Any = None, down: Any = None) -> dict[str, Any]:
    return {"scaleUp": up or FREE, "scaleDown": down or FREE}


def history(recommended: Any = (), ups: Any = (), downs: Any = ()) -> History:
    """Pairs of replicas and seconds ago."""
    found = History()
    for replicas, ago in _oldest_first(recommended):
        found.recommend(replicas, NOW - ago, 3600)
    for scaled, entries in ((found.ups, ups), (found.downs, downs)):
        for replicas, ago in _oldest_first(entries):
            scaled.add(replicas, NOW - ago, 3600)
    return found


def _oldest_first(pairs: Any) -> list[tuple[int, float]]:
    return sorted(pairs, key=lambda pair: -pair[1])


@pytest.mark.parametrize(
    ("past", "current", "proposed", "bounds", "replicas", "able", "limited"),
    [
        ((), 5, 7, WIDE, 7, "ReadyForNewScale", "DesiredWithinRange"),
        ((), 5, 30, WIDE, 10, "ReadyForNewScale", "ScaleUpLimit"),
        ((), 1, 30, WIDE, 4, "ReadyForNewScale", "ScaleUpLimit"),
        ((), 5, 30, Bounds(1, 8), 8, "ReadyForNewScale", "TooManyReplicas"),
        ((), 5, 1, Bounds(2, 8), 2, "ReadyForNewScale", "TooFewReplicas"),
        (((9, 100),), 9, 3, WIDE, 9, "ScaleDownStabilized", "DesiredWithinRange"),
        (((9, 300),), 9, 3, WIDE, 9, "ScaleDownStabilized", "DesiredWithinRange"),
        (((9, 301),), 9, 3, WIDE, 3, "ReadyForNewScale", "DesiredWithinRange"),
        (((6, 10), (9, 20)), 9, 3, WIDE, 9, "ScaleDownStabilized", "DesiredWithinRange"),
    ],
)
def test_without_a_behaviour(
    past: Any, current: int, proposed: int, bounds: Bounds, replicas: int, able: str, limited: str
) -> None:
    found = normalized(None, history(past), current, proposed, bounds, 300, NOW)
    assert (found.replicas, found.able[0], found.why_limited[0]) == (replicas, able, limited)
    assert found.limited is (limited != "DesiredWithinRange")


@pytest.mark.parametrize(
    ("up", "past", "current", "proposed", "replicas", "reason"),
    [
        (rules(("Pods", 4, 15)), {}, 5, 20, 9, "ScaleUpLimit"),
        (rules(("Percent", 10, 15)), {}, 5, 20, 6, "ScaleUpLimit"),  # rounded up, or it would never move
        (rules(("Pods", 4, 15), ("Percent", 100, 15)), {}, 10, 50, 20, "ScaleUpLimit"),
        (rules(("Pods", 4, 15), ("Percent", 100, 15), select="Min"), {}, 10, 50, 14, "ScaleUpLimit"),
        (rules(("Pods", 4, 15), select="Disabled"), {}, 5, 20, 5, "ScaleUpLimit"),
        (rules(("Pods", 4, 60)), {"ups": [(3, 30)]}, 8, 20, 9, "ScaleUpLimit"),
        (rules(("Pods", 4, 60)), {"ups": [(3, 60)]}, 8, 20, 12, "ScaleUpLimit"),
        (rules(("Pods", 4, 60)), {"ups": [(9, 30)]}, 14, 20, 14, "ScaleUpLimit"),  # never down because it went up
        (rules(("Pods", 4, 60)), {"downs": [(3, 30)]}, 8, 20, 15, "ScaleUpLimit"),
    ],
)
def test_how_fast_it_goes_up(up: Any, past: Any, current: int, proposed: int, replicas: int, reason: str) -> None:
    found = normalized(behavior(up=up), history(**past), current, proposed, WIDE, 300, NOW)
    assert (found.replicas, found.why_limited[0]) == (replicas, reason)


@pytest.mark.parametrize(
    ("down", "past", "current", "proposed", "replicas", "reason"),
    [
        (rules(("Pods", 4, 15)), {}, 10, 1, 6, "ScaleDownLimit"),
        (rules(("Percent", 10, 15)), {}, 15, 1, 13, "ScaleDownLimit"),
        (rules(("Pods", 4, 15), ("Percent", 60, 15)), {}, 10, 1, 4, "ScaleDownLimit"),
        (rules(("Pods", 4, 15), ("Percent", 60, 15), select="Min"), {}, 10, 1, 6, "ScaleDownLimit"),
        (rules(("Pods", 4, 15), select="Disabled"), {}, 10, 1, 10, "ScaleDownLimit"),
        (rules(("Pods", 4, 60)), {"downs": [(3, 30)]}, 10, 1, 9, "ScaleDownLimit"),
        (rules(("Pods", 4, 60)), {"downs": [(9, 30)]}, 10, 1, 10, "ScaleDownLimit"),
        (rules(("Percent", 100, 15)), {}, 10, 0, 1, "TooFewReplicas"),
    ],
)
def test_how_fast_it_goes_down(down: Any, past: Any, current: int, proposed: int, replicas: int, reason: str) -> None:
    found = normalized(behavior(down=down), history(**past), current, proposed, WIDE, 300, NOW)
    assert (found.replicas, found.why_limited[0]) == (replicas, reason)


@pytest.mark.parametrize(
    ("windows", "past", "current", "proposed", "replicas", "able"),
    [
        ((0, 60), ((9, 30),), 9, 3, 9, "ScaleDownStabilized"),
        ((0, 60), ((9, 60),), 9, 3, 3, "ReadyForNewScale"),
        ((60, 0), ((5, 30),), 4, 9, 5, "ScaleUpStabilized"),
        ((60, 0), ((5, 60),), 4, 9, 9, "ReadyForNewScale"),
        ((60, 60), ((2, 30), (9, 30)), 5, 7, 5, "ScaleUpStabilized"),
        ((0, None), ((9, 299),), 9, 3, 9, "ScaleDownStabilized"),
        ((0, None), ((9, 300),), 9, 3, 3, "ReadyForNewScale"),
    ],
)
def test_windows_of_a_behaviour(windows: Any, past: Any, current: int, proposed: int, replicas: int, able: str) -> None:
    fast = (("Percent", 1000, 15),)
    given = behavior(rules(*fast, window=windows[0]), rules(*fast, window=windows[1]))
    found = normalized(given, history(past), current, proposed, WIDE, 300, NOW)
    assert (found.replicas, found.able[0]) == (replicas, able)


def test_what_is_remembered_is_bounded() -> None:
    full = [(number, 0) for number in range(MOST_REMEMBERED)]
    found = history(full, full, full)
    for index in range(5):
        found.recommend(MOST_REMEMBERED + index, NOW, 3600)
        found.scaled(behavior(), 1, 2, NOW)
        found.scaled(behavior(), 2, 1, NOW)
    assert list(map(len, (found.highest, found.lowest, found.ups, found.downs))) == [1, *[MOST_REMEMBERED] * 3]
    found.recommend(1, NOW + 3601, 3600)
    assert len(found.highest) == len(found.lowest) == 1


def test_only_behaviours_look_at_what_was_scaled() -> None:
    found = History()
    found.scaled(None, 1, 5, NOW)
    assert not found.ups
    found.scaled(behavior(), 1, 5, NOW)
    found.scaled(behavior(), 5, 2, NOW)
    assert [(len(each), each.after(NOW - 1), each.after(NOW)) for each in (found.ups, found.downs)] == [
        (1, 4, 0),
        (1, 3, 0),
    ]


steps = st.lists(st.tuples(st.integers(0, 9), st.sampled_from((0.0, 1.0, 15.0, 60.0))), max_size=40)


@given(steps, st.sampled_from((0.0, 30.0, 300.0)), st.sampled_from((0.0, 15.0, 60.0, 300.0)))
def test_what_is_remembered_is_what_a_list_of_all_would_say(given_steps: Any, kept: float, back: float) -> None:
    found, all_of_them, now = History(), [], NOW
    for replicas, pause in given_steps:
        now += pause
        found.recommend(replicas, now, kept)
        found.ups.add(replicas, now, kept)
        all_of_them.append(Dated(replicas, now))
        remembered = [each for each in all_of_them if each.at >= now - kept]
        for cutoff in (now - back, now):
            after = [each.replicas for each in remembered if each.at > cutoff]
            since = [each.replicas for each in remembered if each.at >= cutoff]
            assert (found.highest.after(cutoff), found.lowest.after(cutoff)) == (
                max(after, default=None),
                min(after, default=None),
            )
            assert found.highest.since(cutoff) == max(since, default=None)
            assert found.ups.after(cutoff) == sum(after)


policies = st.lists(
    st.tuples(st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.integers(1, 1800)), min_size=1, max_size=4
)
any_rules = st.builds(
    lambda given, select, window: rules(*given, select=select, window=window),
    policies,
    st.sampled_from(["Max", "Min", "Disabled"]),
    st.none() | st.integers(0, 3600),
)
up_rules = any_rules.map(
    lambda found: {**found, "stabilizationWindowSeconds": found["stabilizationWindowSeconds"] or 0}
)
any_behavior = st.none() | st.builds(behavior, up_rules, any_rules)
past = st.lists(st.tuples(st.integers(0, 100), st.floats(0, 4000)), max_size=10)


@given(any_behavior, past, past, past, st.integers(1, 50), st.integers(0, 100), st.integers(0, 100), st.data())
def test_never_beyond_the_bounds(
    given_behavior: Any, recommended: Any, ups: Any, downs: Any, lowest: int, room: int, proposed: int, data: Any
) -> None:
    bounds = Bounds(lowest, lowest + room)
    current = data.draw(st.integers(*bounds))
    found = normalized(given_behavior, history(recommended, ups, downs), current, proposed, bounds, 300, NOW)
    assert bounds.lowest <= found.replicas <= bounds.highest


@given(any_behavior, past, st.integers(1, 100), st.integers(1, 100))
def test_it_goes_no_other_way_than_proposed(given_behavior: Any, recommended: Any, current: int, proposed: int) -> None:
    """However it is held back: no scaling up where fewer are wanted, and none down where more are."""
    recent = history([(replicas, ago) for replicas, ago in recommended if replicas <= current])
    found = normalized(given_behavior, recent, current, proposed, Bounds(1, 100), 300, NOW)
    if proposed >= current:
        assert current <= found.replicas <= proposed
    else:
        assert proposed <= found.replicas <= current


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(1, 100))
def test_stabilization_never_flaps(wishes: list[int], first: int) -> None:
    """Within one window the replicas never go down below what was recommended in it, however the wishes jump."""
    found, current, seen = History(), first, [first]
    found.begin(first, NOW)
    for step, wish in enumerate(wishes):
        now = NOW + 5 * step
        decided = normalized(None, found, current, wish, Bounds(1, 100), 300, now).replicas
        seen.append(wish)
        assert decided >= min(current, max(seen))
        current = decided
    assert current == min(max(seen), max(current, first))
