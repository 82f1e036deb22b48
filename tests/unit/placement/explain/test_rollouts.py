"""What ``kafila why`` says of a rollout."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.explain import Evidence, Report, explain
from tests.unit.placement.objects import binding, cluster, deployment


def explained(phase: str, *rows: Object, message: str = "waits", **status: Any) -> Report:
    names = [row["name"] for row in rows]
    made = binding(2, {}, clusters=[{"name": name, "replicas": 2} for name in names])
    made["metadata"] = {"name": "nginx-deployment", "namespace": "default"}
    rollout = {"revision": "b2", "phase": phase, "message": message, "clusters": list(rows), **status}
    made["status"] = {"conditions": [{"type": "Scheduled", "status": "True"}], "rollout": rollout}
    clusters = [cluster(name) for name in names]
    return explain(Evidence("Deployment", "default", "nginx", deployment(), binding=made, clusters=clusters))


@pytest.mark.parametrize(
    ("phase", "remedy"),
    [
        ("Progressing", "kafila rollout status deployment/nginx -n default"),
        ("Paused", "kafila rollout resume deployment/nginx -n default"),
        ("WaitingForApproval", "kafila rollout approve deployment/nginx -n default"),
        ("Failed", "Mend the template; or kafila rollout resume|undo deployment/nginx -n default"),
        ("RolledBack", "Mend the template; or kafila rollout resume deployment/nginx -n default"),
    ],
)
def test_what_to_do(phase: str, remedy: str) -> None:
    report = explained(phase, {"name": "m1", "phase": "Pending", "revision": "a1"})
    told = {advice.problem: advice.remedy for advice in report.advice}
    assert told[f"The rollout of revision b2 is {phase}: waits."] == remedy


def test_nothing_when_it_has_succeeded() -> None:
    report = explained("Succeeded", {"name": "m1", "phase": "Succeeded", "revision": "b2"})
    assert not any("rollout" in advice.problem.lower() for advice in report.advice)


def test_whose_turn_it_is() -> None:
    report = explained(
        "Progressing",
        {"name": "m1", "phase": "Progressing", "revision": "b2", "message": "it is unhealthy"},
        {"name": "m2", "phase": "Pending", "stage": "prod"},
    )
    why = {row.name: row.why for row in report.clusters}
    assert why["m1"].endswith("rollout Progressing: it is unhealthy")
    assert why["m2"] == "its turn in the rollout has not come (stage prod)"
    assert not any(advice.problem.startswith("m2: there is no Work") for advice in report.advice)
