"""kafila init and deinit in an unmodified cluster: one command, whose processes run as the objects say that it made."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import LOOPBACK, Member, free_ports, kubectl, wait_until, wait_until_established
from cluster_pods import Pod, by_port, needs_namespaces

from tests.definitions import ANYTHING, definition, version

NAMESPACE = "karmada-system"
KAFILA = [sys.executable, "-c", "from kafila.cli import main; main()"]


def kafila(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KAFILA, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def url(postgres_server: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(postgres_server.replace("/kafila?", "/postgres?"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE init")  # empty: the Job migrates it
    with by_port(postgres_server.replace("/kafila?", "/init?")) as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("init")


class Running:
    """kafila init, whose Job this test runs."""

    def __init__(self, host: Member, folder: Path, *arguments: Any) -> None:
        folder.mkdir()
        self._folder = folder
        self._process = subprocess.Popen(
            [*KAFILA, "init", "--kubeconfig", host.kubeconfig, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._host = host

    def job_done(self, *before: str) -> str:
        """The name of the Job, other than ``before``, once its process has ended well."""
        names: list[str] = []

        def made() -> bool:
            found = self._host.kubectl("-n", NAMESPACE, "get", "jobs", "-o", "name", check=False).split()
            names[:] = [name for name in found if name not in before]
            return bool(names)

        wait_until("a job", made)
        found = json.loads(self._host.kubectl("-n", NAMESPACE, "get", names[0], "-o", "json"))
        job = Pod(self._host, NAMESPACE, found["spec"]["template"], self._folder / "job")
        job.start()
        assert job.process._running is not None
        assert job.process._running.wait(60) == 0, job.log()
        return names[0]

    def said(self) -> str:
        out, errors = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, out + errors
        return out


def written(host: Member) -> str:
    """The kubeconfig, as the Job has written it."""
    return host.kubectl("-n", NAMESPACE, "get", "secret", "kafila-kubeconfig", "-o", "jsonpath={.data.kubeconfig}")


def test_init_and_deinit(member1: Member, programs: Path, url: str, folder: Path) -> None:
    needs_namespaces()
    (port,) = free_ports(1)
    file = folder / "config" / "karmada.config"
    arguments = (
        f"--database-url={url}",
        f"--advertise={LOOPBACK}:{port}",
        f"--karmada-kubeconfig={file}",
        "--wait=100s",
    )

    # nothing is there, and a dry run changes nothing
    dry = kafila("init", "--kubeconfig", member1.kubeconfig, *arguments, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "namespace/karmada-system would be created" in dry.stdout
    assert "deployment/kafila-api would be applied (dry run)" in dry.stdout
    assert member1.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found") == ""
    assert not file.exists()

    first = Running(member1, folder / "first", *arguments)
    job = first.job_done()
    said = first.said()
    for step in range(1, 6):
        assert f"[{step}/5] " in said
    assert url not in said
    assert f"warning: https://{LOOPBACK}:{port} does not answer from here" in said

    # the processes that it made serve, and the kubeconfig leads to both
    found = json.loads(member1.kubectl("-n", NAMESPACE, "get", "deployment", "kafila-api", "-o", "json"))
    api = Pod(member1, NAMESPACE, found["spec"]["template"], folder / "api", port)
    api.start()
    try:
        wait_until("the API", lambda: api.probe("readinessProbe"), api.process)
        assert kubectl(programs / "kubectl", file, "get", "clusters") == ""
        pods = kubectl(
            programs / "kubectl", file, "--context=karmada-host", "-n", NAMESPACE, "get", "pods", "-o", "name"
        )
        assert pods.count("kafila-api") >= 1, "the autoscaler makes more of them"
        assert pods.count("kafila-workers") >= 2
        assert file.stat().st_mode & 0o777 == 0o600

        # again, with something else: brought in line, with new certificates
        before = written(member1)
        second = Running(member1, folder / "second", *arguments, "--workers-replicas=1")
        second.job_done(job)
        assert f"https://{LOOPBACK}:{port} serves Kubernetes v1" in second.said()
        assert written(member1) != before
        replicas = member1.kubectl(
            "-n", NAMESPACE, "get", "deployment", "kafila-workers", "-o", "jsonpath={.spec.replicas}"
        )
        assert replicas == "1"
        assert member1.kubectl("-n", NAMESPACE, "get", "jobs", "-o", "name").split() != [job]
    finally:
        api.process.stop(patience=40)

    gone = ("deinit", "--kubeconfig", member1.kubeconfig, f"--karmada-kubeconfig={file}")
    dry = kafila(*gone, "--dry-run", "--purge-namespace")
    assert "deployment/kafila-api would be deleted (dry run)" in dry.stdout
    assert file.exists()
    done = kafila(*gone, "--purge-namespace")
    assert done.returncode == 0, done.stderr
    assert f"{file} deleted" in done.stdout
    assert not file.exists()
    member1.kubectl("wait", f"namespace/{NAMESPACE}", "--for=delete", "--timeout=60s")
    again = kafila(*gone)
    assert (again.returncode, again.stdout) == (0, f"namespace {NAMESPACE} has nothing that kafila init made\n")


def test_what_it_needs_and_does_not_find(member1: Member) -> None:
    """One line, and nothing was made."""
    for arguments, why in (
        (["--cloudnative-pg"], f"--cloudnative-pg: {member1.endpoint} serves no postgresql.cnpg.io/v1"),
        (
            ["--database-secret=none/url"],
            "--database-secret: the Secret init-none/none with the key url does not exist",
        ),
    ):
        done = kafila("init", "--kubeconfig", member1.kubeconfig, "--namespace=init-none", *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {why}")
        assert len(done.stderr.splitlines()) == 1
    assert member1.kubectl("get", "namespace", "init-none", "--ignore-not-found") == ""


def test_a_host_that_does_not_answer(tmp_path: Path, member1: Member) -> None:
    (port,) = free_ports(1)
    file = tmp_path / "kubeconfig"
    file.write_text(member1.kubeconfig.read_text().replace(member1.endpoint, f"https://{LOOPBACK}:{port}"))
    done = kafila("init", "--kubeconfig", file, "--cloudnative-pg")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: cannot reach https://{LOOPBACK}:{port}: ")


def test_a_job_that_does_not_come_right(member1: Member, tmp_path: Path) -> None:
    """The time is over, and it says what held it up; the same again goes on, and deinit clears up."""
    arguments = ("--kubeconfig", member1.kubeconfig, "--namespace=init-late")
    began = time.monotonic()
    done = kafila(
        "init", *arguments, "--database-url=postgresql://nowhere/kafila", "--service-type=ClusterIP", "--wait=2s"
    )
    assert time.monotonic() - began < 110
    assert done.returncode == 1
    assert "did not come about in time" in done.stderr
    assert "to go on, run the same again" in done.stderr
    assert kafila("deinit", *arguments, "--purge-namespace", f"--karmada-kubeconfig={tmp_path}/none").returncode == 0


def test_what_helm_has_installed_is_left_to_helm(member1: Member, programs: Path) -> None:
    chart = Path(__file__).parents[2] / "deploy" / "chart"
    helm = [programs / "helm-4.2.4", "--kubeconfig", member1.kubeconfig, "-n", "init-helm"]
    values = ("--set=database.existingSecret.name=db", "--create-namespace")
    subprocess.run([*helm, "install", "kafila", chart, *values], check=True, capture_output=True, timeout=120)
    done = kafila(
        *("init", "--kubeconfig", member1.kubeconfig, "--namespace=init-helm"),
        *("--database-url=postgresql://db/kafila", "--advertise=a:1"),
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is managed by Helm: go on with that" in done.stderr
    subprocess.run([*helm, "uninstall", "kafila"], check=True, capture_output=True, timeout=120)
    member1.kubectl("delete", "namespace", "init-helm", "--wait=false")


@pytest.fixture
def cloud_native_pg(member1: Member) -> Iterator[None]:
    """The kind alone: nobody acts on it."""
    crd = definition("postgresql.cnpg.io", "Cluster", version(schema=ANYTHING))
    member1.kubectl("apply", "-f", "-", stdin=json.dumps(crd))
    wait_until_established(member1.kubectl, "clusters.postgresql.cnpg.io")
    yield
    member1.kubectl("delete", "crd", "clusters.postgresql.cnpg.io", "--timeout=60s")


def test_a_database_of_its_own_stays(member1: Member, cloud_native_pg: None, tmp_path: Path) -> None:
    """Until its data are given up by name."""
    arguments = ("--kubeconfig", member1.kubeconfig, "--namespace=init-own")
    kafila("init", *arguments, "--cloudnative-pg", "--service-type=ClusterIP", "--wait=1s")
    get = ("-n", "init-own", "get", "clusters.postgresql.cnpg.io", "-o")
    assert json.loads(member1.kubectl(*get, "json"))["items"][0]["spec"]["instances"] == 3
    gone = ("deinit", *arguments, f"--karmada-kubeconfig={tmp_path}/none")
    kept = kafila(*gone, "--purge-namespace")
    assert (kept.returncode, kept.stdout.splitlines()[-1]) == (
        0,
        "cluster/kafila-db stays, with all data: --purge-data deletes it",
    )
    assert member1.kubectl(*get, "name").split() == ["cluster.postgresql.cnpg.io/kafila-db"]
    assert kafila(*gone, "--purge-data", "--purge-namespace").returncode == 0
    member1.kubectl("wait", "namespace/init-own", "--for=delete", "--timeout=60s")
