"""The README's commands, word for word, on two real members: from an empty control plane to nginx and back."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_federation import SECONDS, Federation
from cluster_harness import Member

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("readme_steps", ROOT / "tests/integration/test_readme.py")
assert _spec is not None
assert _spec.loader is not None
readme = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(readme)


@pytest.fixture
def desk(federation: Federation, member1: Member, member2: Member, tmp_path: Path) -> Iterator[Path]:
    """A folder as the README's reader has it: the repository's examples, kafila, and a kubeconfig of each member."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for member in (member1, member2):
        (tmp_path / f"{member.name}.kubeconfig").write_bytes(member.kubeconfig.read_bytes())
    federation.kubectl("delete", "-f", str(ROOT / "examples/nginx"), "--ignore-not-found")
    federation.eventually(
        "an empty control plane", lambda: not federation.kubectl("get", "resourcebindings", "-A", "-o", "name")
    )
    yield tmp_path
    federation.kubectl("delete", "-f", str(ROOT / "examples/nginx"), "--ignore-not-found")


def test_readme_walk_on_real_members(federation: Federation, desk: Path) -> None:
    environment = {
        **os.environ,
        "KUBECONFIG": str(federation.kubeconfig),
        "HOME": str(desk),
        "PATH": f"{federation.lab.bin}:{os.environ['PATH']}",
    }

    def run(command: str) -> str:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=desk,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
        ).stdout

    for command, expected in readme.steps((ROOT / "README.md").read_text()):
        deadline = time.monotonic() + SECONDS
        looks = " get " in command
        while not readme.is_shown(expected, shown := run(command)):
            assert looks, f"$ {command}\n{shown}"
            assert time.monotonic() < deadline, f"$ {command}\n{shown}"
            time.sleep(0.2)
