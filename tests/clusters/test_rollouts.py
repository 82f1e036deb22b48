"""Staged rollouts over real members, one of them in pull mode, and replicas between bounds and by scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cluster_federation import Federation, agent_of_kafila, deployment, federation_alone, policy, replicas
from cluster_harness import Member, Members
from cluster_rollouts import BROKEN, NEW, OLD, PULLED, image, phases, revision, rollout, staged


@pytest.fixture(scope="module")
def plane(
    lab: Members, member1: Member, member2: Member, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    """member1 joined, member2 in pull mode with kafila's agent."""
    folder = tmp_path_factory.mktemp("serve")
    with federation_alone(lab, keep_logs_in=folder) as plane:
        plane.join(member1)
        agent = agent_of_kafila(plane, member2, PULLED, folder)
        agent.start()
        try:
            plane.eventually("the agent reports", lambda: plane.is_ready(PULLED))
            yield plane
            plane.kafila("unregister", PULLED, f"--cluster-kubeconfig={member2.kubeconfig}")
        finally:
            agent.stop()
        plane.unjoin("member1")


def is_everywhere(plane: Federation, name: str, *members: Member, of: str) -> bool:
    return rollout(plane, name).get("phase") == "Succeeded" and [image(each, name) for each in members] == [of] * 2


def test_a_revision_passes_from_a_joined_member_to_one_in_pull_mode(
    plane: Federation, member1: Member, member2: Member
) -> None:
    plane.apply(staged("first", order=["member1", PULLED], timeout="4s"), deployment("first"))
    plane.eventually("the first revision", lambda: is_everywhere(plane, "first", member1, member2, of=OLD))
    stable = rollout(plane, "first")["revision"]
    assert [revision(each, "first") for each in (member1, member2)] == [stable, stable]
    plane.kubectl("set", "image", "deployment/first", f"web={BROKEN}")
    plane.eventually("it fails", lambda: rollout(plane, "first")["phase"] == "Failed")
    assert phases(plane, "first") == {"member1": "Failed", PULLED: "Pending"}
    assert (image(member1, "first"), image(member2, "first")) == (BROKEN, OLD)
    plane.kafila("rollout", "undo", "deployment/first")
    plane.eventually("it is taken back", lambda: image(member1, "first") == OLD)
    assert revision(member1, "first") == stable
    plane.kubectl("set", "image", "deployment/first", f"web={NEW}")
    plane.eventually("the next one passes", lambda: is_everywhere(plane, "first", member1, member2, of=NEW))
    plane.kubectl("delete", "deployment/first", "propagationpolicy/first")


def test_the_gate_waits_for_the_report_of_an_agent(plane: Federation, member1: Member, member2: Member) -> None:
    plane.apply(staged("back", order=[PULLED, "member1"], timeout="4s"), deployment("back"))
    plane.eventually("the first revision", lambda: is_everywhere(plane, "back", member1, member2, of=OLD))
    plane.kubectl("set", "image", "deployment/back", f"web={BROKEN}")
    plane.eventually("it fails", lambda: rollout(plane, "back")["phase"] == "Failed")
    assert phases(plane, "back") == {PULLED: "Failed", "member1": "Pending"}
    assert (image(member1, "back"), image(member2, "back")) == (OLD, BROKEN)
    plane.kubectl("set", "image", "deployment/back", f"web={NEW}")
    plane.eventually("the next one passes", lambda: is_everywhere(plane, "back", member1, member2, of=NEW))
    plane.kubectl("delete", "deployment/back", "propagationpolicy/back")


DYNAMIC = {
    "replicaSchedulingType": "Divided",
    "replicaDivisionPreference": "Weighted",
    "weightPreference": {"dynamicWeight": "AvailableReplicas"},
}


def annotated(name: str, annotations: dict[str, str]) -> dict:
    found = policy(name, clusters=("member1", PULLED))
    found["spec"]["placement"]["replicaScheduling"] = DYNAMIC
    found["metadata"]["annotations"] = {f"placement.kafila.io/{key}": text for key, text in annotations.items()}
    return found


def spread(member1: Member, member2: Member, name: str) -> list[int]:
    return [replicas(each, name) for each in (member1, member2)]


def test_replicas_keep_to_the_bounds_of_their_clusters(plane: Federation, member1: Member, member2: Member) -> None:
    bounds = [{"clusterNames": [PULLED], "maxReplicas": 1}, {"clusterNames": ["member1"], "minReplicas": 2}]
    plane.apply(annotated("bounded", {"replica-bounds": json.dumps(bounds)}), deployment("bounded", replicas=6))
    plane.eventually("divided", lambda: spread(member1, member2, "bounded") == [5, 1])
    plane.kubectl("scale", "deployment/bounded", "--replicas=8")
    plane.eventually("scaled", lambda: spread(member1, member2, "bounded") == [7, 1])
    plane.kubectl("delete", "deployment/bounded", "propagationpolicy/bounded")


def test_replicas_go_where_scores_lead_them(plane: Federation, member1: Member, member2: Member) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    score = {
        "apiVersion": "placement.kafila.io/v1alpha1",
        "kind": "ClusterScore",
        "metadata": {"name": "cost"},
        "spec": {"ttlSeconds": 3600, "renewTime": now, "scores": [
            {"cluster": "member1", "value": 10}, {"cluster": PULLED, "value": 30},
        ]},
    }  # fmt: skip
    plane.apply(score, annotated("thrifty", {"inverse-weight-by": "cost"}), deployment("thrifty", replicas=8))
    plane.eventually("three of four where they cost a third", lambda: spread(member1, member2, "thrifty") == [6, 2])
    plane.kubectl("delete", "deployment/thrifty", "propagationpolicy/thrifty", "clusterscore/cost")
