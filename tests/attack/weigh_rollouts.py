"""Prints what one look at a rollout of n, 2n and 4n clusters does, each time with a newer template."""

from __future__ import annotations

from . import weighing

weighing.install()

import json  # noqa: E402
from typing import Any  # noqa: E402

from kafila.placement.rollout.advance import Seen  # noqa: E402
from kafila.placement.rollout.begin import revisions_by_cluster  # noqa: E402
from kafila.placement.rollout.follow import Revised, follow  # noqa: E402
from kafila.placement.rollout.gate import Report  # noqa: E402

NOW = 1_700_000_000.0


def weight_of(count: int, wanted: Any) -> dict[str, int]:
    names = [f"m{number}" for number in range(count)]
    seen = Seen(frozenset(names), {name: Report(False, "ill") for name in names})
    clusters: Any = {name: {"metadata": {"name": name, "labels": {"a": "b"}}} for name in names}
    first = follow(None, wanted, Revised("a1", 1), seen, clusters, NOW)
    assert first is not None
    weighing.weights.clear()
    second = follow(first.status, wanted, Revised("b2", 2), seen, clusters, NOW)
    assert second is not None
    revision_of = revisions_by_cluster(second.status)
    for name in names:
        revision_of(name)
    return dict(weighing.weights)


CASES: dict[str, Any] = {
    "one by one": {},
    "ordered": {"order": [f"m{number}" for number in range(0, 1000, 2)]},
    "in one stage": {"stages": [{"name": "all", "targetClusters": {"labelSelector": {"matchLabels": {"a": "b"}}}}]},
}
for case, wanted in CASES.items():
    weight_of(10, wanted)
    print(json.dumps({"case": case, "weights": [weight_of(count, wanted) for count in (500, 1000, 2000)]}))
