from __future__ import annotations

import pytest

from kafila.placement.replica_bounds import LONGEST, MOST_RULES, PATH, Bounds, BoundsError, bounds_of, bounds_text
from tests.unit.placement.objects import cluster

FLEET = [cluster("m1", labels={"tier": "edge"}), cluster("m2", labels={"tier": "edge"}), cluster("m3")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[{minReplicas: 1}]", {"m1": (1,), "m2": (1,), "m3": (1,)}),
        ("[{clusterNames: [m1, m9], minReplicas: 2, maxReplicas: 3}]", {"m1": (2, 3)}),
        ("[{clusterSelector: tier=edge, maxReplicas: 0}]", {"m1": (0, 0), "m2": (0, 0)}),
        ("[{clusterNames: [m2], clusterSelector: '!tier', maxReplicas: 0}]", {}),
        (
            '[{"clusterNames":["m1"],"maxReplicas":9},{"minReplicas":1},{"maxReplicas":5}]',
            {"m1": (1, 5), "m2": (1, 5), "m3": (1, 5)},
        ),
        ("- clusterNames: [m1]\n  minReplicas: 4\n- maxReplicas: 3\n", {"m1": (4, 3), "m2": (0, 3), "m3": (0, 3)}),
    ],
)
def test_what_the_rules_say_of_each_cluster(text: str, found: dict[str, tuple[int, ...]]) -> None:
    assert bounds_of(text, FLEET) == {name: Bounds(*each) for name, each in found.items()}


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("", "", "must be a list of rules"),
        ("[]", "", "must be a list of rules"),
        ("{minReplicas: 1}", "", "must be a list of rules"),
        ("[{]", "", "yaml: "),
        ("---\n- minReplicas: 1\n---\n- minReplicas: 2", "", "must be one document"),
        ("[&a {minReplicas: 1}, *a]", "", "must have no anchors or aliases"),
        ("[5]", "[0]", "must be a rule with clusterNames, clusterSelector, minReplicas, maxReplicas"),
        ("[{}]", "[0]", "minReplicas or maxReplicas"),
        ("[{minReplicas: 1, maxReplica: 2}]", "[0].maxReplica", "no such field"),
        ("[{minReplicas: 1, minReplicas: 2}]", "", 'key "minReplicas" already set in map'),
        ("[{minReplicas: 2, maxReplicas: 1}]", "[0].minReplicas", "must not be more than maxReplicas"),
        ("[{minReplicas: -1}]", "[0].minReplicas", "must be a number from 0 to 2147483647"),
        ("[{minReplicas: true}]", "[0].minReplicas", "must be a number"),
        ("[{minReplicas: 1.5}]", "[0].minReplicas", "must be a number"),
        ("[{minReplicas: .nan}]", "", "json"),
        (f"[{{minReplicas: {'9' * 5000}}}]", "[0].minReplicas", "must be a number"),
        ("[{minReplicas: 1, clusterNames: m1}]", "[0].clusterNames", "must be a list of names"),
        ("[{minReplicas: 1, clusterNames: [M 1]}]", "[0].clusterNames[0]", "lower case"),
        ("[{minReplicas: 1, clusterNames: [7]}]", "[0].clusterNames[0]", "must be a name"),
        ("[{minReplicas: 1, clusterSelector: 'a in (('}]", "[0].clusterSelector", "unable to parse"),
        ("[{minReplicas: 1, clusterSelector: {a: b}}]", "[0].clusterSelector", "must be a selector"),
        (f"[{'{minReplicas: 1},' * (MOST_RULES + 1)}]", "", f"must have at most {MOST_RULES} items"),
        (f"[{{minReplicas: 1}}]{' ' * LONGEST}", "", f"must be no longer than {LONGEST} characters"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, path: str, said: str) -> None:
    with pytest.raises(BoundsError) as refused:
        bounds_of(text, FLEET)
    (found,) = refused.value.found
    assert found.field == PATH + path
    assert said in str(found)


def test_the_rules_in_words() -> None:
    rules = (
        "[{minReplicas: 1}, {clusterNames: [m1, m2], clusterSelector: tier=edge, maxReplicas: 5},"
        " {clusterSelector: '!tier', minReplicas: 2, maxReplicas: 3}]"
    )
    text = "each cluster: at least 1; m1, m2 with tier=edge: at most 5; with !tier: 2 to 3"
    assert bounds_text(rules) == text
    assert "must be a list" in bounds_text("{}")
