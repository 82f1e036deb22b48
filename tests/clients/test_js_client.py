"""The official JavaScript client, with its informer."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "js"


@pytest.fixture(scope="session")
def script(cache: Path) -> Path:
    """The script beside its modules, which are fetched once."""
    if shutil.which("npm") is None:
        pytest.skip("there is no Node.js")
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = cache / f"js-{hashlib.sha256(lock).hexdigest()[:12]}"
    for name in ("package.json", "package-lock.json", "client.js"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SOURCE / name, folder / name)
    if not (folder / "node_modules/.package-lock.json").exists():
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder / "client.js"


def test_objects_patches_watches_and_an_informer(served: Any, namespace: str, script: Path) -> None:
    done = subprocess.run(
        ["node", script, namespace], env=served.environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
