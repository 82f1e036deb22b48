"""Runs on loopback what a pod's specification says: its command, arguments and environment, its volumes and its account's token where
they are mounted, as its user, without rights, over a file system that it cannot write to. In the place of the image stands this checkout."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import socket
import socketserver
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import LOOPBACK, Member, Process, answers, free_ports

SOURCES = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
_IMAGE = {  # what deploy/Dockerfile sets
    "PATH": f"{SCRIPTS}:/usr/bin:/bin",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": f"{SOURCES}/app",
    "HOME": "/nonexistent",
}
_LEFT_OUT = {"tmp", "root", "home", "etc", "mnt", "media", "run", "srv", "lost+found"}
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_LISTENS = re.compile(r"(--(?:.*-)?bind(?:-address)?)=.*:(\d+)")  # flags with HOST:PORT


def needs_namespaces() -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("a process of a pod needs a mount namespace, which this user may not make")


class Pod:
    """One container of a pod of ``template`` in a member, not started yet."""

    def __init__(self, member: Member, namespace: str, template: Any, folder: Path, port: int = 0) -> None:
        needs_namespaces()
        folder.mkdir()
        self.spec = template["spec"]
        (self.container,) = self.spec["containers"]
        self._member, self._namespace, self._folder = member, namespace, folder
        numbers = [each["containerPort"] for each in self.container.get("ports", ())]
        own = [port or free_ports(1)[0], *free_ports(max(len(numbers) - 1, 0))]
        self._own_ports = dict(zip(numbers, own, strict=False))  # of the container's: where it listens here
        self.port = own[0]
        (folder / "root").mkdir()
        (folder / "start").write_text(self._script())
        self.process = Process(self.container["name"], ["unshare", "--mount", "sh", folder / "start"], folder / "log")

    def start(self) -> None:
        self.process.start()

    def probe(self, kind: str) -> bool:
        get = self.container[kind]["httpGet"]
        return answers(self.port_of(get["port"]), get["path"], tls=get["scheme"] == "HTTPS")

    def port_of(self, name: str) -> int:
        """Where it listens here, by the name of the container's port."""
        (number,) = (port["containerPort"] for port in self.container["ports"] if port["name"] == name)
        return self._own_ports[number]

    def status(self) -> dict[str, str]:
        """Of the process, as the kernel has it."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def log(self) -> str:
        return self.process.tail(1000)

    # -- what it sees -----------------------------------------------------------------------------------------------

    def _script(self) -> str:
        """Builds a root in a mount namespace of its own, and becomes the program there."""
        root, user = self._folder / "root", self._user()
        lines = ["set -e", "mount --make-rprivate /", f"mount -t tmpfs -o mode=755 tmpfs {root}"]
        for entry in sorted(Path("/").iterdir()):
            if entry.is_symlink():
                lines.append(f"cp -P {entry} {root}/")
            elif entry.is_dir() and entry.name not in _LEFT_OUT:
                lines += [f"mkdir {root}{entry}", f"mount --rbind {entry} {root}{entry}"]
        lines.append(f"cp -r --no-preserve=ownership /etc {root}/etc")
        for mount in self.container.get("volumeMounts", ()):
            volume = next(v for v in self.spec["volumes"] if v["name"] == mount["name"])
            at, source = mount["mountPath"], self._volume(volume, user)
            lines += [f"mkdir -p {root}{at}", f"mount --bind {source} {root}{at}"]
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,bind,ro {root}{at}")
        if self.spec["automountServiceAccountToken"]:
            at = _ACCOUNT.replace("/var/run/", "/run/")  # what the link leads to: here it would lead out of the root
            assert Path("/var/run").resolve() == Path("/run")
            lines += [f"mkdir -p {root}{at}", f"mount --bind -o ro {self._account(user)} {root}{at}"]
        # behind the volumes, of which one may be mounted above them (/tmp)
        for needed in dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix), SOURCES)):
            if needed.parts[1] in _LEFT_OUT:
                lines += [f"mkdir -p {root}{needed}", f"mount --bind {needed} {root}{needed}"]
        if self.container["securityContext"]["readOnlyRootFilesystem"]:
            lines.append(f"mount -o remount,ro {root}")
        return "\n".join([*lines, f"exec chroot {root} {shlex.join(self._become(user))}", ""])

    def _user(self) -> int:
        context = {**self.spec["securityContext"], **self.container["securityContext"]}
        assert context["runAsNonRoot"]
        return context["runAsUser"]

    def _become(self, user: int) -> list[str]:
        group = str(self.spec["securityContext"]["runAsGroup"])
        become = [
            "setpriv",
            f"--reuid={user}",
            f"--regid={group}",
            f"--groups={self.spec['securityContext']['fsGroup']}",
        ]
        if not self.container["securityContext"]["allowPrivilegeEscalation"]:
            become.append("--no-new-privs")
        assert self.container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        become += ["--bounding-set=-all", "--inh-caps=-all", "--pdeathsig=KILL"]
        environment = [f"{name}={value}" for name, value in (_IMAGE | self._environment()).items()]
        return [*become, "env", "-i", "-C", "/", *environment, *self.container["command"], *self._arguments()]

    def _environment(self) -> dict[str, str]:
        # where the API server is, as every pod is told
        found = {"KUBERNETES_SERVICE_HOST": LOOPBACK, "KUBERNETES_SERVICE_PORT": str(self._member.port)}
        for variable in self.container.get("env", ()):
            if "value" in variable:
                found[variable["name"]] = variable["value"]
                continue
            reference = variable["valueFrom"]["secretKeyRef"]
            found[variable["name"]] = self._object("secret", reference["name"])[reference["key"]].decode()
        return found

    def _arguments(self) -> list[str]:
        """On loopback, where it has ports of its own."""
        found = []
        for argument in self.container["args"]:
            if listens := _LISTENS.fullmatch(argument):
                argument = f"{listens[1]}={LOOPBACK}:{self._own_ports[int(listens[2])]}"
            found.append(argument)
        return found

    def _account(self, user: int) -> Path:
        """What a kubelet mounts of the pod's account."""
        token = {"serviceAccountToken": {"path": "token"}}
        authority = {"configMap": {"name": "kube-root-ca.crt"}}
        at = self._volume({"name": "account", "projected": {"sources": [token, authority], "defaultMode": 0o440}}, user)
        (at / "namespace").write_text(self._namespace)
        return at

    def _volume(self, volume: Any, user: int) -> Path:
        at = self._folder / f"volume-{volume['name']}"
        at.mkdir()
        group = self.spec["securityContext"]["fsGroup"]
        if "emptyDir" in volume:
            os.chown(at, user, group)
            at.chmod(0o770)
            return at
        files, mode = self._files(volume)
        for name, content in files.items():
            (at / name).write_bytes(content)
            (at / name).chmod(mode)
            os.chown(at / name, 0, group)
        return at

    def _files(self, volume: Any) -> tuple[dict[str, bytes], int]:
        if "secret" in volume:
            return self._object("secret", volume["secret"]["secretName"]), volume["secret"]["defaultMode"]
        files: dict[str, bytes] = {}
        for source in volume["projected"]["sources"]:
            if "configMap" in source:
                files |= self._object("configmap", source["configMap"]["name"])
            else:
                account = self.spec["serviceAccountName"]
                token = self._member.kubectl("-n", self._namespace, "create", "token", account)
                files[source["serviceAccountToken"]["path"]] = token.strip().encode()
        here = self._member.endpoint.encode()
        return {name: c.replace(b"https://kubernetes.default.svc", here) for name, c in files.items()}, volume[
            "projected"
        ]["defaultMode"]

    def _object(self, resource: str, name: str) -> dict[str, bytes]:
        found = json.loads(self._member.kubectl("-n", self._namespace, "get", resource, name, "-o", "json"))
        data = found.get("data") or {}
        if resource == "configmap":
            return {key: value.encode() for key, value in data.items()}
        return {key: base64.b64decode(value) for key, value in data.items()}


class _Relay(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(self.server.socket_path)
            back = threading.Thread(target=_pump, args=(other, self.request), daemon=True)
            back.start()
            _pump(self.request, other)
            back.join()


class Relay(socketserver.ThreadingTCPServer):
    """Leads from a port to a socket that only we may use."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path
        super().__init__((LOOPBACK, 0), _Relay)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def by_port(dsn: str) -> Iterator[str]:
    """The URL of a database, for users that may not use its socket."""
    from urllib.parse import parse_qs, urlsplit

    url = urlsplit(dsn)
    (folder,) = parse_qs(url.query)["host"]
    relay = Relay(f"{folder}/.s.PGSQL.5432")
    thread = threading.Thread(target=relay.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"postgresql://{url.username or 'kafila'}@{LOOPBACK}:{relay.server_address[1]}{url.path}"
    finally:
        relay.shutdown()
        relay.server_close()
