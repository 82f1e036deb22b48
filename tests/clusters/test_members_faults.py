"""What users placed reaches members that were away meanwhile, and members' absence is reported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cluster_harness import ControlPlane, Member, Members, Options, wait_until

POLICY = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "PropagationPolicy",
    "metadata": {"name": "faults", "namespace": "default"},
    "spec": {
        "resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "placed"}],
        "placement": {"clusterAffinity": {"clusterNames": ["shaky"]}},
    },
}


def placed(value: str) -> str:
    template = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "placed", "namespace": "default"},
        "data": {"v": value},
    }
    return json.dumps(template)


@pytest.fixture(scope="module")
def shaky(lab: Members, kafila: ControlPlane) -> Iterator[Member]:
    (member,) = lab.start("shaky", options=Options(light=True, nodes=1))
    command = [sys.executable, "-c", "from kafila.cli import main; main()", "join", "shaky"]
    command += [f"--kubeconfig={kafila.kubeconfig}", f"--cluster-kubeconfig={member.kubeconfig}"]
    subprocess.run(command, check=True, timeout=120)
    kafila.kubectl("wait", "cluster/shaky", "--for=condition=Ready", "--timeout=90s")
    kafila.kubectl("apply", "-f", "-", stdin=json.dumps(POLICY))
    yield member
    member.stop()


def value_in(member: Member) -> str:
    return member.kubectl("get", "configmap", "placed", "--ignore-not-found", "-o", "jsonpath={.data.v}")


def holds(member: Member, value: str) -> None:
    wait_until(f"the member to hold {value!r}", lambda: value_in(member) == value)


@pytest.mark.long  # waits for both thresholds of the Ready condition, 30 s each
def test_changes_reach_a_member_that_was_killed_meanwhile(kafila: ControlPlane, shaky: Member) -> None:
    kafila.kubectl("apply", "-f", "-", stdin=placed("1"))
    holds(shaky, "1")
    shaky.kill_api()
    kafila.kubectl("apply", "-f", "-", stdin=placed("2"))
    kafila.kubectl("wait", "cluster/shaky", "--for=condition=Ready=False", "--timeout=120s")
    shaky.start_api()
    holds(shaky, "2")
    kafila.kubectl("wait", "cluster/shaky", "--for=condition=Ready", "--timeout=120s")


def test_what_is_changed_or_deleted_in_the_member_is_put_right(kafila: ControlPlane, shaky: Member) -> None:
    kafila.kubectl("apply", "-f", "-", stdin=placed("3"))
    holds(shaky, "3")
    shaky.kubectl("delete", "configmap", "placed")
    holds(shaky, "3")
    shaky.kubectl("patch", "configmap", "placed", '-p={"data":{"v":"tampered"}}')
    holds(shaky, "3")


def test_changes_reach_a_member_that_hung_meanwhile(kafila: ControlPlane, shaky: Member) -> None:
    shaky.pause()
    try:
        kafila.kubectl("apply", "-f", "-", stdin=placed("4"))
    finally:
        shaky.resume()
    holds(shaky, "4")


def test_the_control_plane_goes_on_after_a_kill(kafila: ControlPlane, shaky: Member) -> None:
    kafila.kubectl("apply", "-f", "-", stdin=placed("5"))
    kafila.process.stop(signal.SIGKILL)
    shaky.kubectl("patch", "configmap", "placed", '-p={"data":{"v":"tampered"}}', check=False)
    kafila.start()
    holds(shaky, "5")
