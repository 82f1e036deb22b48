"""Flux' way to keep a cluster like its source: what was applied is seen as unchanged, what somebody changed as drift, what goes is pruned."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMON = Path(__file__).parent / "common.yaml"
Flux = Callable[[str], dict[str, str]]


@pytest.fixture
def flux(served: Any, namespace: str, go_programs: Path, tmp_path: Path) -> Flux:
    source = tmp_path / "common.yaml"
    source.write_text(COMMON.read_text().replace("NAMESPACE", namespace))

    def run(verb: str) -> dict[str, str]:
        command = [go_programs / "drift", verb, source]
        done = subprocess.run(command, env=served.environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        print(done.stderr)
        return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())

    return run


@pytest.mark.timeout(900)  # the first build compiles client-go
def test_applied_is_unchanged_changed_is_drift_and_gone_is_pruned(
    flux: Flux, served: Any, namespace: str, programs: Path
) -> None:
    def kubectl(*arguments: str) -> str:
        command = [programs / "kubectl", "-n", namespace, *arguments]
        done = subprocess.run(command, env=served.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = flux("apply")
    assert set(made.values()) == {"created"}
    assert len(made) == COMMON.read_text().count("\nkind: ")
    before = kubectl("get", "all,ingress,role,pdb,networkpolicy", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
    assert flux("diff") == dict.fromkeys(made, "unchanged")
    assert flux("apply") == dict.fromkeys(made, "unchanged")
    after = kubectl("get", "all,ingress,role,pdb,networkpolicy", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
    assert after == before

    kubectl("set", "image", "deployment/web", "web=nginx:other")
    kubectl("patch", "configmap/web", "--type=merge", "-p", '{"data":{"color":"black"}}')
    kubectl("delete", "networkpolicy/web")
    kubectl("label", "secret/web", "others=may")  # not a field of the source
    drifted = {
        f"Deployment/{namespace}/web": "configured",
        f"ConfigMap/{namespace}/web": "configured",
        f"NetworkPolicy/{namespace}/web": "created",
    }
    assert flux("diff") == dict.fromkeys(made, "unchanged") | drifted
    assert flux("apply") == dict.fromkeys(made, "unchanged") | drifted
    assert flux("diff") == dict.fromkeys(made, "unchanged")

    assert set(flux("delete").values()) == {"deleted"}
    left = kubectl("get", "deploy,sts,svc,ing,cm,secret,role,hpa,pdb,netpol,cronjob", "-o", "name").split()
    assert left == ["configmap/kube-root-ca.crt"]  # every namespace has it
