"""Deaths in the middle of work: of the control plane and of a member."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from cluster_federation import Federation, condition, deployment, policy, replicas
from cluster_harness import Member, Members, Options

BURST = 30
NOT_READY = "cluster.karmada.io/not-ready"


def names(member: Member) -> list[str]:
    found = json.loads(member.kubectl("get", "deployments", "-n", "burst", "-o", "json"))["items"]
    return sorted(f"{d['metadata']['name']}:{d['spec']['replicas']}" for d in found)


def test_a_kill_in_the_middle_of_a_burst_loses_nothing(
    federation: Federation, member1: Member, member2: Member
) -> None:
    federation.kubectl("create", "namespace", "burst")
    objects = [o for i in range(BURST) for o in (policy(f"d{i:02}", "burst"), deployment(f"d{i:02}", "burst", 1))]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = [federation.lab.bin / "kubectl", f"--kubeconfig={federation.kubeconfig}", "create", "-f", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as creating:
        assert creating.stdin is not None
        assert creating.stdout is not None
        creating.stdin.write(listed)
        creating.stdin.close()
        told = [creating.stdout.readline() for _ in range(BURST)]  # half of it is stored
        federation.kill()
        told += creating.stdout.readlines()
    stored = {line.split()[0].partition("/")[2] for line in told if line.startswith("deployment.apps/")}
    assert BURST / 2 - 1 <= len(stored) <= BURST
    federation.start()
    for member in (member1, member2):
        federation.eventually(
            "what was stored", lambda m=member: stored <= {name.partition(":")[0] for name in names(m)}
        )
    federation.apply(*objects)
    expected = [f"d{i:02}:1" for i in range(BURST)]
    for member in (member1, member2):
        federation.eventually("all", lambda m=member: names(m) == expected)
    bindings = federation.get("resourcebindings", "-n", "burst")["items"]
    assert sorted(b["metadata"]["name"] for b in bindings) == [f"d{i:02}-deployment" for i in range(BURST)]
    for cluster in ("member1", "member2"):
        works = federation.get("works", "-n", f"karmada-es-{cluster}")["items"]
        kinds = [w["spec"]["workload"]["manifests"][0]["kind"] for w in works]
        assert (kinds.count("Deployment"), kinds.count("Namespace")) == (BURST, 1)
    read = ("get", "deployments", "-n", "burst", "-o", "jsonpath={.items[*].status.readyReplicas}")
    federation.eventually("all ready", lambda: federation.kubectl(*read).split() == ["2"] * BURST)


def test_a_restart_writes_nothing_that_is_so_already(federation: Federation, member1: Member, member2: Member) -> None:
    line = '{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}={.metadata.resourceVersion}{"\\n"}{end}'
    kinds = "deployments,resourcebindings,works,propagationpolicies,namespaces"

    def versions() -> set[str]:
        """Of what the test does not change itself."""
        ours = federation.kubectl("get", kinds, "-A", "-o", f"jsonpath={line}").splitlines()
        for member in (member1, member2):
            theirs = member.kubectl("get", "deployments,namespaces", "-A", "-o", f"jsonpath={line}").splitlines()
            ours += [f"{member.name}/{found}" for found in theirs]
        return {found for found in ours if "still" not in found}

    federation.apply(deployment("still"), policy("still"))
    ready = ("get", "deployment", "still", "--no-headers")
    federation.eventually("4/2", lambda: federation.kubectl(*ready).split()[1] == "4/2")
    federation.eventually("all rolled out", lambda: set(rollouts(member1)) == {"NewReplicaSetAvailable"})
    before = versions()
    assert len(before) > BURST
    federation.kill()
    federation.start()
    # what is written after the start stands behind everything that the start found to do
    federation.kubectl("annotate", "deployment", "still", "look=here")
    read = ("get", "deployment", "still", "-o", "jsonpath={.metadata.annotations.look}")
    for member in (member1, member2):
        federation.eventually("a change", lambda m=member: m.kubectl(*read) == "here")
    assert versions() == before


def rollouts(member: Member) -> list[str]:
    """How far the member's own controller is with each Deployment: what it says last."""
    reasons = "{.items[*].status.conditions[?(@.type=='Progressing')].reason}"
    return member.kubectl("get", "deployments", "-A", "-o", f"jsonpath={reasons}").split()


@pytest.fixture(scope="module")
def frail(lab: Members, federation: Federation) -> Iterator[Member]:
    """A member of our own, whose API server comes and goes."""
    (member,) = lab.start("member3", options=Options(light=True))
    federation.join(member)
    yield member
    if not member.apiserver.alive:
        member.start_api()
    federation.unjoin("member3")
    member.stop()


def taints(federation: Federation) -> list[tuple[str, str]]:
    found = federation.get("cluster", "member3")["spec"].get("taints") or ()
    return [(taint["key"], taint["effect"]) for taint in found]


def test_a_member_that_was_away_catches_up(federation: Federation, frail: Member, member2: Member) -> None:
    everywhere = ("member2", "member3")
    federation.apply(*(o for n in ("old", "gone") for o in (deployment(n), policy(n, clusters=everywhere))))
    federation.eventually("both", lambda: (replicas(frail, "old"), replicas(frail, "gone")) == (2, 2))
    frail.kill_api()
    federation.apply(deployment("new"), policy("new", clusters=everywhere))
    federation.kubectl("scale", "deployment", "old", "--replicas=4")
    federation.kubectl("delete", "deployment", "gone", "--wait=false")
    # nobody else waits for it
    federation.eventually(
        "others", lambda: (replicas(member2, "new"), replicas(member2, "old"), replicas(member2, "gone")) == (2, 4, -1)
    )
    federation.eventually("it noticed", lambda: not federation.is_ready("member3"))
    ready = condition(federation.get("cluster", "member3"), "Ready")
    assert (ready["reason"], ready["message"]) == ("ClusterNotReachable", "cluster is not reachable")
    federation.eventually("it keeps new ones away", lambda: taints(federation) == [(NOT_READY, "NoSchedule")])
    frail.start_api()
    federation.eventually(
        "catching up", lambda: (replicas(frail, "new"), replicas(frail, "old"), replicas(frail, "gone")) == (2, 4, -1)
    )
    federation.eventually("ready again", lambda: federation.is_ready("member3"))
    federation.eventually("it takes new ones", lambda: taints(federation) == [])


def test_a_silent_member_keeps_nobody_waiting(federation: Federation, frail: Member, member2: Member) -> None:
    """Its API server takes connections and never answers."""
    frail.pause()
    try:
        everywhere = ("member2", "member3")
        many = [f"quiet{i}" for i in range(20)]
        federation.apply(*(o for n in many for o in (deployment(n), policy(n, clusters=everywhere))))
        federation.eventually("others", lambda: all(replicas(member2, n) == 2 for n in many))
    finally:
        frail.resume()
    federation.eventually("catching up", lambda: all(replicas(frail, n) == 2 for n in many))
