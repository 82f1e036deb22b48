"""Clusters in pull mode with Karmada's own programs: karmadactl token, register, unregister, and karmada-agent, unmodified."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster_federation import (
    Federation,
    Proxied,
    agent_of_kafila,
    condition,
    deployment,
    federation_alone,
    policy,
    replicas,
    run,
)
from cluster_harness import Member, Members
from cluster_karmada_agent import SECRET, Agent, register_command
from cryptography import x509

from kafila.members.agent_deployment import Registering
from kafila.members.join import JoinError
from kafila.members.register import discover

NAME = "edge"


@pytest.fixture(scope="module")
def plane(lab: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("serve")
    with federation_alone(lab, "--cluster-monitor-grace-period=3", keep_logs_in=folder) as plane:
        yield plane


@pytest.fixture(scope="module")
def agent(plane: Federation, member1: Member, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    where = (f"--kubeconfig={member1.kubeconfig}", f"--cluster-name={NAME}", "--cluster-region=north")
    said = run(plane.lab.bin / "karmadactl", *register_command(plane), *where)
    assert f"cluster({NAME}) is joined successfully" in said
    agent = Agent(plane, member1, tmp_path_factory.mktemp("agent"))
    agent.process.start()
    try:
        plane.eventually("the agent reports", lambda: plane.is_ready(NAME))
        yield agent
    finally:
        agent.process.stop()
        plane.kubectl("delete", "cluster", NAME, "--ignore-not-found", "--timeout=60s")
        left = ("deployment/karmada-agent", "secret/karmada-kubeconfig", "serviceaccount/karmada-agent-sa")
        member1.kubectl("delete", *left, "-n", "karmada-system", "--ignore-not-found")
        member1.kubectl("delete", "namespace", "karmada-cluster", "--ignore-not-found", "--timeout=60s")


def test_tokens_are_listed_and_deleted(plane: Federation) -> None:
    token = plane.karmadactl("token", "create", "--description=of a test").strip()
    identifier = token.partition(".")[0]
    listed = plane.karmadactl("token", "list")
    assert token in listed
    assert "of a test" in listed
    signed = ("get", "configmap", "-n", "kube-public", "cluster-info", "-o", "jsonpath={.data}")
    plane.eventually("it signs", lambda: f"jws-kubeconfig-{identifier}" in plane.kubectl(*signed))
    assert plane.karmadactl("token", "delete", identifier) == f'bootstrap token "{identifier}" deleted\n'
    plane.eventually("it signs no more", lambda: f"jws-kubeconfig-{identifier}" not in plane.kubectl(*signed))
    short = plane.karmadactl("token", "create", "--ttl=1s").strip().partition(".")[0]
    gone = ("get", "secret", "-n", "kube-system", f"bootstrap-token-{short}", "--ignore-not-found")
    plane.eventually("it goes when it expires", lambda: plane.kubectl(*gone) == "")


def test_what_is_placed_comes_to_the_cluster_and_its_status_back(
    plane: Federation, agent: Agent, tmp_path: Path
) -> None:
    plane.apply(deployment("pulled"), policy("pulled", clusters=(NAME,)))
    ready = ("get", "deployment", "pulled", "-o", "jsonpath={.status.readyReplicas}")
    plane.eventually("its pods are ready", lambda: plane.kubectl(*ready) == "2")
    assert replicas(agent.member, "pulled") == 2
    (item,) = plane.get("resourcebinding", "pulled-deployment")["status"]["aggregatedStatus"]
    assert (item["clusterName"], item["applied"], item["health"]) == (NAME, True, "Healthy")
    cluster = plane.get("cluster", NAME)
    assert (cluster["spec"]["syncMode"], cluster["spec"]["region"]) == ("Pull", "north")
    assert cluster["status"]["nodeSummary"] == {"readyNum": 2, "totalNum": 2}
    assert any(group["groupVersion"] == "apps/v1" for group in cluster["status"]["apiEnablements"])
    assert "taints" not in cluster["spec"]
    through = Proxied(plane, NAME, tmp_path)
    assert through("get", "deployment", "pulled", "-o", "name") == "deployment.apps/pulled\n"
    assert "Placed in 1 of 1 clusters" in plane.kafila("why", "deploy/pulled")
    plane.kubectl("scale", "deployment", "pulled", "--replicas=3")
    plane.eventually("it is changed there", lambda: replicas(agent.member, "pulled") == 3)
    plane.kubectl("delete", "deployment", "pulled")
    plane.eventually("it is gone there", lambda: replicas(agent.member, "pulled") == -1)


def test_the_certificate_of_an_agent_is_renewed(plane: Federation, agent: Agent) -> None:
    first = x509.load_pem_x509_certificate(
        base64.b64decode(yaml.safe_load(agent.credentials.read_text())["users"][0]["user"]["client-certificate-data"])
    )
    plane.eventually("another one is stored", lambda: agent.certificate().serial_number != first.serial_number)
    assert agent.certificate().subject == first.subject
    requests = json.loads(plane.kubectl("get", "csr", "-o", "json"))["items"]
    own = [each for each in requests if each["spec"]["username"] == f"system:karmada:agent:{NAME}"]
    assert own[0]["status"]["conditions"][0]["message"].startswith("Auto approving self karmada agent certificate")


def test_an_agent_that_is_gone_makes_its_cluster_unknown(plane: Federation, agent: Agent) -> None:
    agent.process.stop()
    plane.eventually("nobody knows", lambda: condition(plane.get("cluster", NAME), "Ready")["status"] == "Unknown")
    found = condition(plane.get("cluster", NAME), "Ready")
    assert (found["reason"], found["message"]) == (
        "ClusterStatusUnknown",
        "Cluster status controller stopped posting cluster status.",
    )

    def taints() -> list[tuple[str, str]]:
        return [(t["key"], t["effect"]) for t in plane.get("cluster", NAME)["spec"].get("taints", ())]

    plane.eventually("it is tainted", lambda: taints() == [("cluster.karmada.io/unreachable", "NoSchedule")])
    events = ("get", "events", "--field-selector=reason=ClusterStatusUnknown", "-o", "jsonpath={.items[*].message}")
    plane.eventually("it is told", lambda: "has not renewed its lease for" in plane.kubectl(*events))
    agent.process.start()
    plane.eventually("it is back", lambda: plane.is_ready(NAME) and not taints())


def test_a_token_makes_nobody_the_agent_of_a_cluster_that_is_there(plane: Federation, agent: Agent) -> None:
    command = register_command(plane)
    member = (f"--kubeconfig={agent.member.kubeconfig}", "--namespace=elsewhere", f"--cluster-name={NAME}")
    with pytest.raises(RuntimeError, match="failed to register as cluster with name edge already exists"):
        run(plane.lab.bin / "karmadactl", *command, *member)


def test_unregistering_leaves_nothing(plane: Federation, agent: Agent) -> None:
    plane.kubectl("create", "namespace", "of-the-pulled")
    plane.apply(deployment("left"), policy("left", clusters=(NAME,)))
    plane.eventually("it is there", lambda: replicas(agent.member, "left") == 2)
    access = (f"--karmada-config={plane.kubeconfig}", f"--cluster-kubeconfig={agent.member.kubeconfig}")
    run(plane.lab.bin / "karmadactl", "unregister", NAME, *access)
    agent.process.stop()  # as its pod, which is gone
    assert replicas(agent.member, "left") == -1
    plane.eventually("the namespace ends", lambda: plane.get("namespace", f"karmada-es-{NAME}") == {})
    for what in ("clusters", "works -A", "leases -n karmada-cluster", "secrets -n karmada-cluster"):
        assert plane.kubectl("get", *what.split(), "-o", "name") == ""
    for what in ("clusterroles", "clusterrolebindings", "roles -A", "rolebindings -A"):
        assert f":{NAME}:agent" not in plane.kubectl("get", *what.split(), "-o", "name")
    assert agent.member.kubectl(*SECRET) == ""
    agent.member.kubectl("wait", "namespace/karmada-cluster", "--for=delete", "--timeout=60s")


@pytest.mark.long
def test_kafila_registers_and_unregisters_too(plane: Federation, member1: Member, tmp_path: Path) -> None:
    command = plane.kafila("token", "create", "--print-register-command").split()
    assert command[:2] == ["kafila", "register"]
    access = (f"--kubeconfig={member1.kubeconfig}", f"--cluster-name={NAME}", "--cluster-region=north")

    def registered() -> str:
        return run(sys.executable, "-c", "from kafila.cli import main; main()", *command[1:], *access)

    assert registered().startswith(f"cluster({NAME}) is registered. Its agent reports")
    agent = Agent(plane, member1, tmp_path)
    agent.process.start()
    try:
        plane.eventually("the agent reports", lambda: plane.is_ready(NAME))
        before = agent.certificate().subject
        assert "its credentials were there and are kept" in registered()
        plane.apply(deployment("again"), policy("again", clusters=(NAME,)))
        plane.eventually("it is there", lambda: replicas(member1, "again") == 2)
        plane.kubectl("delete", "cluster", NAME, "--timeout=60s")  # while its agent runs, which takes everything back
        assert replicas(member1, "again") == -1
        agent.process.stop()
        assert registered().startswith(f"cluster({NAME}) is registered. Its agent reports")
        assert agent.certificate().subject == before
        said = plane.kafila("unregister", NAME, f"--cluster-kubeconfig={member1.kubeconfig}")
        assert said == f"cluster({NAME}), whose agent had not reported yet, is unregistered successfully\n"
    finally:
        agent.process.stop()
    for what in ("clusters", "clusterroles", "clusterrolebindings", "roles -A", "rolebindings -A", "leases -A"):
        assert NAME not in plane.kubectl("get", *what.split(), "-o", "name")
    assert member1.kubectl("get", "all", "-n", "karmada-system", "-o", "name") == ""
    member1.kubectl("wait", "namespace/karmada-cluster", "--for=delete", "--timeout=60s")


def test_the_agent_of_kafila(plane: Federation, member1: Member, tmp_path: Path) -> None:
    """In place of karmada-agent, with what `kafila register` tells it; its certificate is renewed soon."""
    process = agent_of_kafila(
        plane,
        member1,
        NAME,
        tmp_path,
        "--cert-rotation-remaining-time-threshold=0.66",  # of 600 seconds, and 300 that lie before it was made
        "--cert-rotation-checking-interval=1s",
    )
    credentials = tmp_path / "karmada-kubeconfig"
    agent = Agent(plane, member1, tmp_path)
    first = agent.certificate().serial_number
    process.start()
    try:
        plane.eventually("the agent reports", lambda: plane.is_ready(NAME))
        cluster = plane.get("cluster", NAME)
        assert (cluster["spec"]["region"], cluster["status"]["nodeSummary"]["totalNum"]) == ("north", 2)
        plane.kubectl("create", "namespace", "of-the-agent")
        plane.apply(deployment("ours"), policy("ours", clusters=(NAME,)))
        ready = ("get", "deployment", "ours", "-o", "jsonpath={.status.readyReplicas}")
        plane.eventually("its pods are ready", lambda: plane.kubectl(*ready) == "2")
        (item,) = plane.get("resourcebinding", "ours-deployment")["status"]["aggregatedStatus"]
        assert (item["applied"], item["health"]) == (True, "Healthy")
        member1.kubectl("delete", "deployment", "ours")
        plane.eventually("it is brought back", lambda: replicas(member1, "ours") == 2)
        assert Proxied(plane, NAME, tmp_path)("get", "namespace", "of-the-agent", "-o", "name")
        plane.eventually("its certificate is renewed", lambda: agent.certificate().serial_number != first)
        assert yaml.safe_load(credentials.read_text()) == agent.stored()
        process.stop(signal.SIGKILL)
        plane.eventually("nobody knows", lambda: condition(plane.get("cluster", NAME), "Ready")["status"] == "Unknown")
        plane.kubectl("scale", "deployment", "ours", "--replicas=3")
        process.start()
        plane.eventually("what was missed is made up for", lambda: replicas(member1, "ours") == 3)
        plane.eventually("it is back", lambda: plane.is_ready(NAME))
        plane.kafila("unregister", NAME, f"--cluster-kubeconfig={member1.kubeconfig}")
        assert replicas(member1, "ours") == -1
    finally:
        process.stop()
    assert plane.kubectl("get", "leases", "-A", "-o", "name") == ""
    assert member1.kubectl("get", "all", "-n", "karmada-system", "-o", "name") == ""
    member1.kubectl("wait", "namespace/karmada-cluster", "--for=delete", "--timeout=60s")


def test_a_cluster_follows_when_the_ca_is_exchanged(plane: Federation, member1: Member, tmp_path: Path) -> None:
    """Once by registering it again, which is what karmada-agent needs, and once because kafila's agent sees it."""
    process = agent_of_kafila(plane, member1, NAME, tmp_path, "--cert-rotation-checking-interval=1s")
    credentials, program = (
        tmp_path / "karmada-kubeconfig",
        (sys.executable, "-c", "from kafila.cli import main; main()"),
    )

    def rotate(*flags: str) -> None:
        run(*program, "certs", "rotate-ca", *flags, f"--data-dir={plane.folder}")

    def believed() -> int:
        (server,) = yaml.safe_load(credentials.read_text())["clusters"]
        return base64.b64decode(server["cluster"]["certificate-authority-data"]).count(b"BEGIN")

    process.start()
    try:
        plane.eventually("the agent reports", lambda: plane.is_ready(NAME))
        process.stop()
        rotate()
        command = plane.kafila("token", "create", "--print-register-command").split()
        access = (f"--kubeconfig={member1.kubeconfig}", f"--cluster-name={NAME}", "--agent-image=kafila:test")
        assert "; its credentials are exchanged, as the control plane's CA was." in run(*program, *command[1:], *access)
        assert "; its credentials were there and are kept." in run(*program, *command[1:], *access)
        secret = json.loads(member1.kubectl(*SECRET))
        credentials.write_bytes(base64.b64decode(secret["data"]["karmada-kubeconfig"]))
        rotate("--finish")
        only_the_authority = "; its credentials are kept, and the control plane's CA in them is the one of now."
        plane.eventually("the CA before goes", lambda: only_the_authority in run(*program, *command[1:], *access))
        process.start()
        plane.eventually("it follows", lambda: believed() == 1)
        rotate()
        plane.eventually("it follows, while both are believed", lambda: believed() == 2)
        rotate("--finish")
        plane.eventually("it follows to the end", lambda: believed() == 1)
        plane.apply(deployment("after"), policy("after", clusters=(NAME,)))
        plane.eventually("it goes on", lambda: replicas(member1, "after") == 2)
        plane.kafila("unregister", NAME, f"--cluster-kubeconfig={member1.kubeconfig}")
    finally:
        process.stop()
    member1.kubectl("wait", "namespace/karmada-cluster", "--for=delete", "--timeout=60s")


FITTING = ("--token=abcdef.0123456789abcdef", "--discovery-token-unsafe-skip-ca-verification")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((), "token is required: kafila token create prints one, where the control plane is"),
        (("--token=abc",), 'the bootstrap token was not of the form "[a-z0-9]{6}.[a-z0-9]{16}"'),
        (FITTING[:1], "need --discovery-token-ca-cert-hash, or --discovery-token-unsafe-skip-ca-verification"),
        (
            (*FITTING, "--discovery-token-ca-cert-hash=sha1:0"),
            'invalid CA certificate hash "sha1:0": must be sha256: and 64 hexadecimal digits',
        ),
        ((*FITTING, "--cluster-name=Edge"), "invalid cluster name(Edge): "),
        ((*FITTING, "--cluster-name=rbac-generator"), "a cluster in pull mode cannot be called rbac-generator"),
        ((*FITTING, "--discovery-timeout=1ms"), "knows no token abcdef, or it has expired: kafila token create, there"),
        ((*FITTING, "--discovery-timeout=soon"), 'invalid duration "soon", e.g. 1m0s'),
    ],
)
def test_errors_of_register_are_one_clear_line(
    plane: Federation, member1: Member, given: tuple[str, ...], why: str
) -> None:
    server = yaml.safe_load(plane.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].removeprefix("https://")
    program = (sys.executable, "-c", "from kafila.cli import main; main()")
    command = (*program, "register", server, f"--kubeconfig={member1.kubeconfig}", *given)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


async def test_another_server_is_not_believed(plane: Federation, member1: Member) -> None:
    """Neither one that does not know the token's secret, nor one with another CA."""
    server = yaml.safe_load(plane.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].removeprefix("https://")
    token = plane.kafila("token", "create").strip()
    wanted = Registering("edge", server, token, ("sha256:" + "0" * 64,))
    with pytest.raises(JoinError, match="is none of --discovery-token-ca-cert-hash: another server answers"):
        await discover(wanted)
    guessed = token[:7] + "0" * 16
    with pytest.raises(JoinError, match="it cannot be trusted"):
        await discover(Registering("edge", server, guessed, unsafe=True))
