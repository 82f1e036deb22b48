"""Staged rollouts with an approval over real members, one of them in pull mode with an unmodified karmada-agent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster_federation import Federation, deployment, federation_alone, run
from cluster_harness import Member, Members
from cluster_karmada_agent import Agent, register_command
from cluster_rollouts import BROKEN, NEW, OLD, PULLED, image, phases, revision, rollout, staged

STAGES = [
    {"name": "canary", "targetClusters": {"clusterNames": [PULLED]}},
    {"name": "rest", "targetClusters": {"clusterNames": ["member1"]}, "requireApproval": True},
]


@pytest.fixture(scope="module")
def plane(
    lab: Members, member1: Member, member2: Member, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    """member1 joined, member2 in pull mode with Karmada's agent."""
    folder = tmp_path_factory.mktemp("serve")
    with federation_alone(lab, keep_logs_in=folder) as plane:
        plane.join(member1)
        where = (f"--kubeconfig={member2.kubeconfig}", f"--cluster-name={PULLED}")
        run(plane.lab.bin / "karmadactl", *register_command(plane), *where)
        agent = Agent(plane, member2, tmp_path_factory.mktemp("agent"))
        agent.process.start()
        try:
            plane.eventually("the agent reports", lambda: plane.is_ready(PULLED))
            yield plane
            access = (f"--karmada-config={plane.kubeconfig}", f"--cluster-kubeconfig={member2.kubeconfig}")
            run(plane.lab.bin / "karmadactl", "unregister", PULLED, *access)
        finally:
            agent.process.stop()
        plane.unjoin("member1")


def phase(plane: Federation) -> str:
    return str(rollout(plane, "web").get("phase"))


def approve(plane: Federation) -> None:
    plane.eventually("the first stage is done", lambda: phase(plane) == "WaitingForApproval")
    plane.kafila("rollout", "approve", "deployment/web")
    plane.eventually("it is everywhere", lambda: phase(plane) == "Succeeded")


def test_stages_with_an_approval(plane: Federation, member1: Member, member2: Member) -> None:
    plane.apply(staged("web", stages=STAGES), deployment("web"))
    plane.eventually("the first stage has it", lambda: image(member2, "web") == OLD)
    plane.eventually("the agent's report lets it wait", lambda: phase(plane) == "WaitingForApproval")
    assert image(member1, "web") == ""
    approve(plane)
    assert image(member1, "web") == OLD

    plane.kubectl("set", "image", "deployment/web", f"web={NEW}")
    plane.eventually("the first stage is done", lambda: phase(plane) == "WaitingForApproval")
    assert phases(plane, "web") == {PULLED: "Succeeded", "member1": "Pending"}
    assert (image(member2, "web"), image(member1, "web")) == (NEW, OLD)
    assert revision(member2, "web") == rollout(plane, "web")["revision"] != revision(member1, "web")
    plane.kubectl("scale", "deployment/web", "--replicas=3")  # no revision: both have it
    replicas = "jsonpath={.status.readyReplicas}"
    for member in (member1, member2):
        ready = ("get", "deployment", "web", "-o", replicas)
        plane.eventually("scaled", lambda member=member, ready=ready: member.kubectl(*ready) == "3")
    assert image(member1, "web") == OLD
    approve(plane)
    assert (image(member2, "web"), image(member1, "web")) == (NEW, NEW)


def test_what_does_not_get_well_there_goes_nowhere_else(plane: Federation, member1: Member, member2: Member) -> None:
    plane.apply(staged("web", stages=STAGES, timeout="8s"))
    stable = rollout(plane, "web")["revision"]
    plane.kubectl("set", "image", "deployment/web", f"web={BROKEN}")
    plane.eventually("it fails", lambda: phase(plane) == "Failed")
    assert phases(plane, "web") == {PULLED: "Failed", "member1": "Pending"}
    assert image(member1, "web") == NEW
    plane.kafila("rollout", "undo", "deployment/web")
    plane.eventually("it is taken back", lambda: image(member2, "web") == NEW)
    assert revision(member2, "web") == stable
    plane.kubectl("delete", "deployment/web", "propagationpolicy/web")
    plane.eventually("it is gone", lambda: image(member2, "web") == "")
