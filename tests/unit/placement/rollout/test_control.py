"""What can be asked of a rollout, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kafila.core.clock import rfc3339
from kafila.placement.rollout.control import (
    NotPossible,
    approved,
    carried_over,
    paused,
    resumed,
    rollout_of,
    summary,
    undone,
)

NOW = 1_000_000.0


def binding(phase: str, *, stable: str = "a1", asked: Any = None) -> Any:
    rows = [
        {"name": "m1", "phase": "Succeeded"},
        {"name": "m2", "phase": "Pending", "stage": "prod", "requireApproval": True},
    ]
    rollout = {"revision": "b2", "phase": phase, "clusters": rows, "message": "it waits"}
    if stable:
        rollout["stableRevision"] = stable
    spec: Any = {"rolloutStrategy": {"type": "Staged", "staged": {}}}  # its stages have been edited meanwhile
    if asked is not None:
        spec["rollout"] = asked
    return {"metadata": {}, "spec": spec, "status": {"rollout": rollout}}


def resume(of: Any) -> Any:
    return resumed(of, NOW)


def test_what_is_asked_for() -> None:
    first = approved(binding("WaitingForApproval"))
    assert first == {"revision": "b2", "undo": False, "approvedStages": ["prod"]}
    earlier = {"revision": "a1", "approvedStages": ["prod", "other"], "undo": True}
    assert approved(binding("WaitingForApproval", asked=earlier)) == first
    also = {"revision": "b2", "approvedStages": ["canary"]}
    assert approved(binding("WaitingForApproval", asked=also))["approvedStages"] == ["canary", "prod"]
    assert paused(binding("Progressing")) == {"paused": True}
    asked = {"paused": False, "undo": False, "resumeTriggeredAt": rfc3339(NOW)}
    assert resume(binding("Failed")) == asked
    assert resume(binding("Paused", asked={"paused": True})) == asked
    assert undone(binding("Succeeded")) == {"revision": "b2", "undo": True, "paused": False, "approvedStages": []}


@pytest.mark.parametrize(
    ("ask", "of", "why"),
    [
        (approved, binding("Progressing"), "no stage of it waits for an approval: it is Progressing"),
        (paused, binding("Succeeded"), "there is nothing to pause: it is Succeeded"),
        (resume, binding("Progressing"), "there is nothing to resume: it is Progressing"),
        (undone, binding("RolledBack"), "it has been rolled back to a1"),
        (
            undone,
            binding("Failed", stable=""),
            "no earlier revision had been everywhere: there is nothing to go back to",
        ),
        (
            rollout_of,
            {"metadata": {}, "spec": {}},
            "it has no rollout: its policy has no rolloutStrategy of the type Staged, or it is nowhere yet",
        ),
    ],
)
def test_what_is_refused(ask: Callable[[Any], object], of: Any, why: str) -> None:
    with pytest.raises(NotPossible, match=why):
        ask(of)


def test_what_was_said_of_a_revision_is_over_with_its_rollout() -> None:
    said: Any = {"revision": "b2", "undo": True, "approvedStages": ["prod"], "resumeTriggeredAt": rfc3339(NOW)}
    assert carried_over(said) is None
    assert carried_over({**said, "paused": True}) == {"paused": True}


def test_in_one_sentence() -> None:
    assert summary(binding("Progressing")) == "revision b2: Progressing, 1 of 2 clusters: it waits"
