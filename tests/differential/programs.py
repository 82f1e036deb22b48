"""One of the two servers with programs of others that work with it: kubectl, Helm, and servers that it asks."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import yaml
from clusters.harness import Process, built, free_ports, wait_until

from differential.servers import Answer, Server
from kafila.identity.certificates import issue, new_authority

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"
CALLER: Final = "kube-apiserver"  # who the webhooks' servers want to be asked by


@final
class CallerOfWebhooks:
    """The certificate that both servers show to webhooks, and the flags and files that say so."""

    def __init__(self, folder: Path) -> None:
        authority = new_authority("callers-ca")
        pair = issue(authority, CALLER)
        self.authority = folder / "callers-ca.crt"
        self.authority.write_bytes(authority.certificate)
        user = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
        kubeconfig = folder / "webhooks.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump({"users": [{"name": "*", "user": user}]}))
        settings = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": str(kubeconfig),
        }
        plugins = [
            {"name": f"{kind}AdmissionWebhook", "configuration": settings} for kind in ("Validating", "Mutating")
        ]
        self._file = folder / "admission.yaml"
        kind = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration"}
        self._file.write_text(yaml.safe_dump({**kind, "plugins": plugins}))

    @property
    def flag(self) -> str:
        return f"--admission-control-config-file={self._file}"


@final
class Side:
    """``server`` and what runs beside it. Everything ends with :func:`side`."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder, self.root = server, folder, built()
        self.processes: list[Process] = []

    def start(self, name: str, program: str, *arguments: str, **environment: str) -> Process:
        command = [self.root / "bin" / program, *arguments]
        process = Process(f"{self.server.name}-{name}", command, self.folder / f"{name}.log", environment)
        self.processes.append(process)
        process.start()
        return process

    def stop(self) -> None:
        while self.processes:
            self.processes.pop().stop()

    def run(self, program: str, *arguments: str | Path, stdin: str = "") -> str:
        """kubectl or Helm, which end by themselves."""
        environment = {"KUBECONFIG": str(self.server.kubeconfig), "HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        command = [self.root / "bin" / program, *arguments]
        done = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def wait(self, what: str, path: str, met: Any, process: Process) -> Any:
        """The object at ``path``, once ``met`` says that of it. ``process`` is who brings it about."""
        last: list[Any] = [None]

        def found() -> bool:
            last[0] = self.server.read(path)
            return bool(last[0] is not None and met(last[0]))

        self.until(what, found, process)
        return last[0]

    def until(self, what: str, met: Callable[[], bool], process: Process) -> None:
        try:
            wait_until(f"{what} on {self.server.name}", met, process, patience=60)
        except TimeoutError as error:
            raise AssertionError(str(error)) from None


class Ask(NamedTuple):
    """``user``: who asks; the administrators of the two servers have different names."""

    method: str
    path: str
    body: Any = None
    type: str = JSON
    user: str = "admin"


def ask(side: Side, asked: Ask) -> Answer:
    headers = {"Impersonate-User": asked.user}
    if asked.user == "admin":
        headers["Impersonate-Group"] = "system:masters"
    body = None if asked.body is None else json.dumps(asked.body).encode()
    return side.server.send(asked.method, asked.path, headers | ({"Content-Type": asked.type} if body else {}), body)


@contextmanager
def side(server: Server, folder: Path) -> Iterator[Side]:
    folder.mkdir()
    it = Side(server, folder)
    try:
        yield it
    finally:
        it.stop()


def free_port() -> int:
    return free_ports(1)[0]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
