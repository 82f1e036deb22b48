"""The oracle: Karmada's own control plane as plain processes on loopback (programs from build.sh here and tests/clusters/build.sh)."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path

from shared import harness

from kafila.identity.certificates import KeyPair, issue, new_authority, new_signing_key
from kafila.identity.kubeconfig import write_kubeconfig

NAMESPACE = "karmada-system"
KCM_CONTROLLERS = (
    "namespace,garbagecollector,serviceaccount-token,ttl-after-finished,bootstrapsigner,tokencleaner,csrcleaner,csrsigning,"
    "clusterrole-aggregation"
)
# Rate limits only: they change when things happen, not what happens.
FAST = ("--kube-api-qps=1000", "--kube-api-burst=2000")
FAST_CONTROLLERS = (
    *FAST,
    "--cluster-api-qps=1000",
    "--cluster-api-burst=2000",
    "--concurrent-resource-template-syncs=10",
    "--concurrent-resourcebinding-syncs=10",
    "--concurrent-clusterresourcebinding-syncs=10",
    "--concurrent-work-syncs=10",
    "--concurrent-namespace-syncs=5",
    "--cluster-status-update-frequency=2s",
    "--cluster-failure-threshold=2s",
    "--cluster-success-threshold=2s",
)
ALL_GATES = "--feature-gates=AllAlpha=true,AllBeta=true"
EVICTS = "--enable-no-execute-taint-eviction"
MORE_CONTROLLERS = "--controllers=*,hpaScaleTargetMarker,deploymentReplicasSyncer"
ALLOWS_EVICTION = "--allow-no-execute-taint-policy"
DESCHEDULES = ("--descheduling-interval=1s", "--unschedulable-threshold=1s", "--scheduler-estimator-timeout=30s")
METRICS = ("v1beta1.metrics.k8s.io", "v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((harness.LOOPBACK, port)) == 0


class Karmada:
    """Started with :meth:`start`. ``profile``: "default" is Karmada's default feature gates, "all" every alpha and beta gate.

    ``limited``: with the rate limits that Karmada has by default, for benchmarks. ``metrics``: with karmada-metrics-adapter.
    """

    def __init__(
        self, lab, programs: Path, folder: Path, profile: str, limited: bool = False, metrics: bool = False
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self._lab = lab
        self._programs = programs
        self._gates = [ALL_GATES] if profile == "all" else []
        self._profile = profile
        self._limited = limited
        self._metrics = metrics
        (self._etcd_port, self._etcd_peer, self.port, self._aggregated, self._webhook, self._kcm) = harness.free_ports(
            6
        )
        self._idle = iter(harness.free_ports(8))  # metrics and probes, which nobody asks
        self.processes: list = []

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._write_credentials()
        self._run("etcd", self._lab.bin / "etcd", *self._etcd_flags())
        self._await_answer("etcd", self._etcd_port, "/health", tls=False)
        self._run("kube-apiserver", self._lab.bin / "kube-apiserver", *self._apiserver_flags())
        self._await_answer("kube-apiserver", self.port, "/readyz")
        self.kubectl("create", "namespace", NAMESPACE)
        self._run("aggregated-apiserver", self._programs / "bin/aggregated-apiserver", *self._aggregated_flags())
        self._run("kube-controller-manager", self._lab.bin / "kube-controller-manager", *self._kcm_flags())
        self._run("webhook", self._programs / "bin/webhook", *self._webhook_flags())
        self.kubectl("apply", "--server-side", "-f", "-", stdin=self._definitions())
        aggregated = self._api_services(
            "karmada-aggregated-apiserver", self._aggregated, ("v1alpha1.cluster.karmada.io",)
        )
        self.kubectl("apply", "-f", "-", stdin=json.dumps(aggregated))
        harness.wait_until("the clusters API", lambda: self._served("clusters"), self.processes[2])
        harness.wait_until("webhook", lambda: _listens(self._webhook), self.processes[-1])
        self.kubectl("apply", "-f", "-", stdin=self._rendered("deploy/webhook-configuration.yaml"))
        for name in ("admin-clusterrole-aggregation", "cluster-proxy-admin-rbac"):
            self.kubectl("apply", "-f", str(self._programs / f"deploy/{name}.yaml"))
        if self._metrics:  # before its clients, which do not ask for long what is served
            self._start_metrics_adapter()
        self._run("controller-manager", self._programs / "bin/controller-manager", *self._controller_flags())
        self._run("scheduler", self._programs / "bin/scheduler", *self._scheduler_flags())

    def start_descheduler(self, *estimators: str) -> None:
        """``estimators``: flags of how they are asked."""
        flags = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", *self._unwatched(), *DESCHEDULES)
        self._run("descheduler", self._programs / "bin/descheduler", *flags, *estimators)

    def _start_metrics_adapter(self) -> None:
        (port,) = harness.free_ports(1)
        flags = (
            *self._delegated(),
            f"--secure-port={port}",
            f"--client-ca-file={self.folder}/ca.crt",
            f"--tls-cert-file={self.folder}/server.crt",
            f"--tls-private-key-file={self.folder}/server.key",
            "--metrics-bind-address=0",
        )
        self._run("metrics-adapter", self._lab.bin / "metrics-adapter", *flags)
        self.kubectl("apply", "-f", "-", stdin=json.dumps(self._api_services("karmada-metrics-adapter", port, METRICS)))
        names = [f"apiservice/{name}" for name in METRICS]
        self.kubectl("wait", *names, "--for=condition=Available", "--timeout=120s")

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop(patience=5)
        self.processes.clear()

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return harness.kubectl(self._lab.bin / "kubectl", self.kubeconfig, *arguments, stdin=stdin, check=check)

    def _served(self, resource: str) -> bool:
        try:
            self.kubectl("get", resource)
        except RuntimeError:
            return False
        return True

    def _run(self, name: str, program: Path, *flags: str) -> None:
        process = harness.Process(f"karmada-{name}", [program, *flags], self.folder / f"{name}.log")
        self.processes.append(process)
        process.start()

    def _await_answer(self, name: str, port: int, path: str, tls: bool = True) -> None:
        process = next(p for p in self.processes if p.name == f"karmada-{name}")
        harness.wait_until(name, lambda: harness.answers(port, path, tls), process)

    # -- what is applied --------------------------------------------------------------------------------------------

    def _definitions(self) -> str:
        """CustomResourceDefinitions, with the patches that let the API server convert by the webhook."""
        folder = self.folder / "crds"
        folder.mkdir()
        for source in (self._programs / "crds").rglob("*.yaml"):
            target = folder / source.relative_to(self._programs / "crds")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(
                self._render(source.read_text().replace("https://{{name}}.{{namespace}}.svc:443", self._webhook_url))
            )
        return self.kubectl("kustomize", str(folder))

    def _rendered(self, name: str) -> str:
        text = (self._programs / name).read_text()
        return self._render(text.replace("https://karmada-webhook.karmada-system.svc:443", self._webhook_url))

    def _render(self, text: str) -> str:
        return text.replace("{{caBundle}}", base64.b64encode(self._authority.certificate).decode())

    @property
    def _webhook_url(self) -> str:
        return f"https://{harness.LOOPBACK}:{self._webhook}"

    def _api_services(self, name: str, port: int, groups: tuple[str, ...]) -> dict:
        """``groups``: version before group, as APIServices are named."""
        service = {"name": name, "namespace": NAMESPACE}
        reached = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": service,
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }
        return {
            "apiVersion": "v1",
            "kind": "List",
            "items": [reached, *(self._api_service(group, {**service, "port": port}) for group in groups)],
        }

    def _api_service(self, name: str, service: dict) -> dict:
        version, _, group = name.partition(".")
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {
                "caBundle": base64.b64encode(self._authority.certificate).decode(),
                "group": group,
                "version": version,
                "groupPriorityMinimum": 2000,
                "versionPriority": 10,
                "service": service,
            },
        }

    # -- what the processes are told --------------------------------------------------------------------------------

    def _write_credentials(self) -> None:
        self._authority = new_authority("karmada")
        hosts = [
            "localhost",
            "kubernetes.default.svc",
            f"karmada-aggregated-apiserver.{NAMESPACE}.svc",
            f"karmada-metrics-adapter.{NAMESPACE}.svc",
            harness.LOOPBACK,
            "10.96.0.1",
        ]
        admin = issue(self._authority, "system:admin", ["system:masters"])
        pairs: dict[str, KeyPair] = {
            "ca": self._authority,
            "server": issue(self._authority, "karmada-server", hosts=hosts),
            "front-proxy": issue(self._authority, "front-proxy-client"),
            "sa": new_signing_key(),
        }
        for name, pair in pairs.items():
            (self.folder / f"{name}.crt").write_bytes(pair.certificate)
            (self.folder / f"{name}.key").write_bytes(pair.key)
        write_kubeconfig(self.kubeconfig, f"https://{harness.LOOPBACK}:{self.port}", self._authority.certificate, admin)

    def _etcd_flags(self) -> list[str]:
        client, peer = (f"http://{harness.LOOPBACK}:{port}" for port in (self._etcd_port, self._etcd_peer))
        return [
            "--name=karmada",
            f"--data-dir={self.folder}/etcd-data",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=karmada={peer}",
            "--log-level=warn",
        ]

    def _apiserver_flags(self) -> list[str]:
        at = self.folder
        return [
            f"--etcd-servers=http://{harness.LOOPBACK}:{self._etcd_port}",
            f"--secure-port={self.port}",
            f"--bind-address={harness.LOOPBACK}",
            f"--advertise-address={harness.LOOPBACK}",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--enable-bootstrap-token-auth=true",
            "--disable-admission-plugins=StorageObjectInUseProtection,ServiceAccount",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={at}/sa.crt",
            f"--service-account-signing-key-file={at}/sa.key",
            f"--client-ca-file={at}/ca.crt",
            f"--tls-cert-file={at}/server.crt",
            f"--tls-private-key-file={at}/server.key",
            f"--proxy-client-cert-file={at}/front-proxy.crt",
            f"--proxy-client-key-file={at}/front-proxy.key",
            f"--requestheader-client-ca-file={at}/ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            "--enable-priority-and-fairness=false",
        ]

    def _delegated(self) -> list[str]:
        names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return [*(f"--{name}={self.kubeconfig}" for name in names), f"--bind-address={harness.LOOPBACK}"]

    def _aggregated_flags(self) -> list[str]:
        models = ["--feature-gates=CustomizedClusterResourceModeling=true"] if self._profile == "all" else []
        return [
            *self._delegated(),
            f"--etcd-servers=http://{harness.LOOPBACK}:{self._etcd_port}",
            f"--secure-port={self._aggregated}",
            f"--tls-cert-file={self.folder}/server.crt",
            f"--tls-private-key-file={self.folder}/server.key",
            "--audit-log-path=-",
            "--audit-log-maxage=0",
            *models,
        ]

    def _kcm_flags(self) -> list[str]:
        return [
            *self._delegated(),
            f"--secure-port={self._kcm}",
            "--leader-elect=false",
            "--cluster-name=karmada",
            f"--controllers={KCM_CONTROLLERS}",
            f"--cluster-signing-cert-file={self.folder}/ca.crt",
            f"--cluster-signing-key-file={self.folder}/ca.key",
            f"--root-ca-file={self.folder}/ca.crt",
            f"--service-account-private-key-file={self.folder}/sa.key",
            "--use-service-account-credentials=true",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]

    def _webhook_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--bind-address={harness.LOOPBACK}",
            f"--secure-port={self._webhook}",
            f"--cert-dir={self.folder}",
            "--tls-cert-file-name=server.crt",
            "--tls-private-key-file-name=server.key",
            *self._unwatched(),
            *self._rates(FAST),
            *self._gates,
            *([ALLOWS_EVICTION] if self._profile == "all" else []),
        ]

    def _rates(self, raised: tuple[str, ...]) -> tuple[str, ...]:
        return () if self._limited else raised

    def _controller_flags(self) -> list[str]:
        more = [MORE_CONTROLLERS, EVICTS] if self._profile == "all" else []
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            *self._unwatched(),
            *self._rates(FAST_CONTROLLERS),
            *self._gates,
            *more,
        ]

    def _scheduler_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            *self._unwatched(),
            *self._rates(FAST),
            *self._gates,
        ]

    def _unwatched(self) -> list[str]:
        metrics, probe = next(self._idle), next(self._idle)
        return [
            f"--metrics-bind-address={harness.LOOPBACK}:{metrics}",
            f"--health-probe-bind-address={harness.LOOPBACK}:{probe}",
        ]
