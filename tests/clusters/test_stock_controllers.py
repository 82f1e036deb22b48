"""The stock kube-controller-manager and kube-scheduler cannot tell kafila from kube-apiserver: the same work ends in the same objects,
and they log no error that they do not log there."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import operator
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from cluster_harness import ControlPlane, Member, Members, Options, wait_until
from cluster_stock import Absence, StockControllers, end_state, error_lines
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DOCUMENTS = (Path(__file__).parent / "stock_workloads.yaml").read_text().split("---\n")
NODES = "---\n".join(text for text in _DOCUMENTS if "kind: Node\n" in text)
WORKLOADS = "---\n".join(text for text in _DOCUMENTS if "kind: Node\n" not in text)
# admission that kafila leaves to its members, where the pods are
NOT_IN_KAFILA = "ServiceAccount,StorageObjectInUseProtection"
_numbers = itertools.count(1)


class Cluster:
    """An API server with the stock controllers over it, and work for them."""

    def __init__(self, name: str, server: Member | ControlPlane, root: Path) -> None:
        self.name, self.kubectl = name, server.kubectl
        self.stock = StockControllers(name, server.kubeconfig, root, server.folder / "stock")
        self.absences: list[Absence] = []

    def wait(self, what: str, condition: str, namespace: str = "work") -> None:
        self.kubectl("wait", *what.split(), f"--for={condition}", f"-n{namespace}", "--timeout=100s")

    def value(self, what: str, path: str, namespace: str = "work") -> str:
        return self.kubectl("get", what, "-n", namespace, "--ignore-not-found", "-o", f"jsonpath={path}")

    def errors(self, program: str) -> set[str]:
        return error_lines(getattr(self.stock, program).log, self.absences)

    def work(self) -> None:
        """Objects for every controller; each has done its part in the end."""
        self._furnish()
        self.kubectl("apply", "-f", "-", stdin=WORKLOADS)
        for absence in self.absences:
            absence.until = min(absence.until, time.time())
        self._sign()
        self.wait("deployment/web", "jsonpath={.status.readyReplicas}=3")
        self.wait("statefulset/db", "jsonpath={.status.readyReplicas}=2")
        self.wait("daemonset/agent", "jsonpath={.status.numberReady}=2")
        self.wait("rc/old", "jsonpath={.status.readyReplicas}=1")
        self.wait("job/once", "condition=Complete")
        self.wait("job/expires", "delete")
        self.wait("job/suspended", "condition=Suspended")
        self.wait("pvc/disk", "jsonpath={.status.phase}=Bound")
        self.wait("pdb/web", "jsonpath={.status.currentHealthy}=3")
        self.wait("hpa/web", "condition=ScalingActive=False")
        self.wait("validatingadmissionpolicy/few", "jsonpath={.status.observedGeneration}=1")
        self.wait("secret/bootstrap-token-abcdef", "delete", "kube-system")
        self.wait("secret/legacy-token", "jsonpath={.data.token}")
        self.wait("clusterrole/sum", "jsonpath={.rules[0].resources[0]}=configmaps")
        mirrored = ("get", "endpointslice", "-nwork", "-lkubernetes.io/service-name=outside")  # there may be none yet
        ports = "jsonpath={.items[*].ports[0].port}"
        wait_until("the mirrored slice", lambda: self.kubectl(*mirrored, "-o", ports) == "8080", self.stock.manager)

    def change(self) -> None:
        """Rolls out, scales, deletes in every way, and leaves what its owner takes along."""
        self.kubectl("set", "image", "deployment/web", "web=nginx:2", "-nwork")
        self.kubectl("rollout", "status", "deployment/web", "-nwork", "--timeout=120s")
        self.kubectl("rollout", "undo", "deployment/web", "-nwork")
        self.kubectl("rollout", "status", "deployment/web", "-nwork", "--timeout=120s")
        self.kubectl("scale", "statefulset/db", "--replicas=3", "-nwork")
        self.kubectl("rollout", "status", "statefulset/db", "-nwork", "--timeout=120s")
        self.kubectl("set", "image", "daemonset/agent", "agent=agent:2", "-nwork")
        self.kubectl("rollout", "status", "daemonset/agent", "-nwork", "--timeout=120s")
        self.kubectl("patch", "job/suspended", "-nwork", "--type=merge", "-p", '{"spec":{"suspend":false}}')
        self.wait("job/suspended", "condition=Complete")
        self._delete("gone/web", "deployment/web", "-ngone", "--cascade=foreground", "--timeout=60s")
        self._delete("work/old", "rc/old", "-nwork", "--cascade=orphan", "--timeout=60s")
        self._delete("work/once", "job/once", "-nwork", "--timeout=60s")
        self._own("owner", "owned")
        self.kubectl("delete", "configmap/owner", "-ngone")
        self.wait("configmap/owned", "delete", "gone")
        self._delete("gone/", "namespace/gone", "--timeout=120s")
        self.wait("cronjob/tick", "jsonpath={.status.lastSuccessfulTime}")  # each minute
        self.kubectl("patch", "cronjob/tick", "-nwork", "--type=merge", "-p", '{"spec":{"suspend":true}}')

    def clear(self) -> None:
        """Takes everything away but the nodes."""
        self._delete("", "-f", "-", "--ignore-not-found", "--timeout=100s", stdin=WORKLOADS)
        self.kubectl("delete", "csr/somebody")

    def _furnish(self) -> None:
        """Nodes that the scheduler has seen ready: a pod that it meets before is told so, and has another history."""
        self.kubectl("apply", "-f", "-", stdin=NODES)
        for node in ("node-1", "node-2"):
            spec = {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "containers": [{"name": "probe", "image": "probe:1"}],
            }
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"probe-{node}"}, "spec": spec}
            self.kubectl("apply", "-ndefault", "-f", "-", stdin=json.dumps(pod))
        self.wait("pod/probe-node-1 pod/probe-node-2", "condition=PodScheduled", "default")
        self.kubectl("delete", "pod/probe-node-1", "pod/probe-node-2", "-ndefault", "--timeout=100s")

    def _delete(self, key: str, *what: str, stdin: str = "") -> None:
        self.absences.append(Absence(key))
        self.kubectl("delete", *what, stdin=stdin)

    def _sign(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        spec = {
            "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        }
        csr = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "spec": spec}
        self.kubectl("create", "-f", "-", stdin=json.dumps({**csr, "metadata": {"name": "somebody"}}))
        self.kubectl("certificate", "approve", "somebody")
        self.wait("csr/somebody", "jsonpath={.status.certificate}")

    def _own(self, owner: str, owned: str) -> None:
        uid = self.value(f"configmap/{owner}", "{.metadata.uid}", "gone")
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid}
        metadata = {"name": owned, "namespace": "gone", "ownerReferences": [reference]}
        self.kubectl(
            "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        )


@pytest.fixture
def clusters(lab: Members) -> Iterator[tuple[Cluster, Cluster]]:
    """The same programs over kube-apiserver and over kafila without controllers of its own."""
    reference, stock = (
        f"{name}-{next(_numbers)}" for name in ("reference", "stock")
    )  # of each test: etcd keeps what was there
    member = lab.bare(reference, Options(disabled_admission=NOT_IN_KAFILA))
    plane = lab.serve(stock, "--controllers=", "--service-cidr=10.96.0.0/16")
    both = Cluster("kube", member, lab.root), Cluster("kafila", plane, lab.root)
    try:
        for cluster in both:
            cluster.stock.start(cluster.kubectl)
        yield both
    finally:
        for cluster in both:
            cluster.stock.stop()
        lab.planes.pop(stock).stop()
        lab.all.pop(reference).stop(signal.SIGKILL)


def run(clusters: tuple[Cluster, Cluster], *steps: Callable[[Cluster], None]) -> None:
    """Each step on both sides at the same time."""
    with ThreadPoolExecutor(len(clusters)) as threads:
        for step in steps:
            list(threads.map(step, clusters))


def assert_alike(clusters: tuple[Cluster, Cluster]) -> None:
    """The same objects, once nothing moves any more, and no error here that is none there."""

    def states() -> list[dict[str, list[str]]]:
        return [end_state(cluster.kubectl, "work") for cluster in clusters]

    with contextlib.suppress(TimeoutError):  # the comparison says more
        wait_until("the same end", lambda: operator.eq(*states()))
    wanted, found = states()
    assert set(found) == set(wanted)
    for kind in wanted:
        assert "\n".join(found[kind]) == "\n".join(wanted[kind])
    for program in ("manager", "scheduler"):
        there, here = (cluster.errors(program) for cluster in clusters)
        assert "\n".join(sorted(here - there)) == ""  # a set would be shown cut short


def test_what_is_not_found_is_an_error_unless_the_work_took_it_away(tmp_path: Path) -> None:
    log = tmp_path / "log"
    away = 'E1126 10:12:27.000393    8741 replica_set.go:640] "Unhandled Error" err="sync \\"work/old\\" failed with replicationcontrollers \\"old\\" not found"'
    log.write_text(away)
    at = datetime(datetime.now().year, 11, 26, 10, 12, 27).timestamp()
    kept = error_lines(log)
    assert len(kept) == 1
    for explained in (Absence("work/old", at - 1, at + 1), Absence("work/", at - 1), Absence("", at - 1)):
        assert not error_lines(log, [explained])
    for other in (Absence("work/old", at - 2, at - 1), Absence("work/old", at + 1), Absence("gone/old", at - 1)):
        assert error_lines(log, [other]) == kept
    log.write_text(away.replace('controllers \\"old', 'controllers \\"new'))
    assert error_lines(log, [Absence("work/old", at - 1)]) == kept
    log.write_text(away.replace("replicationcontrollers", "nodes"))
    assert len(error_lines(log, [Absence("", at - 1)])) == 1
    log.write_text(away.replace("not found", "is forbidden"))
    assert len(error_lines(log, [Absence("work/old", at - 1)])) == 1


def test_they_end_where_they_end_with_kube_apiserver(clusters: tuple[Cluster, Cluster]) -> None:
    run(clusters, Cluster.work, Cluster.change)
    assert_alike(clusters)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_minutes_of_work(clusters: tuple[Cluster, Cluster]) -> None:
    end = time.monotonic() + 600
    run(clusters, Cluster.work, Cluster.change)
    while time.monotonic() < end:
        run(clusters, Cluster.clear, Cluster.work, Cluster.change)
    assert_alike(clusters)
