"""The real parts: light members, a bare kube-apiserver over its own etcd, and ``kafila serve`` as users start it.

Everything is a child of the benchmark, is stopped by its process id in the end, and dies with it in any case.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from load import Api

REPOSITORY = Path(__file__).parents[1]
# The program that lies beside us, wherever the Python environment points to. A warm start has its byte code: where none is
# written every start compiles it all again, which takes longer than the start.
ENVIRONMENT = {"PYTHONPATH": str(REPOSITORY / "app"), "PYTHONDONTWRITEBYTECODE": ""}


def _harness() -> ModuleType:
    """The members of the tests; loaded by path because tests are no package."""
    name = "cluster_harness"
    sys.path.insert(0, str(REPOSITORY))
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "tests/clusters/harness.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


harness = _harness()


class Plane:
    """``kafila serve`` over an embedded PostgreSQL, on disk and durable. Can be killed and started again."""

    def __init__(self, folder: Path, kubectl: Path) -> None:
        (self.port,) = harness.free_ports(1)
        self.kubeconfig = folder / "data/kubeconfig"
        self._kubectl = kubectl
        self._program = [str(Path(sys.executable).with_name("kafila"))]
        self.process = harness.Process(
            "kafila",
            [*self._program, "serve", f"--data-dir={folder}/data", f"--bind=127.0.0.1:{self.port}"],
            folder / "kafila.log",
            ENVIRONMENT,
        )

    @property
    def roots(self) -> list[int]:
        return [self.process.pid]

    def start(self) -> float:
        """Seconds until it logs that it is ready."""
        before = self._readies()
        began = time.perf_counter()
        self.process.start()
        while self._readies() == before:
            if not self.process.alive or time.perf_counter() - began > 120:
                raise RuntimeError(f"kafila did not start:\n{self.process.tail()}")
            time.sleep(0.01)
        return time.perf_counter() - began

    def start_until_kubectl(self) -> float:
        """Seconds until ``kubectl get clusters`` succeeds."""
        began = time.perf_counter()
        self.process.start()
        while not self._listens():
            time.sleep(0.01)
        while True:
            with contextlib.suppress(RuntimeError):
                self.kubectl("get", "clusters")
                return time.perf_counter() - began
            if not self.process.alive or time.perf_counter() - began > 120:
                raise RuntimeError(f"kafila did not start:\n{self.process.tail()}")

    def stop(self) -> None:
        self.process.stop(patience=30)

    def kill(self) -> None:
        self.process.stop(signal.SIGKILL)

    def join(self, member: Any) -> None:
        subprocess.run(
            [
                *(*self._program, "join", member.name, f"--kubeconfig={self.kubeconfig}"),
                f"--cluster-kubeconfig={member.kubeconfig}",
                f"--cluster-context={member.name}",
            ],
            check=True,
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )
        self.kubectl("wait", "--for=condition=Ready", f"cluster/{member.name}", "--timeout=60s")

    def kubectl(self, *arguments: str) -> str:
        return harness.kubectl(self._kubectl, self.kubeconfig, *arguments)

    def api(self) -> Api:
        return Api(self.kubeconfig, "kafila")

    def _readies(self) -> int:
        log = self.process.log
        return log.read_text(errors="replace").count('"event": "ready"') if log.exists() else 0

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def light_members(count: int) -> Iterator[list[Any]]:
    """member1 …: no pods; kwok writes the status of Deployments."""
    with harness.members() as lab:
        yield start_light(lab, count)


def start_light(lab: Any, count: int) -> list[Any]:
    return lab.start(*(f"member{i}" for i in range(1, count + 1)), options=harness.Options(light=True))


@contextlib.contextmanager
def bare_apiserver() -> Iterator[tuple[Any, list[int]]]:
    """One kube-apiserver over an etcd that keeps its data in memory without fsync, no controllers. (Member, its processes)"""
    with harness.members() as lab:
        etcd = lab.etcd = harness.Etcd(lab.root, lab.folder)
        etcd.start()
        member = harness.Member("bare", lab.root, lab.folder / "bare", etcd, harness.Options(light=True))
        lab.all["bare"] = member
        member.launch()
        member.wait_ready()
        yield member, [etcd.process.pid, member.apiserver.pid]


@contextlib.contextmanager
def control_plane() -> Iterator[Plane]:
    """A fresh kafila, started. Its folder can be entered by the user that PostgreSQL runs as when we are root."""
    with tempfile.TemporaryDirectory(prefix="kafila-bench-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        plane = Plane(folder, harness.built() / "bin/kubectl")
        try:
            plane.start()
            yield plane
        finally:
            plane.stop()
            keep = REPOSITORY / ".data/bench-kafila.log"
            if plane.process.log.exists():
                keep.parent.mkdir(exist_ok=True)
                keep.write_bytes(plane.process.log.read_bytes())
