"""A process that runs controllers and serves no API tells how it is: to probes, and its metrics to those who may see them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import open_folder

KAFILA = Path(sys.executable).with_name("kafila")


class Started:
    """A process of a control plane, once it is ready; ``port``: where it serves."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.folder = folder
        assert process.stderr is not None
        self.said: list[str] = []
        for line in process.stderr:
            self.said.append(line)
            if '"ready"' in line:
                break
        ready = json.loads(self.said[-1])
        self.port = int((ready.get("server") or ready["serves"].partition(":")[0].replace(" ", ":")).rpartition(":")[2])

    def get(self, path: str, client: ssl.SSLContext, method: str = "GET") -> tuple[int, str]:
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self.port, context=client, timeout=30)) as to:
            to.request(method, path)
            answer = to.getresponse()
            return answer.status, answer.read().decode()


@contextlib.contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Started]:
    folder.mkdir()
    folder.chmod(0o711)
    command = [KAFILA, "serve", "--data-dir", folder, "--bind=127.0.0.1:0", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Started(process, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            process.stderr.read()
    assert process.returncode == 0


@pytest.fixture(scope="module")
def plane(postgres_server: str) -> Iterator[tuple[Started, Started]]:
    """An API process and a worker."""
    import psycopg

    with psycopg.connect(postgres_server.replace("/kafila?", "/postgres?"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE worker_health TEMPLATE kafila")
    url = f"--database-url={postgres_server.replace('/kafila?', '/worker_health?')}"
    with (
        open_folder() as folder,
        serving(folder / "api", url, "--role=api") as api,
        serving(folder / "worker", url, "--role=workers") as worker,
    ):
        yield api, worker


@pytest.fixture(scope="module")
def clients(plane: tuple[Started, Started]) -> dict[str, ssl.SSLContext]:
    """By whom they show: nobody, and the administrator; both believe the control plane's authority alone."""
    folder = plane[0].folder
    config = yaml.safe_load((folder / "kubeconfig").read_text())
    user = config["users"][0]["user"]
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    for name in ("client-certificate", "client-key"):
        (folder / name).write_bytes(base64.b64decode(user[f"{name}-data"]))
    nobody, admin = (ssl.create_default_context(cadata=authority) for _ in range(2))
    admin.load_cert_chain(folder / "client-certificate", folder / "client-key")
    return {"nobody": nobody, "admin": admin}


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/readyz?verbose"])
def test_probes_need_no_credentials(
    plane: tuple[Started, Started], clients: dict[str, ssl.SSLContext], path: str
) -> None:
    status, text = plane[1].get(path, clients["nobody"])
    assert status == 200, text


def test_metrics_are_for_those_who_may_see_them(
    plane: tuple[Started, Started], clients: dict[str, ssl.SSLContext]
) -> None:
    worker = plane[1]
    assert worker.get("/metrics", clients["nobody"])[0] == 403
    status, text = worker.get("/metrics", clients["admin"])
    assert status == 200
    assert 'leader_election_master_status{name="controllers"} 1.0' in text
    assert "workqueue_depth{" in text
    assert 'leader_election_master_status{name="controllers"} 1.0' not in plane[0].get("/metrics", clients["admin"])[1]


@pytest.mark.parametrize(
    "path", ["/", "/api", "/apis", "/api/v1/secrets", "/openapi/v2", "/version", "/metricsx", "//metrics", "/./metrics"]
)
def test_there_is_no_api(plane: tuple[Started, Started], clients: dict[str, ssl.SSLContext], path: str) -> None:
    assert plane[1].get(path, clients["admin"]) == (404, "404 page not found\n")


def test_a_target_that_is_no_path(plane: tuple[Started, Started], clients: dict[str, ssl.SSLContext]) -> None:
    assert plane[1].get("*", clients["nobody"], "OPTIONS") == (404, "404 page not found\n")


def test_it_writes_no_kubeconfig(plane: tuple[Started, Started]) -> None:
    assert not (plane[1].folder / "kubeconfig").exists()


def test_the_health_check_of_the_image(plane: tuple[Started, Started]) -> None:
    """deploy/Dockerfile: it ends with 0 where a process is ready, and else with something else."""
    image = (Path(__file__).parents[2] / "deploy" / "Dockerfile").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", image, re.M)
    program, option, code = json.loads(command)
    assert (program, option) == ("python", "-c")
    for port, is_well in ((plane[0].port, True), (1, False)):
        done = subprocess.run([sys.executable, option, code.replace(":5443/", f":{port}/")], capture_output=True)
        assert (done.returncode == 0) is is_well, done.stderr
