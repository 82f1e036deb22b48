"""Members of the whole control plane: joined by either program, observed, unjoined by either."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_harness import ControlPlane, Member, Members

from kafila.catalog.version import KUBERNETES_VERSION

Command = list[str | Path]


def commands(lab: Members, program: str, kafila: ControlPlane, member: Member) -> tuple[Command, Command]:
    """How to join and how to unjoin."""
    start: Command = [sys.executable, "-c", "from kafila.cli import main; main()"] if program == "kafila" else []
    start = start or [lab.bin / "karmadactl"]
    flags = [
        member.name,
        f"--kubeconfig={kafila.kubeconfig}",
        f"--cluster-kubeconfig={member.kubeconfig}",
        f"--cluster-context={member.name}",
    ]
    return [*start, "join", *flags, "--cluster-region=r"], [*start, "unjoin", *flags]


def run(command: Command) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("joins", "unjoins"), [("kafila", "karmadactl"), ("karmadactl", "kafila")])
def test_a_member_is_joined_observed_and_unjoined(
    lab: Members, kafila: ControlPlane, member1: Member, joins: str, unjoins: str
) -> None:
    join, _ = commands(lab, joins, kafila, member1)
    _, unjoin = commands(lab, unjoins, kafila, member1)
    assert run(join) == "cluster(member1) is joined successfully\n"
    kafila.kubectl("wait", "cluster/member1", "--for=condition=Ready", "--timeout=90s")
    nodes = "--for=jsonpath={.status.nodeSummary.readyNum}=2"
    kafila.kubectl("wait", "cluster/member1", nodes, "--timeout=90s")
    cluster = json.loads(kafila.kubectl("get", "cluster", "member1", "-o", "json"))
    assert cluster["spec"]["syncMode"] == "Push"
    assert cluster["spec"]["region"] == "r"
    assert cluster["status"]["kubernetesVersion"] == KUBERNETES_VERSION
    secret = json.loads(kafila.kubectl("get", "secret", "-n", "karmada-cluster", "member1", "-o", "json"))
    assert secret["metadata"]["ownerReferences"][0]["uid"] == cluster["metadata"]["uid"]
    run(unjoin)
    assert kafila.kubectl("get", "cluster", "member1", "--ignore-not-found") == ""
    kafila.kubectl("wait", "secret/member1", "-n", "karmada-cluster", "--for=delete", "--timeout=60s")  # with its owner
    member1.kubectl("wait", "namespace/karmada-cluster", "--for=delete", "--timeout=60s")
