"""Stock Kubernetes programs over any API server: kube-controller-manager as kubeadm starts it, kube-scheduler and kwok (nodes and pods)."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cluster_harness import LOOPBACK, Process, client_flags, free_ports, wait_until

from kafila.identity.certificates import issue, new_authority, new_signing_key

STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


class StockControllers:
    """The programs that make a cluster of an API server. They know nothing of it but its kubeconfig."""

    def __init__(self, name: str, kubeconfig: Path, root: Path, folder: Path) -> None:
        folder.mkdir()
        self.name, self.kubeconfig, self.folder, self._root = name, kubeconfig, folder, root
        authority = new_authority(f"{name}-ca")
        for file, pair in (
            ("ca", authority),
            ("sa", new_signing_key()),
            ("kubelet", issue(authority, "kwok", hosts=["localhost", LOOPBACK])),
        ):
            (folder / f"{file}.crt").write_bytes(pair.certificate)
            (folder / f"{file}.key").write_bytes(pair.key)
        self._ports = free_ports(3)
        self.manager = self._process("kube-controller-manager", self._manager_flags())
        self.scheduler = self._process("kube-scheduler", self._client_flags(self._ports[1]))
        self.kwok = self._process("kwok", self._kwok_flags())

    def start(self, kubectl: Callable[..., str]) -> None:
        """Returns when all lead. What gives up on a machine that is too slow starts again, as a kubelet would have it."""
        self.kwok.start()
        for process, lease in ((self.manager, "kube-controller-manager"), (self.scheduler, "kube-scheduler")):
            get = ("get", "lease", lease, "-n", "kube-system", "--ignore-not-found", "-o", "name")
            wait_until(f"{lease} to lead", lambda process=process, get=get: _alive(process) and kubectl(*get))

    def stop(self) -> None:
        for process in (self.kwok, self.scheduler, self.manager):
            process.stop()

    def _process(self, program: str, flags: list[str]) -> Process:
        command = [self._root / "bin" / program, *flags]
        return Process(f"{self.name}-{program}", command, self.folder / f"{program}.log", {"HOME": str(self.folder)})

    def _client_flags(self, port: int) -> list[str]:
        return [
            *client_flags(self.kubeconfig, port),
            "--leader-elect=true",
            # machines that build at the same time are slow
            *("--leader-elect-lease-duration=60s", "--leader-elect-renew-deadline=50s"),
        ]

    def _manager_flags(self) -> list[str]:
        """kubeadm's, an account of its own for each controller among them. Faster loops show more in less time."""
        at = self.folder
        return [
            *self._client_flags(self._ports[0]),
            "--service-cluster-ip-range=10.96.0.0/16",
            "--cluster-name=kubernetes",
            "--controllers=*,bootstrapsigner,tokencleaner",
            f"--cluster-signing-cert-file={at}/ca.crt",
            f"--cluster-signing-key-file={at}/ca.key",
            f"--root-ca-file={at}/ca.crt",
            f"--service-account-private-key-file={at}/sa.key",
            "--use-service-account-credentials=true",
            "--horizontal-pod-autoscaler-sync-period=5s",
            "--resource-quota-sync-period=20s",
            "--pvclaimbinder-sync-period=5s",
        ]

    def _kwok_flags(self) -> list[str]:
        at, port = self.folder, self._ports[2]
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--manage-all-nodes=true",
            f"--node-ip={LOOPBACK}",
            f"--node-port={port}",
            f"--server-address={LOOPBACK}:{port}",
            "--cidr=10.245.0.0/16",
            f"--tls-cert-file={at}/kubelet.crt",
            f"--tls-private-key-file={at}/kubelet.key",
            "--node-lease-duration-seconds=40",
            *(f"--config={self._root}/stage/{stage}" for stage in STAGES),
            "-v=WARN",
        ]


def _alive(process: Process) -> bool:
    if process.alive:
        return True
    process.log.unlink(missing_ok=True)
    process.start()
    return False


# what differs between two runs of the same program over the same objects
_VARYING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UID"),
    (re.compile(r"https://127\.0\.0\.1:\d+"), "SERVER"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b"), "IP"),
    (re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}\b"), "SUFFIX"),
    (re.compile(r"\bnode-\d\b"), "NODE"),
    (re.compile(r"\b\d{8,}\b"), "NUMBER"),
    # kafila serves that API, and has no members here
    (re.compile("no metrics returned from resource metrics API"), "NO METRICS"),
    (
        re.compile(
            r"unable to fetch metrics from resource metrics API: the server could not find .*?metrics\.k8s\.io\)"
        ),
        "NO METRICS",
    ),
)
_LINE = re.compile(r"^E(\d{4} [\d:.]+) +\d+ (\S+\]) (.*)$")
# which object, revision or time it was: an error counts by what it says
_INSTANCES = (
    (re.compile(r' (?!err=)\w+="[^"]*"'), ""),
    (re.compile(r'\\"[^"]*\\"'), "NAME"),
    (re.compile(r"\b(work|gone|kube-system|default)/\S+"), "OBJECT"),
    (re.compile(r"version: \d+"), "version: REVISION"),
)


def without_varying(text: str) -> str:
    for pattern, put in _VARYING:
        text = pattern.sub(put, text)
    return text


# kube-controller-manager was overtaken by another writer, or by its own write: when it is, and in which loop, is chance
_OVERTAKEN = re.compile("the object has been modified; please apply your changes|is not as new as written version")


_NOT_FOUND = re.compile(r'(\S+) \\"([^"\\]+)\\" not found')


@dataclass
class Absence:
    """What the work takes away: from before its deletion is asked for until it has been made again.

    A controller that finds it in its cache just before and asks the server just after is answered 404, by any API server, and logs that:
    the ReplicaSet controller when it gets anew what it could not write, the HPA and PDB controllers likewise. Which of them is overtaken is chance.
    """

    key: str  # namespace/name, and what is named after it; namespace/ for all inside, nothing for all but the nodes
    since: float = field(default_factory=time.time)
    until: float = math.inf

    def explains(self, text: str, at: float) -> bool:
        """Whether an error of that time says no more than that such objects are not there."""
        missing = _NOT_FOUND.findall(text)
        name = self.key.rpartition("/")[2]
        named = bool(missing) and all(kind != "nodes" and one.startswith(name) for kind, one in missing)
        return named and self.key in text and self.since <= at <= self.until


def error_lines(log: Path, absences: Iterable[Absence] = ()) -> set[str]:
    """What a program logged as errors (klog's E): source line and text, without what it was about."""
    found = set()
    for line in log.read_text(errors="replace").splitlines():
        if not (matched := _LINE.match(line)) or _OVERTAKEN.search(line):
            continue
        at = datetime.strptime(f"{datetime.now().year}{matched[1]}", "%Y%m%d %H:%M:%S.%f").timestamp()
        if any(absence.explains(matched[3], at) for absence in absences):
            continue
        text = without_varying(matched[3])
        for pattern, put in _INSTANCES:
            text = pattern.sub(put, text)
        found.add(f"{matched[2]} {text}")
    return found


NAMESPACED = (
    "pods replicationcontrollers services endpoints configmaps secrets serviceaccounts resourcequotas limitranges persistentvolumeclaims "
    "deployments.apps replicasets.apps statefulsets.apps daemonsets.apps controllerrevisions.apps jobs.batch cronjobs.batch "
    "horizontalpodautoscalers.autoscaling poddisruptionbudgets.policy endpointslices.discovery.k8s.io"
)
CLUSTER = (
    "node/node-1 node/node-2 pv/disk clusterrole/sum csr/somebody validatingadmissionpolicy/few namespace/work "
    "configmap/kube-apiserver-legacy-service-account-token-tracking"
)
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
_OWN = {"uid", "resourceVersion", "creationTimestamp", "nodeName", "podIP", "hostIP", "clusterIP", "token", "request"}
_OWN |= {"certificate", "Port", "since", "username"}


def end_state(kubectl: Callable[..., str], namespace: str) -> dict[str, list[str]]:
    """Every object of a namespace and some of the cluster, by kind, without what two runs cannot have in common."""
    output = ("-o", "json", "--show-managed-fields")
    found: dict[str, list[str]] = {}
    inside = json.loads(kubectl("get", ",".join(NAMESPACED.split()), "-n", namespace, *output))["items"]
    outside = json.loads(kubectl("get", *CLUSTER.split(), "-n", "kube-system", *output))["items"]
    for item in (*inside, *outside):
        if item["kind"] == "EndpointSlice":
            del item["metadata"]["generation"]  # how often it was written depends on who came when
        if item["kind"] == "ResourceQuota":  # which use admission counted and which the controller: the same
            del item["metadata"]["managedFields"]
        if item["kind"] == "CertificateSigningRequest":
            item["spec"].pop("extra", None)  # the digest of the caller's certificate, which kafila does not tell
        found.setdefault(item["kind"], []).append(json.dumps(_plain(item), sort_keys=True, indent=1))
    return {kind: sorted(objects) for kind, objects in found.items()}


def _plain(value: Any, key: str = "") -> Any:
    if key in _OWN and not isinstance(value, dict | list):
        return key.upper()
    if isinstance(value, dict):
        return {without_varying(k): _plain(v, k) for k, v in value.items()}
    if isinstance(value, list):
        items = [_plain(item, key) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, str):
        if key in ("manager", "ca.crt"):  # kube-apiserver's own objects are kafila's here
            return value.replace("kafila", "kube-apiserver") if key == "manager" else key
        return "TIME" if _TIME.match(value) else without_varying(value)
    return value
