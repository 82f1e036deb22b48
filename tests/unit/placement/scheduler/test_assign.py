import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from kafila.core.hashes import fnv1a_32
from kafila.placement.scheduler.webster import Target, spread_by_targets, webster

NAMES = st.text("abcdefgh", min_size=1, max_size=3)
VOTES = st.dictionaries(NAMES, st.integers(0, 10_000), min_size=1, max_size=8)
EVEN = next(uid for uid in map(str, range(100)) if fnv1a_32(uid.encode()) % 2 == 0)
ODD = next(uid for uid in map(str, range(100)) if fnv1a_32(uid.encode()) % 2 == 1)
UIDS = st.sampled_from(["", EVEN, ODD])


def naive(seats: int, votes: dict[str, int], uid: str) -> dict[str, int]:
    """Seat by seat, with exact fractions."""
    given_seats = dict.fromkeys(votes, 0)
    descending = bool(uid) and fnv1a_32(uid.encode()) % 2 == 1
    for _ in range(seats):
        best = max(Fraction(votes[n], 2 * given_seats[n] + 1) for n in votes)
        tied = [n for n in votes if Fraction(votes[n], 2 * given_seats[n] + 1) == best]
        fewest = min(given_seats[n] for n in tied)
        tied = sorted(n for n in tied if given_seats[n] == fewest)
        given_seats[tied[-1] if descending else tied[0]] += 1
    return given_seats


@given(st.integers(0, 150), VOTES, UIDS)
def test_agrees_with_the_naive_method(seats: int, votes: dict[str, int], uid: str) -> None:
    assert dict(webster(seats, votes, uid)) == naive(seats, votes, uid)


@given(st.integers(0, 100_000), VOTES, UIDS)
def test_gives_away_every_seat_sorted_by_name(seats: int, votes: dict[str, int], uid: str) -> None:
    result = webster(seats, votes, uid)
    assert sum(target.replicas for target in result) == seats
    assert [target.name for target in result] == sorted(votes)
    assert all(target.replicas >= 0 for target in result)


@given(st.integers(0, 2_000), VOTES, UIDS)
def test_more_votes_never_mean_fewer_seats(seats: int, votes: dict[str, int], uid: str) -> None:
    result = dict(webster(seats, votes, uid))
    ordered = sorted(votes, key=lambda name: votes[name])
    for less, more in itertools.pairwise(ordered):
        if votes[less] < votes[more]:
            assert result[less] <= result[more]


@given(st.integers(0, 2_000), VOTES, UIDS)
def test_one_seat_more_takes_none_away(seats: int, votes: dict[str, int], uid: str) -> None:
    before, after = dict(webster(seats, votes, uid)), dict(webster(seats + 1, votes, uid))
    assert all(before[name] <= after[name] for name in votes)


@given(st.integers(0, 500), VOTES, UIDS, st.randoms())
def test_the_order_of_the_input_does_not_matter(seats: int, votes: dict[str, int], uid: str, random: object) -> None:
    shuffled = list(votes.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert webster(seats, dict(shuffled), uid) == webster(seats, votes, uid)


def test_the_uid_breaks_ties() -> None:
    assert dict(webster(1, {"a": 1, "b": 1})) == {"a": 1, "b": 0}
    assert dict(webster(1, {"a": 1, "b": 1}, EVEN)) == {"a": 1, "b": 0}
    assert dict(webster(1, {"a": 1, "b": 1}, ODD)) == {"a": 0, "b": 1}


def test_examples_of_karmada() -> None:
    assert dict(webster(9, {"a": 1, "b": 2})) == {"a": 3, "b": 6}
    assert dict(webster(9, {"a": 1, "b": 3})) == {"a": 2, "b": 7}
    assert dict(webster(12, {"a": 6, "b": 12, "c": 18})) == {"a": 2, "b": 4, "c": 6}


def test_no_weight_at_all_divides_nothing() -> None:
    assert spread_by_targets(5, [Target("a", 0), Target("b", 0)]) == []
    assert webster(5, {}) == []
