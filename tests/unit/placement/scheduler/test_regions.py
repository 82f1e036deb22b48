import itertools

from hypothesis import given
from hypothesis import strategies as st

from kafila.placement.scheduler.regions import Region, choose_regions, region_score


def chosen(regions: list[tuple[str, int, int]], fewest: int, most: int, clusters: int) -> list[str]:
    return [region.name for region in choose_regions([Region(*each) for each in regions], fewest, most, clusters)]


def test_examples_of_karmada() -> None:
    assert chosen([("R1", 2, 100), ("R2", 3, 80)], 1, 1, 2) == ["R1"]
    assert chosen([("R1", 2, 100), ("R2", 3, 80)], 1, 1, 3) == ["R2"]
    assert chosen([("R1", 1, 90), ("R2", 3, 70), ("R3", 2, 80), ("R4", 4, 50)], 2, 2, 4) == ["R1", "R2"]
    assert chosen([("R1", 2, 100)], 1, 1, 3) == []
    assert chosen([], 1, 1, 1) == []


def test_no_more_regions_than_needed() -> None:
    # All three weigh more than two, but the two heaviest alone are enough.
    assert chosen([("a", 2, 30), ("b", 2, 20), ("c", 1, 10)], 1, 3, 4) == ["a", "b"]


def test_as_many_regions_as_the_minimum_leaves_no_choice() -> None:
    assert chosen([("a", 1, 1), ("b", 1, 2)], 2, 3, 2) == ["b", "a"]
    assert chosen([("a", 1, 1), ("b", 1, 2)], 2, 3, 3) == []


REGIONS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3000)), min_size=1, max_size=5)


@given(REGIONS, st.integers(1, 4), st.integers(1, 5), st.integers(0, 12))
def test_a_choice_meets_the_constraints_and_is_found_if_there_is_one(
    found: list[tuple[int, int]], fewest: int, most: int, clusters: int
) -> None:
    regions = [Region(f"r{index}", value, weight) for index, (value, weight) in enumerate(found)]
    result = choose_regions(regions, fewest, most, clusters)
    possible = any(
        sum(region.value for region in group) >= clusters
        for size in range(fewest, most + 1)
        for group in itertools.combinations(regions, size)
    )
    assert bool(result) == possible
    if result:
        assert fewest <= len(result) <= most
        assert sum(region.value for region in result) >= clusters
    assert choose_regions(regions[::-1], fewest, most, clusters) == result


def test_scores() -> None:
    # Duplicated: clusters with room for all count a thousand each.
    assert region_score([(10, 100), (10, 0), (1, 100)], 5, True, 1, 1) == 2050
    assert region_score([(1, 100)], 5, True, 1, 1) == 0
    # Divided: enough room counts as what is wanted, too little as what there is.
    assert region_score([(10, 100), (10, 0), (9, 0)], 20, False, 2, 2) == 10_050
    assert region_score([(3, 100), (2, 0)], 20, False, 2, 2) == 5_050
