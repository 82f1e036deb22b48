"""A control plane for tests: `kafila serve` as a process of its own, with the members that were joined to it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from cluster_harness import Member, Members, Process, kubectl, wait_until

PROXY = "/apis/cluster.karmada.io/v1alpha1/clusters/{}/proxy"
SECONDS = 90.0  # for anything to be propagated; the machine may be busy
EXAMPLES = Path(__file__).parents[2] / "examples"


class Federation:
    """Started with :meth:`start`; may be killed and started again over the same data."""

    def __init__(self, lab: Members, folder: Path, *flags: str) -> None:
        self.lab = lab
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.joined: dict[str, tuple[Member, str]] = {}
        program = [sys.executable, "-c", "from kafila.cli import main; main()"]
        options = ["serve", f"--data-dir={folder}", "--bind=127.0.0.1:0", "--cluster-status-frequency=1", *flags]
        self.process = Process("kafila", [*program, *options], folder / "serve.log")

    def start(self) -> None:
        before = self._readies()
        self.process.start()
        wait_until("kafila serve", lambda: self._readies() > before, self.process)

    def kill(self) -> None:
        self.process.stop(signal.SIGKILL)

    def stop(self) -> None:
        self.process.stop(patience=30)

    def _readies(self) -> int:
        log = self.process.log
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return sum(1 for line in lines if line.startswith("{") and json.loads(line).get("event") == "ready")

    # -- clients -------------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return kubectl(self.lab.bin / "kubectl", self.kubeconfig, *arguments, stdin=stdin, check=check)

    def get(self, *what: str) -> dict:
        """The object, {} when there is none."""
        text = self.kubectl("get", *what, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text else {}

    def works(self) -> list[str]:
        """What users caused: names of the Works but those that let callers through to the members."""
        names = self.kubectl("get", "works", "-A", "-o", "name").split()
        return [name for name in names if "/karmada-impersonator-" not in name]

    def apply(self, *objects: dict) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def karmadactl(self, *arguments: str) -> str:
        return run(self.lab.bin / "karmadactl", f"--kubeconfig={self.kubeconfig}", *arguments)

    def kafila(self, *arguments: str) -> str:
        command = (sys.executable, "-c", "from kafila.cli import main; main()")
        return run(*command, *arguments, f"--kubeconfig={self.kubeconfig}")

    def kafila_into(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command that becomes kubectl."""
        command = (sys.executable, "-c", "from kafila.cli import main; main()", *arguments)
        path = f"{self.lab.bin}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, timeout=60)

    # -- members -------------------------------------------------------------------------------------------------------

    def join(self, member: Member, tool: str = "kafila", name: str = "") -> str:
        name = name or member.name
        ending = (
            "get",
            "namespace",
            "karmada-cluster",
            "-o",
            "jsonpath={.metadata.deletionTimestamp}",
            "--ignore-not-found",
        )
        self.eventually("what it had left is gone", lambda: member.kubectl(*ending) == "")
        done = self._membership("join", tool, member, name)
        self.joined[name] = (member, tool)
        self.eventually(f"{name} ready", lambda: self.is_ready(name))
        return done

    def unjoin(self, name: str, tool: str = "") -> str:
        member, joined_by = self.joined[name]
        done = self._membership("unjoin", tool or joined_by, member, name)
        del self.joined[name]
        return done

    def _membership(self, verb: str, tool: str, member: Member, name: str) -> str:
        access = (f"--cluster-kubeconfig={member.kubeconfig}", f"--cluster-context={member.name}")
        return (self.karmadactl if tool == "karmadactl" else self.kafila)(verb, name, *access)

    def is_ready(self, cluster: str) -> bool:
        return condition(self.get("cluster", cluster), "Ready").get("status") == "True"

    # -- waiting -------------------------------------------------------------------------------------------------------

    def eventually(self, what: str, holds: Callable[[], bool], patience: float = SECONDS) -> None:
        """Raises AssertionError with the end of the server's log."""
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(RuntimeError, LookupError):  # kubectl's own failures: not there yet
                if holds():
                    return
            assert self.process.alive, f"kafila ended:\n{self.process.tail()}"
            assert time.monotonic() < deadline, f"{what} did not come about:\n{self.process.tail(10)}"
            time.sleep(0.1)


class Proxied:
    """kubectl against a member, through the control plane; without one, against the control plane. ``token``: whose, instead
    of the administrator's certificate."""

    def __init__(self, plane: Federation, member: str, folder: Path, token: str = "") -> None:
        self.program = plane.lab.bin / "kubectl"
        self.kubeconfig = folder / f"{(member or 'plane').replace('*', 'all')}.kubeconfig"
        document = yaml.safe_load(plane.kubeconfig.read_text())
        if member:
            document["clusters"][0]["cluster"]["server"] += PROXY.format(member)
        if token:
            document["users"][0]["user"] = {"token": token}
        self.kubeconfig.write_text(yaml.safe_dump(document))

    def __call__(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return kubectl(self.program, self.kubeconfig, *arguments, stdin=stdin, check=check)

    def error(self, *arguments: str) -> str:
        """What it is refused with. Raises AssertionError when it is not."""
        try:
            shown = self(*arguments)
        except RuntimeError as error:
            return str(error)
        raise AssertionError(f"not refused: {shown}")

    def command(self, *arguments: str) -> list[str]:
        return [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments]

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Runs until left; what it says is read with ``line``."""
        process = subprocess.Popen(
            self.command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=20)


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[-4:]))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def agent_of_kafila(plane: Federation, member: Member, name: str, folder: Path, *flags: str) -> Process:
    """Registers the member; `kafila agent` as its pod there would be, not started."""
    command = plane.kafila("token", "create", "--print-register-command").split()
    program = (sys.executable, "-c", "from kafila.cli import main; main()")
    access = (f"--kubeconfig={member.kubeconfig}", f"--cluster-name={name}", "--cluster-region=north")
    run(*program, *command[1:], *access, "--agent-image=kafila:test", "--cert-expiration-seconds=600")
    pod = json.loads(member.kubectl("get", "deployment", "-n", "karmada-system", "karmada-agent", "-o", "json"))
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    assert container["command"][:2] == ["kafila", "agent"]
    secret = json.loads(member.kubectl("get", "secret", "-n", "karmada-system", "karmada-kubeconfig", "-o", "json"))
    credentials = folder / "karmada-kubeconfig"
    credentials.write_bytes(base64.b64decode(secret["data"]["karmada-kubeconfig"]))
    told = [flag for flag in container["command"][1:] if not flag.startswith(("--karmada-kubeconfig=", "--metrics"))]
    ours = (
        f"--karmada-kubeconfig={credentials}",
        f"--kubeconfig={member.kubeconfig}",
        "--cluster-status-update-frequency=1s",
        "--cluster-lease-duration=4s",
        "--cluster-success-threshold=1ms",
    )
    return Process("kafila-agent", [*program, *told, *ours, *flags], folder / "agent.log")


def condition(obj: dict, kind: str) -> dict:
    return next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == kind), {})


@contextlib.contextmanager
def federation_alone(lab: Members, *flags: str, keep_logs_in: Path | None = None) -> Iterator[Federation]:
    """Without members; those that are joined in the end are left as they are. Its own folder: PostgreSQL's user enters it."""
    with tempfile.TemporaryDirectory(prefix="kafila-federation-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        plane = Federation(lab, folder, *flags)
        plane.start()
        try:
            yield plane
        finally:
            plane.stop()
            if keep_logs_in is not None:
                (keep_logs_in / "serve.log").write_bytes(plane.process.log.read_bytes())


def replicas(member: Member, name: str = "nginx", namespace: str = "default") -> int:
    """Of a Deployment in a member, -1 when it is not there."""
    found = ("get", "deployment", "-n", namespace, name, "--ignore-not-found", "-o", "jsonpath={.spec.replicas}")
    text = member.kubectl(*found)
    return int(text) if text else -1


def deployment(name: str, namespace: str = "default", replicas: int = 2, image: str = "nginx:1.29") -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    }


def policy(name: str, namespace: str = "default", clusters: tuple[str, ...] = ("member1", "member2"), **spec) -> dict:
    """A PropagationPolicy that duplicates the Deployment of its name."""
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}],
            "placement": {"clusterAffinity": {"clusterNames": list(clusters)}},
            **spec,
        },
    }
