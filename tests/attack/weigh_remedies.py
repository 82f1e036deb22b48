"""Prints what it takes to look at the Remedies of a cluster with n, 2n and 4n matches, and conditions."""

from __future__ import annotations

from . import weighing

weighing.install()

import json  # noqa: E402
from typing import Any  # noqa: E402

from kafila.placement.remedy import actions_for  # noqa: E402


def weight_of(count: int) -> dict[str, int]:
    cluster: Any = {"status": {"conditions": [{"type": f"C{number}", "status": "True"} for number in range(count)]}}
    matches = [
        {"clusterConditionMatch": {"conditionType": f"C{number}", "operator": "Equal", "conditionStatus": "False"}}
        for number in range(count)
    ]
    weighing.weights.clear()
    assert actions_for(cluster, [{"spec": {"decisionMatches": matches, "actions": ["TrafficControl"]}}]).actions == []
    return dict(weighing.weights)


weight_of(10)
print(json.dumps({"case": "remedies", "weights": [weight_of(count) for count in (500, 1000, 2000)]}))
