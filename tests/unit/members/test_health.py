from __future__ import annotations

import pytest

from kafila.members.health import (
    CREDENTIALS,
    SUMMARY,
    History,
    Observation,
    cluster_status,
    ready_condition,
    with_expiry,
    with_summary,
)

UP = Observation(
    online=True,
    healthy=True,
    version="v1.30.1",
    enablements=[{"groupVersion": "v1", "resources": [{"name": "pods", "kind": "Pod"}]}],
    complete=True,
    node_summary={"totalNum": 1, "readyNum": 1},
    resource_summary={"allocatable": {"cpu": "1"}},
)
AWAY = Observation(online=False)
SICK = Observation(online=True)


def reason(status: dict) -> str:
    return next(c["reason"] for c in status["conditions"] if c["type"] == "Ready")


@pytest.mark.parametrize(
    ("observation", "status", "why", "message"),
    [
        (UP, "True", "ClusterReady", "cluster is healthy and ready to accept workloads"),
        (AWAY, "False", "ClusterNotReachable", "cluster is not reachable"),
        (SICK, "False", "ClusterNotReady", "cluster is reachable but health endpoint responded without ok"),
        (
            Observation(online=False, failure="no secret"),
            "False",
            "StatusCollectionFailed",
            "failed to create a ClusterClient: no secret",
        ),
    ],
)
def test_ready_condition(observation: Observation, status: str, why: str, message: str) -> None:
    condition = ready_condition(observation)
    assert (condition["status"], condition["reason"], condition["message"]) == (status, why, message)


def test_the_first_observation_counts_at_once() -> None:
    for observation, expected in ((UP, "ClusterReady"), (AWAY, "ClusterNotReachable")):
        status, _ = cluster_status({}, observation, 100.0)
        assert reason(status) == expected
    # also after a restart of ours, whatever the condition was
    up, _ = cluster_status({}, UP, 100.0)
    away, _ = cluster_status(up, AWAY, 200.0)
    assert reason(away) == "ClusterNotReachable"


def test_short_breaks_change_nothing() -> None:
    up, history = cluster_status({}, UP, 0.0)
    blip, history = cluster_status(up, AWAY, 10.0, history)
    assert blip == up
    still, history = cluster_status(blip, AWAY, 39.0, history)
    assert still == up
    back, history = cluster_status(still, UP, 39.5, history)
    assert back == up
    again, history = cluster_status(back, AWAY, 60.0, history)  # counts from its own beginning
    assert again == up
    gone, history = cluster_status(again, AWAY, 90.0, history)
    assert reason(gone) == "ClusterNotReachable"
    assert gone["nodeSummary"] == up["nodeSummary"]  # what was known stays
    assert gone["kubernetesVersion"] == "v1.30.1"


def test_a_member_that_came_back_has_to_stay() -> None:
    gone, history = cluster_status({}, AWAY, 0.0)
    back, history = cluster_status(gone, UP, 10.0, history)
    assert reason(back) == "ClusterNotReachable"
    assert "kubernetesVersion" not in back
    ready, history = cluster_status(back, UP, 40.0, history)
    assert reason(ready) == "ClusterReady"
    assert ready["kubernetesVersion"] == "v1.30.1"


def test_between_unready_states_nothing_is_held_back() -> None:
    gone, history = cluster_status({}, AWAY, 0.0)
    sick, _ = cluster_status(gone, SICK, 1.0, history)
    assert reason(sick) == "ClusterNotReady"
    unknown = {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "ClusterStatusUnknown"}]}
    known, _ = cluster_status(unknown, AWAY, 1.0, History("Unknown", 0.0))
    assert reason(known) == "ClusterNotReachable"


def test_partial_and_empty_enablements() -> None:
    partial, _ = cluster_status({}, UP._replace(complete=False), 0.0)
    first = partial["conditions"][0]
    assert (first["type"], first["status"], first["reason"]) == ("CompleteAPIEnablements", "False", "Partial")
    assert first["message"] == "might collect partial APIEnablements(1) from the cluster"
    empty, _ = cluster_status(partial, UP._replace(enablements=[]), 0.0)
    assert empty["conditions"][0]["reason"] == "Empty"
    assert "apiEnablements" not in empty


def test_nothing_changes_while_nothing_changes() -> None:
    status, history = cluster_status({}, UP, 0.0)
    same, _ = cluster_status(status, UP, 1000.0, history)
    assert same == status
    assert status["conditions"][1]["lastTransitionTime"] == "1970-01-01T00:00:00Z"


def test_summaries_that_were_not_collected_stay() -> None:
    status, history = cluster_status({}, UP, 0.0)
    later, _ = cluster_status(status, UP._replace(node_summary=None, resource_summary=None), 1.0, history)
    assert later["nodeSummary"] == status["nodeSummary"]


def test_the_previous_status_is_left_alone() -> None:
    previous = {"conditions": [{"type": "Other", "status": "True"}], "remedyActions": ["x"]}
    status, _ = cluster_status(previous, UP, 0.0)
    assert previous == {"conditions": [{"type": "Other", "status": "True"}], "remedyActions": ["x"]}
    assert status["remedyActions"] == ["x"]
    assert [c["type"] for c in status["conditions"]] == ["Other", "CompleteAPIEnablements", "Ready"]


def test_the_end_of_a_token_is_reported_and_forgotten() -> None:
    status, _ = cluster_status({}, UP, 0.0)
    assert with_expiry(status, None, 0.0) is status
    until = "1970-01-01T00:16:40Z: join the cluster again, or put another token into its secret"
    expiring = with_expiry(status, 1000.0, 100.0)
    expired = with_expiry(expiring, 1000.0, 1000.0)
    found = [next(c for c in s["conditions"] if c["type"] == CREDENTIALS) for s in (expiring, expired)]
    assert [(c["status"], c["reason"], c["message"]) for c in found] == [
        ("True", "TokenExpires", f"the token expires at {until}"),
        ("False", "TokenExpired", f"the token expired at {until}"),
    ]
    assert with_expiry(expiring, 1000.0, 200.0) == expiring  # no write each time
    assert with_expiry(expired, None, 1001.0) == status


def test_what_the_summary_leaves_out_is_said_while_it_does() -> None:
    up, _ = cluster_status({}, UP, 0.0)
    assert with_summary(up, UP, 0.0) is up
    cut = with_summary(up, UP._replace(left_out=7), 1.0)
    (found,) = (c for c in cut["conditions"] if c["type"] == SUMMARY)
    assert (found["status"], found["reason"]) == ("False", "TooManyResources")
    assert found["message"].startswith("7 resources are left out: at most 256 are listed")
    assert with_summary(cut, AWAY, 2.0) is cut  # nothing new is known
    assert with_summary(cut, UP, 3.0) == up
