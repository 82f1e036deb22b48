"""Real members through ``clusters/NAME/proxy``, with kubectl and karmadactl as users have them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import threading
from pathlib import Path

import kubernetes
import kubernetes.stream
import pytest
from cluster_federation import PROXY, Federation, Proxied, condition, deployment, policy, run
from cluster_harness import Member
from cluster_metrics import metrics_of
from cluster_streams import BOTH, MUCH, line, port_forwarded, spoken

RBAC_WORK = "karmada-impersonator-7cbb6bd5c9"


@pytest.fixture(scope="module")
def joined(federation: Federation, member1: Member, member2: Member) -> Federation:
    """Both members let their impersonator act, and member1 runs pods."""
    for name in ("member1", "member2"):

        def applied(name: str = name) -> bool:
            work = federation.get("work", "-n", f"karmada-es-{name}", RBAC_WORK)
            return condition(work, "Applied").get("status") == "True"

        federation.eventually(f"{name} knows whom it may trust", applied)
    federation.apply(deployment("nginx"), policy("nginx"))
    running = ("get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[*].status.phase}")
    federation.eventually("pods run", lambda: member1.kubectl(*running).split() == ["Running"] * 2)
    return federation


@pytest.fixture(scope="module")
def through(joined: Federation, tmp_path_factory: pytest.TempPathFactory) -> Proxied:
    return Proxied(joined, "member1", tmp_path_factory.mktemp("proxied"))


@pytest.mark.parametrize("member", ["member1", "member2"])  # joined by karmadactl, and by kafila
def test_the_administrator_reads_a_members_nodes(joined: Federation, member: str) -> None:
    nodes = json.loads(joined.kubectl("get", "--raw", PROXY.format(member) + "/api/v1/nodes"))
    assert [node["metadata"]["name"] for node in nodes["items"]] == [f"{member}-node-1", f"{member}-node-2"]


def test_the_member_sees_the_caller(through: Proxied) -> None:
    review = json.loads(through("auth", "whoami", "-o", "json"))
    assert review["status"]["userInfo"]["username"] == "system:admin"
    assert review["status"]["userInfo"]["groups"] == ["system:masters", "system:authenticated"]


def test_kubectl_works_against_a_member(through: Proxied, member1: Member) -> None:
    names = through("get", "pods", "-l", "app=nginx", "-o", "name")
    assert names == member1.kubectl("get", "pods", "-l", "app=nginx", "-o", "name")
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "proxied"}, "data": {"a": "1"}}
    manifest = json.dumps(settings)
    assert "created" in through("apply", "-f", "-", stdin=manifest)
    assert "serverside-applied" in through("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
    through("patch", "configmap", "proxied", "--type=merge", '-p={"data":{"a":"2"}}')
    assert member1.kubectl("get", "configmap", "proxied", "-o", "jsonpath={.data.a}") == "2"
    assert "FIELDS" in through("explain", "deployment.spec")
    assert "deployments" in through("api-resources", "--api-group=apps")
    through("delete", "configmap", "proxied")
    assert "NotFound" in through.error("get", "configmap", "proxied")


def test_kubectl_watches_a_member(through: Proxied, member1: Member) -> None:
    with through.started("get", "configmaps", "-n", "kube-public", "--watch-only", "-o", "name") as watch:
        with through.started("get", "configmaps", "-n", "kube-public", "-o", "name", "--watch") as all_of_them:
            line(
                all_of_them
            )  # a later watch runs, so does the earlier one in all likelihood; the loop below makes it sure
        made = threading.Event()

        def change() -> None:
            number = 0
            while not made.wait(0.2):
                number += 1
                data = json.dumps(
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}, "data": {"n": str(number)}}
                )
                member1.kubectl("apply", "-n", "kube-public", "-f", "-", stdin=data)

        changing = threading.Thread(target=change)
        changing.start()
        try:
            assert line(watch) == "configmap/seen\n"
        finally:
            made.set()
            changing.join()
    member1.kubectl("delete", "configmap", "-n", "kube-public", "seen")


def test_logs_are_read_and_followed(through: Proxied, joined: Federation, member1: Member) -> None:
    pod = through("get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[0].metadata.name}")
    assert through("logs", pod) == "first line\n"
    assert joined.karmadactl("logs", pod, "-C", "member1") == "first line\n"
    with through.started("logs", "-f", pod) as following:
        assert line(following) == "first line\n"
        with (member1.folder / "pod.log").open("a") as log:
            log.write("2026-01-01T00:00:01.000000000Z stdout F second line\n")
        assert line(following) == "second line\n"
    written = (member1.folder / "pod.log").read_text().splitlines(keepends=True)
    (member1.folder / "pod.log").write_text(written[0])


def test_karmadactl_looks_into_members(joined: Federation) -> None:
    table = joined.karmadactl("get", "pods", "--operation-scope=members")
    rows = [row.split() for row in table.splitlines()]
    assert rows[0][:2] == ["NAME", "CLUSTER"]
    assert {row[1] for row in rows[1:]} == {"member1"}  # member2 is light: it has no pods
    assert sum(row[0].startswith("nginx-") for row in rows) == 2
    both = joined.karmadactl("get", "deployments", "--operation-scope=all")
    own = [row.split() for row in both.splitlines() if row.startswith("nginx ")]
    assert sorted(row[1] for row in own) == ["Karmada", "member1", "member2"]
    describe = ("describe", "deployment", "nginx", "--operation-scope=members", "-C", "member1")
    assert "Name:                   nginx" in joined.karmadactl(*describe)
    joined.eventually("the member's Events", lambda: "ScalingReplicaSet" in joined.karmadactl(*describe))
    resources = joined.karmadactl("api-resources", "--operation-scope=members", "--cluster=member1", "--api-group=apps")
    assert "statefulsets" in resources


def test_karmadactl_promotes_what_a_member_has(joined: Federation, member1: Member) -> None:
    member1.kubectl("create", "deployment", "legacy", "--image=nginx")
    joined.karmadactl("promote", "deployment", "legacy", "-n", "default", "-C", "member1")
    joined.eventually("adopted", lambda: joined.get("deployment", "legacy").get("status", {}).get("readyReplicas") == 1)


# -- streams of another protocol: kubectl, the control plane, the member's API server, what stands behind its nodes ----------------


@pytest.fixture(scope="module")
def pod(through: Proxied) -> str:
    return through("get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[0].metadata.name}")


@BOTH
def test_a_command_is_run(through: Proxied, pod: str, protocol: dict[str, str]) -> None:
    said = spoken(through, protocol, "exec", pod, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert said == (7, b"out\n", b"err\ncommand terminated with exit code 7\n")
    # the end of the input is told, and the command speaks after it
    said = spoken(through, protocol, "exec", "-i", pod, "--", "sh", "-c", "cat; echo end", stdin=MUCH)
    assert said == (0, MUCH + b"end\n", b"")
    assert spoken(through, protocol, "attach", "-qi", pod, stdin=b"to the main process") == (
        0,
        b"to the main process",
        b"",
    )
    code, _, why = spoken(through, protocol, "exec", pod, "-c", "none", "--", "true")
    assert (code, b"container none is not valid for pod" in why or b"not found" in why) == (1, True)


@BOTH
def test_a_terminal_has_the_size_of_its_window(through: Proxied, pod: str, protocol: dict[str, str]) -> None:
    """And a stream that was silent meanwhile goes on."""
    ours, theirs = pty.openpty()

    def resized(rows: int, columns: int) -> None:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(text: bytes) -> None:
        seen = b""
        while text not in seen:
            readable, _, _ = select.select([ours], [], [], 60)
            assert readable, seen
            seen += os.read(ours, 1 << 16)

    resized(20, 70)
    script = "stty -echo; echo ready; while read line; do stty size; done"
    shell = subprocess.Popen(
        through.command("exec", "-it", pod, "--", "sh", "-c", script),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **protocol},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        until(b"ready")
        until_size = [b"20 70", b"33 99"]
        for size in until_size:
            for _ in range(100):  # a window is told on its own way
                os.write(ours, b"\n")
                with contextlib.suppress(AssertionError):
                    until(size)
                    break
            resized(33, 99)
        os.write(ours, b"\x04")
        assert shell.wait(60) == 0
    finally:
        shell.kill()
        os.close(ours)
        os.close(theirs)


@BOTH
def test_a_port_is_forwarded(through: Proxied, pod: str, protocol: dict[str, str]) -> None:
    """To several callers at once; one ends what he has to say, and is answered all the same."""
    port_forwarded(through, pod, protocol, read_in_order=(0, 1, 2))


def test_files_are_copied(through: Proxied, pod: str, member1: Member, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(MUCH)
    there = member1.folder / "copied"
    through("cp", str(tmp_path / "here"), f"{pod}:{there}")
    assert there.read_bytes() == MUCH
    through("cp", f"{pod}:{there}", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == MUCH


@pytest.mark.parametrize("minor", ["1.35", "1.34"])
def test_older_clients_run_commands(through: Proxied, pod: str, minor: str) -> None:
    command = through.command("exec", "-i", pod, "--", "cat")
    command[0] = str(through.program.parent / minor / "kubectl")
    assert subprocess.run(command, input=MUCH, capture_output=True, timeout=60).stdout == MUCH


def test_the_python_client_runs_commands(through: Proxied, pod: str) -> None:
    """It speaks an older protocol of the WebSocket, and names its own origin."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(through.kubeconfig), client_configuration=configuration)
    core = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
    command = ["sh", "-c", "read line; echo got $line; echo err >&2; exit 4"]
    open_ = {"stdin": True, "stdout": True, "stderr": True, "tty": False, "_preload_content": False}
    told = kubernetes.stream.stream(core.connect_get_namespaced_pod_exec, pod, "default", command=command, **open_)
    told.write_stdin("this\n")
    told.run_forever(timeout=60)
    assert (told.read_stdout(), told.read_stderr(), told.returncode) == ("got this\n", "err\n", 4)


def test_karmadactl_runs_commands(joined: Federation, pod: str) -> None:
    inside = ("--operation-scope=members", "--cluster=member1")
    assert joined.karmadactl("exec", pod, *inside, "--", "echo", "there") == "there\n"
    assert joined.karmadactl("attach", pod, *inside, "-q") == ""
    with pytest.raises(RuntimeError, match="command terminated with exit code 3"):
        joined.karmadactl("exec", pod, *inside, "--", "sh", "-c", "exit 3")


def test_karmadactl_shows_what_pods_and_nodes_use(joined: Federation, pod: str, member1: Member) -> None:
    with metrics_of(member1):
        joined.eventually("it is discovered", lambda: pod in joined.karmadactl("top", "pods", "-C", "member1"))
        rows = [row.split() for row in joined.karmadactl("top", "pods", "-C", "member1").splitlines()]
        assert rows[0] == ["NAME", "CLUSTER", "CPU(cores)", "MEMORY(bytes)"]
        assert [pod, "member1", "25m", "16Mi"] in rows
        assert "web" in joined.karmadactl("top", "pod", "-l", "app=nginx", "--containers", "-C", "member1")
        nodes = [row.split() for row in joined.karmadactl("top", "nodes", "--clusters=member1").splitlines()]
        assert ["member1-node-1", "member1", "640m", "1%", "1024Mi", "0%"] in nodes


def test_a_pod_is_found_wherever_it_is(joined: Federation, pod: str, tmp_path: Path) -> None:
    everywhere = Proxied(joined, "*", tmp_path)
    assert everywhere("exec", pod, "--", "echo", "found") == "found\n"
    assert everywhere("logs", pod) == "first line\n"
    shown = [row.split()[:3] for row in everywhere("get", "deployments").splitlines()]
    assert shown[0] == ["NAME", "CLUSTER", "READY"]
    assert ["nginx", "member1", "2/2"] in shown
    assert ["nginx", "member2", "2/2"] in shown


def test_kafila_finds_the_member(joined: Federation, pod: str, member1: Member, tmp_path: Path) -> None:
    """With kubectl's flags, and its exit codes."""
    shown = joined.kafila_into("logs", "-l", "app=nginx", "--tail", "1", "--prefix")
    assert shown.stdout.count("first line") == 2
    shown = joined.kafila_into("logs", "deployment/nginx", "--tail=1")
    assert "Found deployment/nginx in 2 clusters, using member1; -C chooses: member1, member2" in shown.stderr
    assert shown.stdout == "first line\n"
    shown = joined.kafila_into("exec", "-i", pod, "--", "sh", "-c", "cat; exit 3", stdin="in")
    assert (shown.returncode, shown.stdout) == (3, "in")
    shown = joined.kafila_into("exec", "deploy/nginx", "-C", "member1", "--", "sh", "-c", "echo $0", "--help")
    assert shown.stdout == "--help\n"
    assert joined.kafila_into("cp", f"{pod}:{member1.folder / 'pod.log'}", str(tmp_path / "copied")).returncode == 0
    assert (tmp_path / "copied").read_bytes() == (member1.folder / "pod.log").read_bytes()
    for line_of, why in (
        (
            ("exec", "deploy/none", "--", "true"),
            "error: deploy/none is in no cluster that answers; kafila why deploy/none",
        ),
        (("logs", "thing/a"), 'error: the server doesn\'t have a resource type "thing": name a cluster with -C'),
        (("logs", "nope"), "resource not found or don't have permission to get it"),
        (("logs", pod, "-C", "nope"), 'clusters.cluster.karmada.io "nope" not found'),
    ):
        shown = joined.kafila_into(*line_of)
        assert shown.returncode == 1
        assert why in shown.stderr
        assert shown.stderr.count("\n") == 1


def test_a_kubeconfig_leads_to_members(joined: Federation, pod: str, tmp_path: Path) -> None:
    file = tmp_path / "members.kubeconfig"
    joined.kafila("kubeconfig", f"--output={file}")
    assert file.stat().st_mode & 0o777 == 0o600
    kubectl = [str(joined.lab.bin / "kubectl"), f"--kubeconfig={file}"]
    assert run(*kubectl, "config", "get-contexts", "-o", "name").split() == ["member1", "member2"]
    assert run(*kubectl, "--context=member1", "exec", pod, "--", "echo", "in") == "in\n"
    file.write_text(joined.kafila("kubeconfig", "--cluster=*"))
    assert run(*kubectl, "get", "pods", pod, "-o", "name") == f"pod/{pod}\n"
    with pytest.raises(RuntimeError, match=r": error: clusters.cluster.karmada.io \"nope\" not found$"):
        joined.kafila("kubeconfig", "--cluster=nope")


def test_who_looks_for_pods_in_the_control_plane_is_told_where_they_are(
    joined: Federation, through: Proxied, pod: str
) -> None:
    hint = "Warning: pods run in member clusters: kafila logs, exec and kubeconfig find them"
    for command in (
        ("get", "pods"),
        ("logs", "deployment/nginx", "--pod-running-timeout=1s"),
        ("exec", "deployment/nginx", "--pod-running-timeout=1s", "--", "true"),
        ("logs", pod),
        ("exec", pod, "--", "true"),
    ):
        program = [str(joined.lab.bin / "kubectl"), f"--kubeconfig={joined.kubeconfig}", *command]
        assert hint in subprocess.run(program, stderr=subprocess.PIPE, text=True, timeout=60).stderr
    assert (
        hint not in subprocess.run(through.command("get", "pods"), stderr=subprocess.PIPE, text=True, timeout=60).stderr
    )


def test_who_may_no_longer_is_refused_by_the_member(joined: Federation, through: Proxied) -> None:
    saved = {}
    for name in ("cluster-admin", "cluster-proxy-admin"):
        obj = joined.get("clusterrolebinding", name)
        saved[name] = {**obj, "metadata": {"name": name}}
    try:
        joined.kubectl("delete", "clusterrolebinding", *saved)
        refused = 'cannot impersonate resource "users"'

        def is_refused() -> bool:
            with contextlib.suppress(AssertionError):
                return refused in through.error("get", "--raw", "/api/v1/nodes")
            return False

        joined.eventually("the member refuses", is_refused)
    finally:
        joined.apply(*saved.values())
    joined.eventually("the member accepts", lambda: bool(through("get", "--raw", "/api/v1/nodes")))


def test_a_member_that_is_away_is_reported_at_once(
    joined: Federation, through: Proxied, pod: str, member1: Member
) -> None:
    """Also to who was in it."""
    with through.started("exec", "-i", pod, "--", "sh", "-c", "echo begun; cat") as stream:
        assert line(stream) == "begun\n"
        member1.kill_api()
        try:
            assert stream.wait(60) != 0
        finally:
            member1.start_api()
    member1.stop_api()
    try:
        assert "error trying to reach service" in through.error("get", "--raw", "/api/v1/nodes")
    finally:
        member1.start_api()
    joined.eventually("it is back", lambda: bool(through("get", "--raw", "/api/v1/nodes")))
