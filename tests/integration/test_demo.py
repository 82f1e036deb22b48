"""``make demo``: what it shows, and that it ends."""

from __future__ import annotations

import inspect
import os
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kafila.cli import CommandError, main
from kafila.cli.demo import EXAMPLE, own_folder, read_manifests, refuse_real_clusters, selected
from kafila.cli.demo import demo as demo_command
from kafila.settings.settings import Settings
from kafila.workers.serve import MOST_DESCRIPTORS
from tests.integration.api.conftest import Api

KAFILA = Path(sys.executable).with_name("kafila")


def demo_ends(folder: Path, *arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [KAFILA, "demo", "--exit", "--bind=127.0.0.1:0", "--data-dir", folder, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd="/", env={**os.environ, **environment}
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_demo_shows_clusters_placement_and_status_and_ends(server_folder: Path) -> None:
    temporary = server_folder / "temporary"  # of its own: other tests make something in the usual one meanwhile
    temporary.mkdir()
    temporary.chmod(0o1777)
    done = demo_ends(server_folder / "new" / "demo", TMPDIR=str(temporary))
    assert (server_folder / "new" / "demo" / "kubeconfig").exists()
    assert list(temporary.iterdir()) == []
    lines = [line.split() for line in done.stdout.splitlines()]
    for member in ("member1", "member2", "member3"):
        assert any(cells[:1] == [member] and cells[2:4] == ["Push", "True"] for cells in lines)
    assert any(cells[:2] == ["nginx", "2/2"] for cells in lines)
    assert "nginx-deployment is placed on member1: 1 replicas, member2: 1 replicas" in done.stdout
    assert "nginx-service is placed on member1, member2" in done.stdout
    assert "$ kubectl apply -f examples/nginx/ " in done.stdout
    assert ["karmada-es-member1", "nginx-687f7fb96f", "Deployment", "True"] in [cells[:4] for cells in lines]


def test_demo_has_one_folder_and_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/somebody/data")
    assert own_folder() == Path("/home/somebody/data/kafila/demo")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert own_folder() == Path("/var/lib/kafila/demo")
    assert inspect.signature(demo_command).parameters["bind"].default == "127.0.0.1:5443"


UNSCHEDULED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: nowhere}
spec:
  selector: {matchLabels: {app: nowhere}}
  template:
    metadata: {labels: {app: nowhere}}
    spec: {containers: [{name: c, image: nginx}]}
---
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: nowhere}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: nowhere}]
  placement: {clusterAffinity: {clusterNames: [none]}}
"""


def test_demo_ends_at_once_and_starts_again_over_what_it_left(server_folder: Path, kubectl: Path) -> None:
    """Ctrl-C while it waits for a Deployment that no cluster will get; that Deployment is no reason to wait later."""
    folder, example = server_folder / "data", server_folder / "unscheduled.yaml"
    example.write_text(UNSCHEDULED)
    command = [KAFILA, "demo", "--bind=127.0.0.1:0", "--data-dir", folder, "--example", example]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as process:
        assert process.stdout is not None
        shown = [next(process.stdout)]  # it serves
        look = [kubectl, "--kubeconfig", folder / "kubeconfig", "get", "resourcebinding", "nowhere-deployment"]
        while subprocess.run(look, capture_output=True, check=False).returncode:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        shown += process.stdout.readlines()
    assert process.returncode == 130
    assert "not in the clusters" not in "".join(shown)
    assert "Traceback" not in "".join(shown)
    done = demo_ends(folder)
    assert any(line.split()[:2] == ["nginx", "2/2"] for line in done.stdout.splitlines()), done.stdout
    assert "nowhere-deployment is placed on no cluster" in done.stdout


def test_demo_waits_for_each_manifest_that_a_policy_selects() -> None:
    """Also for one whose binding is not made yet: what is not there is not where it shall be."""
    manifests = read_manifests(EXAMPLE)
    assert [obj["kind"] for obj in selected(manifests)] == ["Deployment", "Service"]
    alone = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "alone"}}
    assert selected([*manifests, alone]) == selected(manifests)


def test_demo_has_the_descriptors_that_a_server_has(server_folder: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (256, hard))
    command = [KAFILA, "demo", "--bind=127.0.0.1:0", "--data-dir", server_folder / "data"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1, preexec_fn=few) as process:
        assert process.stdout is not None
        next(process.stdout)  # it serves
        limit = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        process.send_signal(signal.SIGINT)
        process.stdout.readlines()
    assert limit == (min(hard, MOST_DESCRIPTORS), hard)


def test_demo_ends_while_it_starts(server_folder: Path) -> None:
    """Ctrl-C in a terminal goes to all processes in front of it; initdb is one of them."""
    folder = server_folder / "data"
    command = [KAFILA, "demo", "--bind=127.0.0.1:0", "--data-dir", folder]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as it:
        while not (folder / "postgres").exists():
            assert it.poll() is None
        os.killpg(it.pid, signal.SIGINT)
        shown, errors = it.communicate()
    assert (it.returncode, shown, errors) == (130, "", "")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("nothing", None, "does not exist: give a folder of manifests, e.g. examples/nginx"),
        ("empty", "", "no manifests (*.yaml, *.yml, *.json) in it"),
        ("broken.yaml", "a: [", "broken.yaml: yaml: "),
        ("other.yaml", "a: 1", "other.yaml: no apiVersion, kind or metadata.name: this is no Kubernetes manifest"),
    ],
)
def test_a_wrong_example_is_refused_before_anything_starts(
    name: str, content: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content:
        path.write_text(content)
    elif content is not None:
        path.mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--example", str(path), "--data-dir", str(tmp_path / "data")])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith(f"error: --example {path}")
    assert reason in line
    assert not (tmp_path / "data").exists()


def test_an_example_that_is_refused_is_one_line(server_folder: Path) -> None:
    example = server_folder / "example.yaml"
    example.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: Not_Lawful}\n")
    line = demo_ends(server_folder / "data", "--example", example, code=1).stderr
    assert line.startswith('error: Secret Not_Lawful: Secret "Not_Lawful" is invalid: metadata.name: Invalid value')
    assert line.count("\n") == 1
    example.write_text("apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: a}\n")
    line = demo_ends(server_folder / "data", "--example", example, code=1).stderr
    assert line == 'error: no matches for kind "Thing" in version "example.org/v1"\n'


async def test_demo_takes_no_place_of_real_clusters(tmp_path: Path) -> None:
    api = await Api().open()
    try:
        cluster = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "member1"}}
        spec = {"syncMode": "Push", "apiEndpoint": "https://192.0.2.1:6443"}
        await api.made("/apis/cluster.karmada.io/v1alpha1/clusters", {**cluster, "spec": spec})
        with pytest.raises(CommandError, match="belongs to a control plane with real clusters \\(member1\\)"):
            refuse_real_clusters(api.registry, Settings(data_dir=tmp_path))
    finally:
        await api.close()


def test_demo_stays_up_for_kubectl(demo: Any, shell: Any) -> None:
    assert f"export KUBECONFIG={demo.kubeconfig}" in demo.log.read_text()
    assert shell.run("kubectl config current-context").strip() == "karmada-apiserver"
    assert shell.run("kubectl get clusters -o name").split() == [
        f"cluster.cluster.karmada.io/member{number}" for number in (1, 2, 3)
    ]
    assert demo.process.poll() is None


def test_plugin_is_the_same_program() -> None:
    plugin = KAFILA.with_name("kubectl-kafila")
    shown = subprocess.run([plugin, "--help"], capture_output=True, text=True, timeout=60).stdout
    assert shown.startswith("Usage: kubectl kafila")
    for command in ("serve", "demo", "join", "unjoin"):
        assert f"\n{command} " in shown or f" {command} " in shown
