"""A real member that nobody can call: its API server's address leads nowhere, and all goes through the tunnel of its agent."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster_federation import PROXY, Federation, Proxied, condition, deployment, federation_alone, policy, run
from cluster_harness import Member, Members, Process
from cluster_streams import BOTH, MUCH, WEBSOCKET, line, port_forwarded, spoken

NAME = "hidden"
NOWHERE = "https://192.0.2.1:6443"  # an address of no network
PROGRAM = (sys.executable, "-c", "from kafila.cli import main; main()")
SECRET = ("get", "secret", "-n", "karmada-system", "karmada-kubeconfig", "-o", "jsonpath={.data.karmada-kubeconfig}")
TUNNEL = "kafila.io/TunnelConnected"

REFERENCES = {"secretRef", "impersonatorSecretRef"}


@pytest.fixture(scope="module")
def plane(lab: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("serve")
    with federation_alone(lab, "--cluster-monitor-grace-period=5", keep_logs_in=folder) as plane:
        yield plane


class Agent:
    def __init__(self, plane: Federation, member: Member, folder: Path) -> None:
        import base64

        self.plane = plane
        credentials = folder / "karmada-kubeconfig"
        credentials.write_bytes(base64.b64decode(member.kubectl(*SECRET)))
        flags = (
            f"--cluster-name={NAME}",
            f"--karmada-kubeconfig={credentials}",
            f"--kubeconfig={member.kubeconfig}",
            f"--cluster-api-endpoint={NOWHERE}",
            "--cluster-status-update-frequency=1s",
            "--cluster-lease-duration=4s",
            "--cluster-success-threshold=1ms",
        )
        self.flags = flags
        self.process = Process("kafila-agent", [*PROGRAM, "agent", *flags], folder / "agent.log")
        silent = [*PROGRAM, "agent", *flags, "--report-secrets=None"]
        self.silent = Process("kafila-agent", silent, folder / "silent.log")  # leaves no credentials

    def connected(self) -> bool:
        return condition(self.plane.get("cluster", NAME), TUNNEL).get("status") == "True"


@pytest.fixture(scope="module")
def agent(plane: Federation, member1: Member, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    command = plane.kafila("token", "create", "--print-register-command").split()
    access = (f"--kubeconfig={member1.kubeconfig}", f"--cluster-name={NAME}", "--agent-image=kafila:test")
    run(*PROGRAM, *command[1:], *access)
    agent = Agent(plane, member1, tmp_path_factory.mktemp("agent"))
    agent.silent.start()
    try:
        plane.eventually("the agent reports", lambda: plane.is_ready(NAME))
        assert not REFERENCES & plane.get("cluster", NAME)["spec"].keys()
        agent.silent.stop()
        agent.process.start()  # which has the Cluster name its credentials
        plane.eventually("its tunnel is open", agent.connected)
        plane.apply(deployment("inside"), policy("inside", clusters=(NAME,)))
        running = ("get", "pods", "-l", "app=inside", "-o", "jsonpath={.items[*].status.phase}")
        plane.eventually("pods run", lambda: member1.kubectl(*running).split() == ["Running"] * 2)
        through = Proxied(plane, NAME, tmp_path_factory.mktemp("first"))
        plane.eventually("the member lets callers in", lambda: "inside-" in through("get", "pods", "-o", "name"))
        yield agent
        plane.kubectl("delete", "deployment", "inside")
        plane.kafila("unregister", NAME, f"--cluster-kubeconfig={member1.kubeconfig}")
    finally:
        agent.silent.stop()
        agent.process.stop()
        left = ("deployment/karmada-agent", "secret/karmada-kubeconfig", "serviceaccount/karmada-agent-sa")
        member1.kubectl("delete", *left, "-n", "karmada-system", "--ignore-not-found")


@pytest.fixture(scope="module")
def through(plane: Federation, agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Proxied:
    return Proxied(plane, NAME, tmp_path_factory.mktemp("proxied"))


@pytest.fixture(scope="module")
def pod(through: Proxied) -> str:
    return through("get", "pods", "-l", "app=inside", "-o", "jsonpath={.items[0].metadata.name}")


def test_kubectl_works_and_the_member_sees_the_caller(through: Proxied, plane: Federation, member1: Member) -> None:
    assert plane.get("cluster", NAME)["spec"]["apiEndpoint"] == NOWHERE
    review = json.loads(through("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert (review["username"], review["groups"]) == ("system:admin", ["system:masters", "system:authenticated"])
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tunnelled"},
        "data": {"a": "x" * 500_000},
    }
    assert "created" in through("create", "-f", "-", stdin=json.dumps(manifest))
    assert len(json.loads(through("get", "configmap", "tunnelled", "-o", "json"))["data"]["a"]) == 500_000
    with through.started("get", "configmaps", "-n", "default", "-o", "name", "--watch") as watch:
        assert line(watch).startswith("configmap/")
        through("delete", "configmap", "tunnelled")
    assert "NotFound" in through.error("get", "configmap", "tunnelled")


def test_logs_are_followed(through: Proxied, plane: Federation, pod: str, member1: Member, tmp_path: Path) -> None:
    assert through("logs", pod) == "first line\n"
    written = (member1.folder / "pod.log").read_text()
    try:
        with through.started("logs", "-f", pod) as following:
            assert line(following) == "first line\n"
            with (member1.folder / "pod.log").open("a") as log:
                log.write("2026-01-01T00:00:01.000000000Z stdout F second line\n")
            assert line(following) == "second line\n"
    finally:
        (member1.folder / "pod.log").write_text(written)
    everywhere = Proxied(plane, "*", tmp_path)
    assert everywhere("logs", pod) == "first line\n"
    assert NAME in everywhere("get", "deployments")


@BOTH
def test_commands_are_run(through: Proxied, pod: str, protocol: dict[str, str]) -> None:
    said = spoken(through, protocol, "exec", pod, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert said == (7, b"out\n", b"err\ncommand terminated with exit code 7\n")
    said = spoken(through, protocol, "exec", "-i", pod, "--", "sh", "-c", "cat; echo end", stdin=MUCH)
    assert said == (0, MUCH + b"end\n", b"")
    assert spoken(through, protocol, "attach", "-qi", pod, stdin=b"to it") == (0, b"to it", b"")


@BOTH
def test_ports_are_forwarded(through: Proxied, pod: str, protocol: dict[str, str]) -> None:
    """One of three callers reads nothing for now, and the others are served; whoever ends what he has to say is answered."""
    port_forwarded(through, pod, protocol, read_in_order=(2, 1, 0))


def test_files_are_copied(through: Proxied, pod: str, member1: Member, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(MUCH)
    there = member1.folder / "copied-through"
    through("cp", str(tmp_path / "here"), f"{pod}:{there}")
    assert there.read_bytes() == MUCH


def test_who_does_not_read_holds_nobody_up(through: Proxied, pod: str) -> None:
    """A command's output that is not read fills its own stream, and no other."""
    flood = subprocess.Popen(through.command("exec", pod, "--", "cat", "/dev/zero"), stdout=subprocess.PIPE)
    try:
        assert flood.stdout is not None
        assert flood.stdout.read(1 << 20) == bytes(1 << 20)
        assert spoken(through, WEBSOCKET, "exec", "-i", pod, "--", "cat", stdin=MUCH)[1] == MUCH
        assert through("get", "pod", pod, "-o", "name") == f"pod/{pod}\n"
        assert flood.stdout.read(1 << 20) == bytes(1 << 20)
    finally:
        flood.kill()
        flood.communicate()


def test_the_newest_tunnel_counts(plane: Federation, agent: Agent, through: Proxied, member1: Member) -> None:
    """Two agents of one cluster: the second has it, the first leaves it to him for a while, and nothing is broken off for good."""
    second = Agent(plane, member1, agent.process.log.parent)
    twin = Process("second-agent", [*PROGRAM, "agent", *second.flags], agent.process.log.parent / "second.log")
    lease = ("get", "lease", "-n", "kube-system", f"kafila-tunnel-{NAME}", "-o", "jsonpath={.spec.holderIdentity}")
    before = plane.kubectl(*lease)
    with through.started("get", "configmaps", "-n", "kube-public", "--watch-only", "-o", "name") as watch:
        twin.start()
        try:
            plane.eventually("the second has it", lambda: plane.kubectl(*lease) not in ("", before))
            assert watch.wait(60) is not None  # what went through the first has ended
            assert through("get", "namespace", "default", "-o", "name") == "namespace/default\n"
        finally:
            twin.stop()
    agent.process.stop()
    agent.process.start()  # at once, not after the pause of one who was replaced
    plane.eventually("its tunnel is open", lambda: agent.connected() and plane.kubectl(*lease) not in ("", before))
    assert through("get", "namespace", "default", "-o", "name") == "namespace/default\n"


def test_an_agent_that_is_cut_off_comes_back(plane: Federation, agent: Agent, through: Proxied, pod: str) -> None:
    with through.started("exec", pod, "--", "sleep", "1000") as sleeping:
        plane.eventually(
            "it runs", lambda: "1000" in subprocess.run(("ps", "-ef"), capture_output=True, text=True).stdout
        )
        agent.process.stop(signal.SIGKILL)
        assert sleeping.wait(60) != 0
    plane.eventually("it is told", lambda: not agent.connected())
    found = condition(plane.get("cluster", NAME), TUNNEL)
    assert (found["status"], found["reason"]) == ("False", "TunnelDisconnected")
    why = through.error("logs", pod)
    assert f"cluster {NAME} has no tunnel, and {NOWHERE} cannot be reached" in why
    assert why.count("\n") <= 1
    agent.process.start()
    plane.eventually("it is open again", agent.connected)
    assert through("logs", pod) == "first line\n"
    events = plane.kubectl("get", "events", "-A", "-o", "jsonpath={.items[*].reason}").split()
    assert {"TunnelConnected", "TunnelDisconnected"} <= set(events)


def test_a_server_that_starts_again_is_found(plane: Federation, agent: Agent, through: Proxied, pod: str) -> None:
    plane.kill()
    port = yaml.safe_load(plane.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2]
    command = plane.process._command
    command[command.index("--bind=127.0.0.1:0")] = f"--bind=127.0.0.1:{port}"  # where the agent finds it again
    plane.start()
    plane.eventually("the tunnel is open again", lambda: through("logs", pod) == "first line\n")


def test_credentials_that_came_later_are_named(plane: Federation, agent: Agent) -> None:
    found = plane.get("cluster", NAME)["spec"]
    assert {field: found[field]["name"] for field in REFERENCES} == {
        "secretRef": NAME,
        "impersonatorSecretRef": f"{NAME}-impersonator",
    }


def test_clusters_are_shown_with_their_tunnels(plane: Federation, agent: Agent) -> None:
    plane.eventually("it is open", agent.connected)
    (shown,) = json.loads(plane.kafila("clusters", NAME, "-o", "json"))
    assert re.fullmatch(r"\d+[smh].*", shown["tunnel"])


def test_nobody_else_opens_it(plane: Federation, agent: Agent) -> None:
    path = PROXY.format(NAME).removesuffix("proxy") + "tunnel"
    with pytest.raises(RuntimeError, match="opened by a WebSocket"):
        plane.kubectl("get", "--raw", path)
