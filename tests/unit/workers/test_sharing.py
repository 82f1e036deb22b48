"""Who of several worker processes has which member clusters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafila.workers.sharing import SHARDS, owners, plan, shard_of, weights_of

CLUSTERS = st.lists(st.text("abcdefghij-0123456789", min_size=1, max_size=12), max_size=150, unique=True)
WORKERS = st.sets(st.sampled_from([f"w{number}" for number in range(7)]), min_size=1)
HOLDERS = st.dictionaries(st.integers(0, SHARDS - 1), st.sampled_from([f"w{number}" for number in range(9)] + [""]))


def load(worker: str, found: list[str], weights: list[int]) -> int:
    return sum(weight for weight, owner in zip(weights, found, strict=True) if owner == worker)


def settled(weights: list[int], holders: dict[int, str], workers: set[str]) -> tuple[dict[int, str], int]:
    """What becomes of it when each process follows its own plan, one after the other, and how many shards moved from one that is there."""
    holders, moves = dict(holders), 0
    for _ in range(2 * SHARDS):
        before = dict(holders)
        for me in sorted(workers):
            wanted = plan(weights, holders, workers, me)
            moves += len(wanted.give)
            holders |= dict.fromkeys(wanted.give, "") | dict.fromkeys(wanted.take, me)
        if holders == before:
            return holders, moves
    raise AssertionError("they never agree")


def test_a_cluster_is_always_in_the_same_shard() -> None:
    """Of another one every process that is not restarted at the same moment would think otherwise."""
    assert [shard_of(name) for name in ("m1", "m2", "member-with-a-long-name")] == [43, 62, 15]
    assert SHARDS == 64


@given(CLUSTERS, HOLDERS, WORKERS)
def test_no_shard_that_moves_would_make_them_more_equal(
    clusters: list[str], holders: dict[int, str], workers: set[str]
) -> None:
    weights = weights_of(clusters)
    found = owners(weights, holders, workers)
    assert set(found) <= workers
    loads = {worker: load(worker, found, weights) for worker in workers}
    most = max(loads, key=lambda worker: (loads[worker], worker))
    gap = loads[most] - min(loads.values())
    assert all(weight >= gap for weight, owner in zip(weights, found, strict=True) if owner == most)


@given(CLUSTERS, HOLDERS, WORKERS)
def test_each_by_itself_comes_to_what_stays(clusters: list[str], holders: dict[int, str], workers: set[str]) -> None:
    weights = weights_of(clusters)
    found, _ = settled(weights, holders, workers)
    assert len(found) == SHARDS
    assert owners(weights, found, workers) == [found[shard] for shard in range(SHARDS)]


@given(CLUSTERS, WORKERS)
def test_nobody_gives_and_takes_the_same(clusters: list[str], workers: set[str]) -> None:
    weights = weights_of(clusters)
    alone = dict.fromkeys(range(SHARDS), "w0")
    plans = {me: plan(weights, alone, workers | {"w0"}, me) for me in workers | {"w0"}}
    assert all(not plans[me].give for me in plans if me != "w0")
    assert not any(plans[me].take for me in plans), "what one has no other one takes"


@given(CLUSTERS, st.sets(st.sampled_from([f"w{number}" for number in range(7)]), min_size=2), st.data())
def test_only_what_the_dead_had_moves_when_one_dies(
    clusters: list[str], workers: set[str], data: st.DataObject
) -> None:
    """But for what then evens out those that are left."""
    weights = weights_of(clusters)
    before, _ = settled(weights, {}, workers)
    dead = data.draw(st.sampled_from(sorted(workers)))
    after, moves = settled(weights, before, workers - {dead})
    moved = [shard for shard in range(SHARDS) if before[shard] not in (dead, after[shard])]
    assert len(moved) <= moves
    assert sum(weights[shard] for shard in moved) <= max(weights) * len(workers)


@given(CLUSTERS, st.sets(st.sampled_from([f"w{number}" for number in range(6)]), min_size=1))
def test_shards_only_move_to_one_that_is_new(clusters: list[str], workers: set[str]) -> None:
    weights = weights_of(clusters)
    before, _ = settled(weights, {}, workers)
    after, _ = settled(weights, before, {*workers, "w6"})
    even = sum(weights) / (len(workers) + 1)
    got = [shard for shard in range(SHARDS) if after[shard] == "w6"]
    assert sum(weights[shard] for shard in got) <= even + max(weights)
    others = [shard for shard in range(SHARDS) if after[shard] not in ("w6", before[shard])]
    assert sum(weights[shard] for shard in others) <= max(weights) * len(workers)


def test_few_clusters_are_shared_out_evenly_whatever_their_hashes_are() -> None:
    clusters = [f"member{number}" for number in range(40)]
    same = [name for name in clusters if shard_of(name) % 2 == 0][:6]  # of those that one of two would have by number
    weights = weights_of(same)
    found = owners(weights, {}, {"a", "b"})
    assert sorted(found[shard_of(name)] for name in same) in (list("aaabbb"), list("aabbbb"), list("aaaabb"))
    assert abs(load("a", found, weights) - load("b", found, weights)) <= max(weights)


def test_one_that_is_alone_has_everything() -> None:
    weights = weights_of(["m1", "m2"])
    assert plan(weights, {}, {"a"}, "a") == (list(range(SHARDS)), [])
    assert plan(weights, dict.fromkeys(range(SHARDS), "a"), {"a"}, "a") == ([], [])
    assert plan(weights, dict.fromkeys(range(SHARDS), "gone"), {"a"}, "a").take == list(range(SHARDS))
