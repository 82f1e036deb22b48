"""The agent alone, from the chart, in a cluster whose API server nobody can call: its process runs as the Deployment says."""

from __future__ import annotations

import base64
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster_federation import Federation, Proxied, condition, deployment, federation_alone, policy, replicas, run
from cluster_harness import Member, Members, wait_until
from cluster_pods import Pod
from cluster_streams import WEBSOCKET, spoken
from cryptography import x509

from hack import chart

NAME = "branch"
_numbers = itertools.count(1)
KAFILA = (sys.executable, "-c", "from kafila.cli import main; main()")
NOWHERE = "https://192.0.2.1:6443"  # an address of no network
FLAGS = (
    f"--cluster-api-endpoint={NOWHERE}",
    "--cluster-status-update-frequency=1s",
    "--cluster-lease-duration=4s",
    "--cluster-success-threshold=1ms",
    "--cert-rotation-remaining-time-threshold=0.66",  # of 600 seconds, and 300 that lie before it was made
    "--cert-rotation-checking-interval=1s",
)
VALUES = (
    "controlPlane.enabled=false",
    "agent.enabled=true",
    f"agent.clusterName={NAME}",
    f"agent.extraArgs={{{','.join(FLAGS)}}}",
)


@pytest.fixture(scope="module")
def plane(lab: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("serve")
    with federation_alone(lab, "--cluster-monitor-grace-period=5", keep_logs_in=folder) as plane:
        yield plane


@pytest.fixture
def space(member1: Member) -> Iterator[str]:
    """A namespace of the member, and of a test, that takes no pod with rights that it does not need."""
    name = f"chart-agent-{next(_numbers)}"
    member1.kubectl("create", "namespace", name)
    member1.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    member1.kubectl("delete", "namespace", name, "--wait=false")
    member1.kubectl("delete", "clusterrole,clusterrolebinding", f"{name}-kafila-agent", "--ignore-not-found")


def registered(plane: Federation, member: Member, space: str) -> str:
    """What is said; the member has the agent's Secret then, and no agent."""
    command = plane.kafila("token", "create", "--print-register-command").split()[1:]
    where = (f"--kubeconfig={member.kubeconfig}", f"--cluster-name={NAME}", f"--namespace={space}")
    return run(*KAFILA, *command, *where, "--agent-image=None", "--cert-expiration-seconds=600")


def made(member: Member, space: str) -> set[str]:
    """What stands in the namespace, but what every namespace has, and what controllers made of it."""
    kinds = "deployments,secrets,serviceaccounts,networkpolicies,configmaps,pods"
    names = member.kubectl("-n", space, "get", kinds, "-o", "name", "--ignore-not-found").split()
    helms = "secret/sh.helm.release."
    return {each for each in names if not each.startswith(helms)} - {
        "configmap/kube-root-ca.crt",
        "serviceaccount/default",
    }


def certificate(member: Member, space: str) -> x509.Certificate:
    """In the agent's Secret."""
    text = member.kubectl(
        "-n", space, "get", "secret", "karmada-kubeconfig", "-o", "jsonpath={.data.karmada-kubeconfig}"
    )
    (user,) = yaml.safe_load(base64.b64decode(text))["users"]
    return x509.load_pem_x509_certificate(base64.b64decode(user["user"]["client-certificate-data"]))


@pytest.fixture
def helm(plane: Federation, member1: Member, space: str) -> tuple[str | Path, ...]:
    return (plane.lab.bin / chart.HELM, f"--kubeconfig={member1.kubeconfig}", f"--namespace={space}")


def test_a_release_of_the_agent(
    plane: Federation, member1: Member, space: str, helm: tuple[str | Path, ...], tmp_path: Path
) -> None:
    said = registered(plane, member1, space)
    assert said.endswith(f"Its agent is for you to run, with the Secret {space}/karmada-kubeconfig\n")
    assert made(member1, space) == {"secret/karmada-kubeconfig"}
    values = (f"--set={value}" for value in VALUES)
    notes = run(*helm, "install", "kafila", chart.CHART, *values, "--wait", "--timeout=60s")
    assert f"The agent of the cluster {NAME} is being started in the namespace {space}" in notes

    found = json.loads(member1.kubectl("-n", space, "get", "deployment", "kafila-agent", "-o", "json"))
    assert found["spec"]["replicas"] == 1
    pod = Pod(member1, space, found["spec"]["template"], tmp_path / "agent")
    first = certificate(member1, space)
    pod.start()
    try:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            wait_until(probe, lambda probe=probe: pod.probe(probe), pod.process)
        status = pod.status()
        assert status["Uid"].split() == ["65532"] * 4
        assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == "1"
        _works(plane, member1, tmp_path)
        # the file is a Secret's volume, which nobody can write to: the Secret gets it, and the process goes on with it
        plane.eventually(
            "its certificate is renewed", lambda: certificate(member1, space).serial_number != first.serial_number
        )
        assert certificate(member1, space).subject == first.subject
        plane.kubectl("scale", "deployment", "chosen", "--replicas=3")
        plane.eventually("it goes on", lambda: replicas(member1, "chosen") == 3)
        plane.kafila("unregister", NAME, f"--cluster-kubeconfig={member1.kubeconfig}", f"--namespace={space}")
        assert replicas(member1, "chosen") == -1
        assert pod.process.alive
    finally:
        ended = _ended(pod)
    assert ended == 0, pod.log()
    run(*helm, "uninstall", "kafila", "--wait", "--timeout=60s")
    plane.eventually("nothing stays", lambda: made(member1, space) == set())
    assert "kafila-agent" not in member1.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")


def _works(plane: Federation, member: Member, folder: Path) -> None:
    """What is placed comes there and its status back, and the tunnel carries logs and commands."""
    plane.eventually("the cluster is ready", lambda: plane.is_ready(NAME))
    cluster = plane.get("cluster", NAME)
    assert (cluster["spec"]["syncMode"], cluster["spec"]["apiEndpoint"]) == ("Pull", NOWHERE)
    lease = plane.get("lease", "-n", "karmada-cluster", NAME)
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == (NAME, 4)
    plane.apply(deployment("chosen"), policy("chosen", clusters=(NAME,)))
    ready = ("get", "deployment", "chosen", "-o", "jsonpath={.status.readyReplicas}")
    plane.eventually("its pods are ready", lambda: plane.kubectl(*ready) == "2")
    (item,) = plane.get("resourcebinding", "chosen-deployment")["status"]["aggregatedStatus"]
    assert (item["clusterName"], item["applied"], item["health"]) == (NAME, True, "Healthy")

    def connected() -> bool:
        return condition(plane.get("cluster", NAME), "kafila.io/TunnelConnected").get("status") == "True"

    plane.eventually("its tunnel is open", connected)
    through = Proxied(plane, NAME, folder)
    names = ("get", "pods", "-l", "app=chosen", "-o", "jsonpath={.items[*].metadata.name}")
    plane.eventually("the member lets callers in", lambda: len(through(*names).split()) == 2)
    one = through(*names).split()[0]
    assert through("logs", one) == "first line\n"
    said = spoken(through, WEBSOCKET, "exec", "-i", one, "--", "sh", "-c", "cat; exit 3", stdin=b"to it")
    assert said[:2] == (3, b"to it")


def _ended(pod: Pod) -> int | None:
    """How it ends when it is asked to, within the time that its pod gives it; None when it had ended before."""
    if not pod.process.alive:
        return None
    running = pod.process._running
    assert running is not None
    running.terminate()
    return running.wait(pod.spec["terminationGracePeriodSeconds"])


def test_an_agent_without_its_secret_says_so(plane: Federation, member1: Member, space: str, tmp_path: Path) -> None:
    """A kubelet does not even start it; one whose Secret is another's, or has no such key, ends with one line."""
    data = "--from-literal=config=kind: Config"
    member1.kubectl("-n", space, "create", "secret", "generic", "karmada-kubeconfig", data)
    (template,) = (
        each["spec"]["template"]
        for each in chart.render(plane.lab.bin / chart.HELM, *VALUES, namespace=space)
        if each["kind"] == "Deployment"
    )
    member1.kubectl("-n", space, "create", "serviceaccount", "kafila-agent")
    pod = Pod(member1, space, template, tmp_path / "agent")
    pod.start()
    assert pod.process._running is not None
    assert pod.process._running.wait(60) == 1
    (line,) = pod.log().strip().splitlines()
    assert line.startswith("error: kubeconfig /etc/karmada/karmada-kubeconfig"), line
