"""``make demo``: what it shows, and that it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

KAFILA = Path(sys.executable).with_name("kafila")


def test_demo_shows_clusters_placement_and_status_and_ends() -> None:
    done = subprocess.run([KAFILA, "demo", "--exit"], capture_output=True, text=True, timeout=120, cwd="/")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    for member in ("member1", "member2", "member3"):
        assert any(cells[:1] == [member] and cells[2:4] == ["Push", "True"] for cells in lines)
    assert any(cells[:2] == ["nginx", "2/2"] for cells in lines)
    assert "nginx-deployment is placed on member1: 1 replicas, member2: 1 replicas" in done.stdout
    assert "nginx-service is placed on member1, member2" in done.stdout
    assert "$ kubectl apply -f examples/nginx/ " in done.stdout
    assert ["karmada-es-member1", "nginx-687f7fb96f", "Deployment", "True"] in [cells[:4] for cells in lines]
    assert "Traceback" not in done.stderr


def test_demo_makes_its_folder(server_folder: Path) -> None:
    folder = server_folder / "new" / "demo"
    done = subprocess.run([KAFILA, "demo", "--exit", "--data-dir", folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (folder / "kubeconfig").exists()


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
