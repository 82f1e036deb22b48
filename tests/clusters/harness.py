"""Real member clusters as plain processes on loopback: kube-apiserver, kube-controller-manager, kube-scheduler and kwok over one etcd.

Nodes and pods are kwok's: pods become Running and Ready without containers (but never those whose image begins with ``fake/``). A
*light* member has no pods at all; kwok writes the status of Deployments directly (but of those with such an image). Every process dies with the test process.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kafila.identity.certificates import KeyPair, issue, new_authority, new_signing_key
from kafila.members.client import MemberClient
from kafila.members.transport import TLS

PATIENCE = 120.0  # seconds for anything to come up; machines that build at the same time are slow
LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def built() -> Path:
    """The folder with bin/ and stage/, built first when it is missing."""
    script = Path(__file__).with_name("build.sh")
    done = subprocess.run([script], stdout=subprocess.PIPE, check=True, text=True)
    return Path(done.stdout.splitlines()[-1])


_claims: list[socket.socket] = []  # on ports, for as long as this process lives


def free_ports(count: int) -> list[int]:
    """Ports of our own, each given once, whoever asks: another test process, or this file under another module's name.

    None of those that connections and port 0 get: somebody else would have it before its program listens, or between two lives.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range((lowest if lowest > 10_000 else 32_768) - 1, 1024, -1)
    found = list(itertools.islice(filter(_claim, candidates), count))
    assert len(found) == count, "there are no free ports"
    return found


def _claim(port: int) -> bool:
    """An abstract name is given once on a machine, and free again when its process is gone, however it went."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0kafila-test-port-{port}")
        with socket.socket() as probe:
            probe.bind((LOOPBACK, port))
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


class Process:
    """One program with its log. Started from the main thread only: it dies with the thread that started it."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._command = [str(part) for part in command]
        self._env = {
            k: v for k, v in os.environ.items() if k.upper() not in ("HTTP_PROXY", "HTTPS_PROXY", "KUBECONFIG")
        }
        self._env.update(env or {})
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._running is not None, f"{self.name} was not started"
        return self._running.pid

    @property
    def alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        assert not self.alive, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,  # an interrupt of the test run is for pytest, which then stops us in order
                preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
            )

    def stop(self, how: int = signal.SIGTERM, patience: float = 10.0) -> None:
        if self._running is None:
            return
        if self.alive:
            self._running.send_signal(how)
            with contextlib.suppress(ProcessLookupError):
                self._running.send_signal(signal.SIGCONT)  # a paused process cannot end
            try:
                self._running.wait(patience)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()
        self._running = None

    def signal(self, which: int) -> None:
        assert self._running is not None
        self._running.send_signal(which)

    def tail(self, lines: int = 20) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def client_flags(kubeconfig: Path, port: int) -> list[str]:
    """How a scheduler or controller manager reaches the cluster, and where it listens itself."""
    kubeconfigs = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [*(f"--{flag}={kubeconfig}" for flag in kubeconfigs), f"--bind-address={LOOPBACK}", f"--secure-port={port}"]


def wait_until(what: str, ready, process: Process | None = None, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not ready():
        if process is not None and not process.alive:
            raise RuntimeError(f"{process.name} ended while waiting for {what}:\n{process.tail()}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about:\n{process.tail() if process else ''}")
        time.sleep(0.1)


def answers(port: int, path: str, tls: bool) -> bool:
    """Whether a server on loopback says 200."""
    context = ssl._create_unverified_context()
    connection = (
        http.client.HTTPSConnection(LOOPBACK, port, timeout=2, context=context)
        if tls
        else http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@dataclass
class Options:
    """What a member is like. ``version``: "" is the newest, else an older minor (built by ``build.sh --older``)."""

    light: bool = False
    nodes: int = 2
    node_cpu: str = "64"
    node_memory: str = "256Gi"
    node_pods: str = "1000"
    scheduler: bool = True
    version: str = ""
    disabled_admission: str = ""


def _kubelet_checksum() -> str:
    """As build.sh has it."""
    source = Path(__file__).with_name("kubelet")
    both = (source / "main.go").read_bytes() + (source / "go.mod").read_bytes()
    return subprocess.run(["cksum"], input=both, stdout=subprocess.PIPE, check=True).stdout.split()[0].decode()


class Etcd:
    def __init__(self, root: Path, folder: Path) -> None:
        client, peer = free_ports(2)
        self.port = client
        self.url = f"http://{LOOPBACK}:{client}"
        self._data = data = folder / "etcd"
        data.mkdir(mode=0o700)
        self.process = Process(
            "etcd",
            [
                root / "bin/etcd",
                "--name=members",
                f"--data-dir={data}",
                "--unsafe-no-fsync",
                f"--listen-client-urls={self.url}",
                f"--advertise-client-urls={self.url}",
                f"--listen-peer-urls=http://{LOOPBACK}:{peer}",
                f"--initial-advertise-peer-urls=http://{LOOPBACK}:{peer}",
                f"--initial-cluster=members=http://{LOOPBACK}:{peer}",
                "--log-level=warn",
            ],
            folder / "etcd.log",
        )

    def start(self) -> None:
        self.process.start()
        wait_until("etcd", lambda: answers(self.port, "/health", tls=False), self.process)

    def save(self) -> None:
        """Keeps a copy of everything as it is now; it is away meanwhile."""
        self.process.stop()
        shutil.copytree(self._data, self._data.with_name("saved"))
        self.start()

    def restore(self) -> None:
        """What was saved is put back: revisions go on from there, with other contents."""
        self.process.stop()
        shutil.rmtree(self._data)
        self._data.with_name("saved").rename(self._data)
        self.start()


class Member:
    """One member cluster. Not started by itself: :class:`Members` starts several side by side."""

    def __init__(self, name: str, root: Path, folder: Path, etcd: Etcd, options: Options) -> None:
        self.name = name
        self.options = options
        self.folder = folder
        folder.mkdir()
        self._root = root
        self._programs = root / "bin" / options.version
        self.port, kcm_port, scheduler_port, kwok_port, kubelet_port = free_ports(5)
        self.endpoint = f"https://{LOOPBACK}:{self.port}"
        self.authority = new_authority(f"{name}-ca")
        self.admin = issue(self.authority, "admin", ["system:masters"])
        self.kubeconfig = folder / "kubeconfig"
        self._write_credentials()
        self.apiserver = self._process("kube-apiserver", self._apiserver_flags(etcd), {"GOGC": "50"})
        self.controllers = self._process("kube-controller-manager", self._controller_flags(kcm_port))
        self.scheduler = self._process("kube-scheduler", self._client_flags(scheduler_port))
        self.kwok = Process(
            f"{name}-kwok",
            [root / "bin/kwok", *self._kwok_flags(kwok_port, kubelet_port)],
            folder / "kwok.log",
            {"HOME": str(folder)},
        )
        self.kubelet = Process(
            f"{name}-kubelet",
            [
                root / f"bin/kubelet-{_kubelet_checksum()}",
                f"-address={LOOPBACK}:{kubelet_port}",
                f"-cert={folder}/kubelet.crt",
                f"-key={folder}/kubelet.key",
                f"-behind=https://{LOOPBACK}:{kwok_port}",
            ],
            folder / "kubelet.log",
        )

    @property
    def processes(self) -> list[Process]:
        some = [self.apiserver, self.controllers, self.kwok]
        if self.options.light:
            return some
        return [*some, self.kubelet, self.scheduler] if self.options.scheduler else [*some, self.kubelet]

    # -- life -------------------------------------------------------------------------------------------------------

    def launch(self) -> None:
        self.apiserver.start()

    def complete(self) -> None:
        """Everything but the API server, once that is ready."""
        self.wait_ready()
        for process in self.processes:
            if not process.alive:
                process.start()
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": self._nodes()}))

    def settle(self) -> None:
        """Waits for Ready nodes and lifts the taint that the (absent) node lifecycle controller would lift."""
        ready = ("get", "nodes", "-o", 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')
        count = self.options.nodes
        wait_until("nodes", lambda: self.kubectl(*ready).split().count("True") == count, self.kwok)
        self.kubectl("taint", "nodes", "--all", "node.kubernetes.io/not-ready:NoSchedule-", check=False)
        # the default account comes from the controller manager; pods are refused before
        wait_until("accounts", lambda: self._succeeds("get", "serviceaccount", "default"), self.controllers)

    def wait_ready(self) -> None:
        wait_until(f"{self.name} to be ready", lambda: answers(self.port, "/readyz", tls=True), self.apiserver)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Everything, last what the others depend on."""
        for process in reversed(self.processes):
            process.stop(how)

    def kill_api(self) -> None:
        self.apiserver.stop(signal.SIGKILL)

    def stop_api(self) -> None:
        self.apiserver.stop()

    def start_api(self) -> None:
        self.apiserver.start()
        self.wait_ready()

    def pause(self) -> None:
        """The API server accepts connections and never answers."""
        self.apiserver.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.apiserver.signal(signal.SIGCONT)

    # -- access -----------------------------------------------------------------------------------------------------

    @property
    def tls(self) -> TLS:
        return TLS(self.authority.certificate, self.admin.certificate, self.admin.key)

    def client(self, **options) -> MemberClient:
        return MemberClient(self.name, self.endpoint, tls=self.tls, **options)

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return kubectl(self._programs / "kubectl", self.kubeconfig, *arguments, stdin=stdin, check=check)

    def _succeeds(self, *arguments: str) -> bool:
        try:
            self.kubectl(*arguments)
        except RuntimeError:
            return False
        return True

    # -- what the processes are told --------------------------------------------------------------------------------

    def _process(self, program: str, flags: list[str], env: dict[str, str] | None = None) -> Process:
        return Process(
            f"{self.name}-{program}", [self._programs / program, *flags], self.folder / f"{program}.log", env
        )

    def _write_credentials(self) -> None:
        hosts = ["localhost", "kubernetes.default.svc", LOOPBACK, "10.96.0.1"]
        service_accounts = new_signing_key()
        for name, pair in (
            ("ca", self.authority),
            ("server", issue(self.authority, "kube-apiserver", hosts=hosts)),
            ("kubelet", issue(self.authority, "kwok", hosts=["localhost", LOOPBACK])),
            ("admin", self.admin),
            ("sa", service_accounts),
        ):
            (self.folder / f"{name}.crt").write_bytes(pair.certificate)
            (self.folder / f"{name}.key").write_bytes(pair.key)
        write_kubeconfig(self.kubeconfig, self.name, self.endpoint, self.authority.certificate, self.admin)

    def _apiserver_flags(self, etcd: Etcd) -> list[str]:
        at = self.folder
        return [
            f"--etcd-servers={etcd.url}",
            f"--etcd-prefix=/{self.name}",
            f"--secure-port={self.port}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            "--endpoint-reconciler-type=none",
            f"--client-ca-file={at}/ca.crt",
            f"--tls-cert-file={at}/server.crt",
            f"--tls-private-key-file={at}/server.key",
            f"--kubelet-client-certificate={at}/admin.crt",
            f"--kubelet-client-key={at}/admin.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={at}/sa.crt",
            f"--service-account-signing-key-file={at}/sa.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--enable-priority-and-fairness=false",
            "--max-requests-inflight=2000",
            "--max-mutating-requests-inflight=1000",
            "--event-ttl=15m",
            *(f"--disable-admission-plugins={names}" for names in [self.options.disabled_admission] if names),
        ]

    def _client_flags(self, port: int) -> list[str]:
        return [
            *client_flags(self.kubeconfig, port),
            "--leader-elect=false",
            "--kube-api-qps=2000",
            "--kube-api-burst=4000",
        ]

    def _controller_flags(self, port: int) -> list[str]:
        # there is no cloud and no kubelet: their controllers would only taint and evict
        left_out = ["node-ipam", "node-route", "cloud-node-lifecycle", "service-lb", "node-lifecycle", "taint-eviction"]
        if self.options.light:
            left_out += ["deployment", "replicaset"]
        names = [f"-{name}-controller" for name in left_out]
        return [
            *self._client_flags(port),
            f"--controllers={','.join(['*', *names])}",
            f"--service-account-private-key-file={self.folder}/sa.key",
            f"--root-ca-file={self.folder}/ca.crt",
            f"--cluster-signing-cert-file={self.folder}/ca.crt",
            f"--cluster-signing-key-file={self.folder}/ca.key",
            "--use-service-account-credentials=false",
            "--horizontal-pod-autoscaler-sync-period=5s",
        ]

    def _kwok_flags(self, port: int, kubelet_port: int) -> list[str]:
        stages = [self._root / "stage/node/fast/node-initialize.yaml"]
        if self.options.light:
            stages.append(self._write_stage("deployment-status.yaml", _LIGHT_DEPLOYMENT))
        else:
            fast = self._root / "stage/pod/fast"
            ready = yaml.safe_load((fast / "pod-ready.yaml").read_text())
            never = {"key": '.spec.containers[].image | select( startswith("fake/") )', "operator": "DoesNotExist"}
            ready["spec"]["selector"]["matchExpressions"].append(never)
            stages += [
                self._write_stage("logs.yaml", yaml.safe_dump(self._logs())),
                self._write_stage("pod-ready.yaml", yaml.safe_dump(ready)),
                fast / "pod-complete.yaml",
                fast / "pod-delete.yaml",
            ]
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--manage-all-nodes=true",
            f"--node-ip={LOOPBACK}",
            f"--node-port={kubelet_port}",
            f"--server-address={LOOPBACK}:{port}",
            f"--cidr=10.{self.port % 200}.0.0/16",
            f"--tls-cert-file={self.folder}/kubelet.crt",
            f"--tls-private-key-file={self.folder}/kubelet.key",
            "--node-lease-duration-seconds=0",
            *(f"--config={stage}" for stage in stages),
            "-v=WARN",
        ]

    def _logs(self) -> dict:
        """Every container has written the file ``pod.log`` (in the CRI's format), to which tests may add."""
        (self.folder / "pod.log").write_text("2026-01-01T00:00:00.000000000Z stdout F first line\n")
        logs = {"logsFile": str(self.folder / "pod.log"), "follow": True}
        return {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "all"},
            "spec": {"logs": [logs]},
        }

    def _write_stage(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def _nodes(self) -> list[dict]:
        o = self.options
        amounts = {"cpu": o.node_cpu, "memory": o.node_memory, "pods": o.node_pods, "ephemeral-storage": "500Gi"}
        return [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": f"{self.name}-node-{i}",
                    "annotations": {"kwok.x-k8s.io/node": "fake"},
                    "labels": {
                        "kubernetes.io/arch": "amd64",
                        "kubernetes.io/os": "linux",
                        "kubernetes.io/hostname": f"{self.name}-node-{i}",
                    },
                },
                "status": {"allocatable": amounts, "capacity": amounts},
            }
            for i in range(1, o.nodes + 1)
        ]


class ControlPlane:
    """``kafila serve`` over its own embedded PostgreSQL, as users start it."""

    def __init__(self, folder: Path, programs: Path, *flags: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.kubeconfig = folder / "data/kubeconfig"
        self._programs = programs
        (self.port,) = free_ports(1)
        run = "from kafila.cli import main; main()"
        source_root = str(Path(__file__).parents[2] / "app")
        self.process = Process(
            "kafila",
            [
                *(sys.executable, "-c", run, "serve"),
                f"--bind={LOOPBACK}:{self.port}",
                f"--data-dir={folder}/data",
                *flags,
            ],
            folder / "kafila.log",
            {"PYTHONPATH": source_root},
        )

    def start(self) -> None:
        self.process.start()
        wait_until("kafila", lambda: answers(self.port, "/readyz", tls=True), self.process)

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.stop(how, patience=30)

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return kubectl(self._programs / "kubectl", self.kubeconfig, *arguments, stdin=stdin, check=check)


_LIGHT_DEPLOYMENT = """\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: deployment-status}
spec:
  resourceRef: {apiGroup: apps/v1, kind: Deployment}
  selector:
    matchExpressions:
    - key: '(.metadata.generation == .status.observedGeneration and .status.readyReplicas == .spec.replicas) | tostring'
      operator: NotIn
      values: ['true']
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: '.spec.template.spec.containers[].image | select( startswith("fake/") )', operator: DoesNotExist}
  next:
    statusTemplate: |
      observedGeneration: {{ .metadata.generation }}
      replicas: {{ .spec.replicas }}
      updatedReplicas: {{ .spec.replicas }}
      readyReplicas: {{ .spec.replicas }}
      availableReplicas: {{ .spec.replicas }}
      conditions:
      - {type: Available, status: "True", reason: MinimumReplicasAvailable, lastUpdateTime: {{ Now | Quote }}, lastTransitionTime: {{ Now | Quote }}}
"""


def kubectl(program: Path, kubeconfig: Path, *arguments: str, stdin: str = "", check: bool = True) -> str:
    """Standard output. Raises RuntimeError with what the program said."""
    done = subprocess.run(
        [program, f"--kubeconfig={kubeconfig}", f"--cache-dir={kubeconfig.parent}/kubectl-cache", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if check and done.returncode:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_until_established(kubectl: Callable[..., str], *names: str) -> None:
    """CustomResourceDefinitions in a kube-apiserver. kubectl gives up at conditions that are null, as theirs are until its
    controller comes by (kubernetes/kubernetes#66439)."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{name}" for name in names))
            return
        except RuntimeError as error:
            if "conditions accessor error: <nil>" not in str(error) or time.monotonic() > deadline:
                raise


def write_kubeconfig(path: Path, name: str, server: str, authority: bytes, client: KeyPair) -> None:
    def b64(data: bytes) -> str:
        return base64.b64encode(data).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": b64(authority)}}],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": b64(client.certificate), "client-key-data": b64(client.key)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    path.chmod(0o600)


@dataclass
class Members:
    """Member clusters that share an etcd, and the programs to talk to them."""

    folder: Path
    root: Path = field(default_factory=built)
    all: dict[str, Member] = field(default_factory=dict)
    planes: dict[str, ControlPlane] = field(default_factory=dict)
    etcd: Etcd | None = None

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def start(self, *names: str, options: Options | None = None, etcd: Etcd | None = None) -> list[Member]:
        """Starts members side by side and returns them ready for work. ``etcd``: one of their own, started."""
        new = [self._new(name, options or Options(), etcd) for name in names]
        for step in (Member.launch, Member.complete, Member.settle):
            for member in new:
                step(member)
        return new

    def bare(self, name: str, options: Options) -> Member:
        """An API server alone."""
        member = self._new(name, options)
        member.launch()
        member.wait_ready()
        return member

    def serve(self, name: str = "kafila", *flags: str) -> ControlPlane:
        """A control plane, ready; ends with the members."""
        plane = self.planes[name] = ControlPlane(self.folder / name, self.bin, *flags)
        plane.start()
        return plane

    def _new(self, name: str, options: Options, etcd: Etcd | None = None) -> Member:
        if etcd is None and self.etcd is None:
            self.etcd = Etcd(self.root, self.folder)
            self.etcd.start()
        over = etcd or self.etcd
        assert over is not None
        member = self.all[name] = Member(name, self.root, self.folder / name, over, options)
        return member

    def stop(self) -> None:
        for plane in self.planes.values():
            plane.stop()  # in order: its PostgreSQL must not be left behind
        self.planes.clear()
        for member in self.all.values():
            member.stop(signal.SIGKILL)  # nothing to save
        if self.etcd is not None:
            self.etcd.process.stop(signal.SIGKILL)
        self.all.clear()
        self.etcd = None


@contextlib.contextmanager
def members(keep_logs_in: Path | None = None) -> Iterator[Members]:
    """Data in memory where the system offers that; logs are copied to ``keep_logs_in`` in the end."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kafila-members-", dir=shared) as folder:
        Path(folder).chmod(0o711)  # as root, kafila runs its PostgreSQL as another user, who has to pass through
        lab = Members(Path(folder))
        try:
            yield lab
        finally:
            lab.stop()
            if keep_logs_in is not None:
                for log in Path(folder).rglob("*.log"):
                    target = keep_logs_in / log.relative_to(folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(log, target)
