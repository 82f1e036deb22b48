"""A running ``kafila demo`` and a kubectl for it: what a newcomer has after ``make demo``."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, final

import pytest

ROOT = Path(__file__).parents[2]
KAFILA = Path(sys.executable).with_name("kafila")
_prctl = ctypes.CDLL(None, use_errno=True).prctl


_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


def has_failed(test: pytest.Item) -> bool:
    """For fixtures that tests share: what a test has left behind that failed is nothing for the next one."""
    return test.stash.get(_failed, False)


@pytest.fixture(scope="session")
def kubectl(programs: Path) -> Path:
    return programs / "kubectl"


@final
class Shell:
    """Runs commands as a user in the repository's folder would, with kubectl on the PATH."""

    def __init__(self, kubeconfig: Path, kubectl: Path) -> None:
        home = kubeconfig.parent / "home"
        home.mkdir(exist_ok=True)
        path = f"{kubectl.parent}:{KAFILA.parent}:{os.environ['PATH']}"
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home), "PATH": path}

    def run(self, command: str, check: bool = True) -> str:
        """What the terminal shows."""
        done = subprocess.run(
            ["bash", "-c", command],
            env=self._environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150,
        )
        assert not check or done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    def eventually(self, command: str, holds: Callable[[str], bool], seconds: float = 90.0) -> str:
        """Repeats a command that only looks until what it shows holds."""
        deadline = time.monotonic() + seconds
        while not holds(shown := self.run(command, check=False)):
            assert time.monotonic() < deadline, f"$ {command}\n{shown}"
            time.sleep(0.2)
        return shown


@final
class Demo:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "demo.log"
        self.kubeconfig = folder / "kubeconfig"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [KAFILA, "demo", "--bind=127.0.0.1:0", "--data-dir", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                preexec_fn=lambda: _prctl(1, signal.SIGTERM),  # it ends with the tests, however they end
            )

    def wait(self, seconds: float = 90.0) -> str:
        """What it has printed once it stays up."""
        deadline = time.monotonic() + seconds
        while "export KUBECONFIG=" not in (printed := self.log.read_text()):
            assert self.process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.1)
        return printed

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    with tempfile.TemporaryDirectory(prefix="kafila-demo-") as name:
        Path(name).chmod(0o711)
        demo = Demo(Path(name))
        try:
            demo.wait()
            yield demo
        finally:
            demo.stop()


@pytest.fixture
def shell(demo: Demo, kubectl: Path) -> Shell:
    """The demo's control plane, empty but for its three clusters."""
    shell = Shell(demo.kubeconfig, kubectl)
    shell.run(
        "kubectl delete -f examples/ -R --ignore-not-found --wait=false", check=False
    )  # some kind may not be there
    kinds = "resourcebindings,clusterresourcebindings"
    shell.eventually(f"kubectl get {kinds} -A --no-headers", lambda shown: "No resources found" in shown)
    return shell


def objects(shown: str) -> Any:
    import json

    return json.loads(shown)
