"""Who is served next: fairness, bounds, and that nothing stands still."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.flowcontrol.demand import Demand
from kafila.flowcontrol.queueset import Flow, QueueSet, Ticket
from kafila.flowcontrol.shuffle import deal, flow_hash, required_entropy_bits

ALL: Final = 1 << 30


def flow(name: str, queues: int = 64, hand: int = 6) -> Flow:
    return Flow(deal(flow_hash("schema", name), queues, hand))


def queue_set(limit: int, queues: int = 64, hand: int = 6, length: int = 50) -> QueueSet:
    return QueueSet(0.0, limit, queues, hand, length)


def entered(queues: QueueSet, of: Flow, now: float, seats: int = 1) -> Ticket:
    ticket = queues.enqueue(of, seats, now)
    assert ticket is not None
    return ticket


# -- shuffle sharding ----------------------------------------------------------------------------------------------------


@given(st.integers(0, (1 << 60) - 1), st.sampled_from([(64, 6), (128, 6), (16, 4), (8, 8), (1, 1)]))
def test_a_hand_is_of_different_cards(value: int, sizes: tuple[int, int]) -> None:
    deck, hand = sizes
    cards = deal(value, deck, hand)
    assert len(set(cards)) == len(cards) == hand
    assert all(0 <= card < deck for card in cards)


def test_all_hands_are_dealt_alike() -> None:
    dealt = Counter(deal(value, 5, 3) for value in range(5 * 4 * 3))
    assert set(dealt.values()) == {1}
    assert len(dealt) == 5 * 4 * 3


def test_entropy_is_what_kubernetes_reckons_with() -> None:
    assert required_entropy_bits(128, 6) == 42
    assert required_entropy_bits(10_000_000, 3) == 70


# -- seats ---------------------------------------------------------------------------------------------------------------


def test_a_seat_is_given_back() -> None:
    queues, one = queue_set(2), flow("a")
    queues.start(one, 1, 0.0)
    queues.start(one, 1, 0.0)
    assert not queues.has_room(1)
    queues.finish(one, 1, 1.0)
    assert queues.has_room(1)
    assert not queues.has_room(2)
    queues.finish(one, 1, 1.0)
    assert queues.is_idle


def test_more_than_there_is_is_served_alone() -> None:
    queues, one = queue_set(2), flow("a")
    assert queues.has_room(10)
    queues.start(one, 1, 0.0)
    assert not queues.has_room(10)


def test_exempt_requests_always_find_a_seat() -> None:
    queues, one = queue_set(0), flow("a")
    queues.exempt = True
    for _ in range(100):
        assert queues.has_room(1)
        queues.start(one, 1, 0.0)


def test_without_queues_nobody_waits() -> None:
    assert queue_set(1, queues=0).enqueue(flow("a"), 1, 0.0) is None


# -- fairness ------------------------------------------------------------------------------------------------------------


def test_who_asks_for_little_goes_before_who_asks_for_much() -> None:
    queues, much, little = queue_set(1), flow("much"), flow("little")
    waiting = [entered(queues, much, 0.0) for _ in range(40)]
    (first,) = queues.dispatch(0.0, ALL)
    queues.served(first, 0.01)
    (second,) = queues.dispatch(0.01, ALL)
    late = entered(queues, little, 0.015)
    queues.served(second, 0.02)
    served = [ticket for _ in range(8) for ticket in serve_one(queues, 0.02)]
    assert late in served[: 1 + len(much.cards)]  # at most one of each of the other's queues is before it
    assert len(waiting) == 40


def serve_one(queues: QueueSet, now: float) -> list[Ticket]:
    served = queues.dispatch(now, ALL)
    for ticket in served:
        queues.served(ticket, now + 0.003)
    return served


def test_flows_that_always_have_more_get_the_same() -> None:
    """One queue each: the second sends ten times as much and gets no more."""
    queues, first, second = queue_set(2), Flow((0,)), Flow((1,))
    for _ in range(5):
        entered(queues, first, 0.0)
    for _ in range(50):
        entered(queues, second, 0.0)
    now, served = 0.0, Counter[str]()
    for _ in range(20):
        for ticket in queues.dispatch(now, ALL):
            served["first" if ticket.flow is first else "second"] += 1
            queues.served(ticket, now + 0.01)
            if ticket.flow is first:
                entered(queues, first, now + 0.01)
        now += 0.01
    assert abs(served["first"] - served["second"]) <= 2


def test_who_takes_longer_is_served_less_often() -> None:
    queues, quick, slow = queue_set(1, length=500), Flow((0,)), Flow((1,))
    for _ in range(300):
        entered(queues, quick, 0.0)
        entered(queues, slow, 0.0)
    now, spent = 0.0, Counter[str]()
    for _ in range(200):
        (ticket,) = queues.dispatch(now, ALL)
        took = 0.01 if ticket.flow is quick else 0.04
        now += took
        spent["quick" if ticket.flow is quick else "slow"] += round(took * 100)
        queues.served(ticket, now)
    assert 0.8 < spent["quick"] / spent["slow"] < 1.25


def test_what_needs_many_seats_is_not_starved_by_what_needs_few() -> None:
    queues, wide, narrow = queue_set(4), Flow((0,)), Flow((1,))
    running = [entered(queues, narrow, 0.0) for _ in range(4)]
    assert queues.dispatch(0.0, ALL) == running
    big = entered(queues, wide, 0.001, seats=4)
    small = [entered(queues, narrow, 0.002) for _ in range(8)]
    now = 0.01
    for ticket in running:
        queues.served(ticket, now)
        if big in queues.dispatch(now, ALL):
            break
        now += 0.01
    assert not big.waiting
    assert all(ticket.waiting for ticket in small)


def test_what_began_without_waiting_counts_when_its_flow_has_to_wait() -> None:
    queues, much, little = queue_set(10), Flow((0,)), Flow((1,))
    for _ in range(10):
        queues.start(much, 1, 0.0)
    more = entered(queues, much, 0.0)
    other = entered(queues, little, 0.0)
    queues.finish(much, 1, 0.01)
    assert queues.dispatch(0.01, ALL) == [other]
    assert more.waiting


def test_only_flows_that_have_others_under_way_use_up_a_turn() -> None:
    queues, much = queue_set(100), Flow((0,))
    queues.start(much, 1, 0.0)
    for _ in range(3):
        entered(queues, much, 0.0)
    alone = [entered(queues, Flow((1 + number,)), 0.0) for number in range(3)]
    found = queues.dispatch(0.0, 1)
    assert set(alone) <= set(found)
    assert len(found) == len(alone) + 1


# -- leaving, and bounds -------------------------------------------------------------------------------------------------


def test_who_leaves_makes_room() -> None:
    queues, one = queue_set(1, queues=1, hand=1, length=2), Flow((0,))
    queues.start(one, 1, 0.0)
    first, second = entered(queues, one, 0.0), entered(queues, one, 0.0)
    assert queues.enqueue(one, 1, 0.0) is None
    assert queues.leave(first, 1.0)
    assert not queues.leave(first, 1.0)
    third = entered(queues, one, 1.0)
    queues.finish(one, 1, 2.0)
    assert queues.dispatch(2.0, ALL) == [second]
    assert third.waiting


def test_who_has_waited_too_long_is_found() -> None:
    queues, one = queue_set(1), flow("a")
    queues.start(one, 1, 0.0)
    old, new = entered(queues, one, 0.0), entered(queues, one, 10.0)
    assert queues.overdue(5.0) == [old]
    assert new.waiting


def test_a_queue_is_kept_no_longer_than_it_has_something_to_do() -> None:
    """However many a configuration has: there may be ten million."""
    queues = QueueSet(0.0, 1, 10_000_000, 2, 50)
    for number in range(100):
        ticket = entered(queues, Flow(deal(flow_hash("s", str(number)), 10_000_000, 2)), float(number))
        queues.leave(ticket, float(number))
    assert not queues.used
    assert len(queues._order) <= 100


actions = st.lists(
    st.tuples(st.sampled_from("eeeefdlw"), st.integers(0, 4), st.integers(1, 3), st.floats(0, 0.1)), max_size=120
)


@given(actions, st.integers(0, 6), st.sampled_from([(0, 1, 1), (1, 1, 3), (8, 2, 4), (64, 6, 50)]))
def test_whatever_happens(steps: list[tuple[str, int, int, float]], limit: int, shape: tuple[int, int, int]) -> None:
    """Seats are never more than the limit, queues never longer than theirs, sums are right, and no seat is free while the next
    in order could have it."""
    number, hand, length = shape
    queues = QueueSet(0.0, limit, number, hand, length)
    flows = [Flow(deal(flow_hash("s", str(i)), number, hand) if number else (0,)) for i in range(5)]
    waiting: list[Ticket] = []
    running: list[Ticket] = []
    now = 0.0
    for what, which, seats, passed in steps:
        now += passed
        if what == "e":
            ticket = queues.enqueue(flows[which], seats, now)
            if ticket is not None:
                waiting.append(ticket)
        elif what == "f" and running:
            queues.served(running.pop(which % len(running)), now)
        elif what == "l" and waiting:
            assert queues.leave(waiting.pop(which % len(waiting)), now)
        elif what == "w":
            queues.limit = which
        if what in "df":
            for ticket in queues.dispatch(now, ALL):
                waiting.remove(ticket)
                running.append(ticket)
                alone = ticket.seats == queues.seats_in_use
                assert alone or queues.seats_in_use <= max(limit, 4)
            head_fits = queues.waiting and any(queues.has_room(t.seats) for t in waiting)
            assert not head_fits or queues.full
        assert queues.waiting == len(waiting)
        assert queues.executing == len(running) == sum(flow.executing for flow in flows)
        assert queues.seats_in_use == sum(t.seats for t in running)
        assert queues.demand.seats == sum(t.seats for t in (*running, *waiting))
        assert all(len(queue.waiting) <= length for queue in queues.used.values())
    queues.limit = 10
    for _ in range(len(waiting) + len(running) + 1):  # everybody is served in the end
        for ticket in running:
            queues.served(ticket, now)
        running = queues.dispatch(now, ALL)
        waiting = [ticket for ticket in waiting if ticket.waiting]
    assert not waiting
    assert queues.is_idle
    assert not queues.used


# -- demand --------------------------------------------------------------------------------------------------------------


def test_demand_is_weighted_by_time() -> None:
    demand = Demand(100.0)
    demand.add(2, 101.0)
    demand.add(2, 103.0)
    demand.add(-4, 104.0)
    observed = demand.reset(105.0)
    assert observed.highest == 4
    assert observed.average == pytest.approx((0 + 2 * 2 + 4 + 0) / 5)
    assert observed.deviation == pytest.approx(((0 + 4 * 2 + 16 + 0) / 5 - (8 / 5) ** 2) ** 0.5)
    assert demand.reset(106.0) == (0, 0.0, 0.0)


def test_demand_goes_on_over_periods() -> None:
    demand = Demand(0.0)
    demand.add(3, 0.0)
    demand.reset(10.0)
    observed = demand.reset(20.0)
    assert observed.highest == 3
    assert observed.average == pytest.approx(3)
    assert observed.deviation == pytest.approx(0, abs=1e-6)
