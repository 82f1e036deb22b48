from __future__ import annotations

import pytest

from kafila.placement.allowed_clusters import NAMES, SELECTOR, Limit, limit_of, problems
from tests.unit.placement.objects import cluster

CLUSTERS = [cluster("m1"), cluster("m2"), cluster("m3")]
CLUSTERS[1]["metadata"]["labels"] = {"team": "a"}
CLUSTERS[2]["metadata"]["labels"] = {"team": "b"}


@pytest.mark.parametrize(
    ("annotations", "allowed"),
    [
        ({NAMES: "m1"}, {"m1"}),
        ({NAMES: " m1, m3 ,"}, {"m1", "m3"}),
        ({NAMES: "gone"}, set()),
        ({NAMES: "*"}, {"m1", "m2", "m3"}),
        ({NAMES: ""}, set()),
        ({SELECTOR: "team=a"}, {"m2"}),
        ({SELECTOR: "team in (a, b),team!=b"}, {"m2"}),
        ({SELECTOR: ""}, set()),  # what is empty allows nothing
        ({SELECTOR: "team=(("}, set()),  # nor does what was stored and cannot be read
        ({NAMES: "m1", SELECTOR: "team=a"}, {"m1", "m2"}),
    ],
)
def test_what_the_annotations_allow(annotations: dict[str, str], allowed: set[str]) -> None:
    limit = limit_of(annotations)
    assert limit is not None
    assert limit.among(CLUSTERS) == allowed


@pytest.mark.parametrize("annotations", [None, {}, {"placement.kafila.io/other": "m1"}])
def test_without_them_there_is_no_limit(annotations: dict[str, str] | None) -> None:
    assert limit_of(annotations) is None


def test_equal_limits_are_one() -> None:
    assert limit_of({NAMES: "a,b"}) == limit_of({NAMES: "b, a"}) == Limit(frozenset({"a", "b"}), "")


@pytest.mark.parametrize(
    ("annotations", "wrong"),
    [
        ({NAMES: "m1,m2", SELECTOR: "a=b,!c"}, []),
        ({NAMES: "*"}, []),
        ({NAMES: "m*"}, [f"metadata.annotations[{NAMES}]"]),
        ({NAMES: "m1,M 2"}, [f"metadata.annotations[{NAMES}]"]),
        ({SELECTOR: "a=("}, [f"metadata.annotations[{SELECTOR}]"]),
        ({SELECTOR: "a b"}, [f"metadata.annotations[{SELECTOR}]"]),
    ],
)
def test_what_is_wrong_with_them(annotations: dict[str, str], wrong: list[str]) -> None:
    assert [problem.field for problem in problems(annotations)] == wrong
