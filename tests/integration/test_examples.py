"""Every example, applied with kubectl over simulated members, ends as its comment says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, final

import pytest
import pytest_asyncio
from grpclib.server import Server

from kafila.audit.policy import Level
from kafila.audit.reading import read_policy
from kafila.authorization import Attributes
from kafila.catalog.catalog import load_catalog
from kafila.core.clock import rfc3339
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.encryption.configuration import read_configuration
from kafila.encryption.encryption import Encryption
from kafila.identity.certificates import issue
from kafila.identity.keys import shared_keys
from kafila.identity.kubeconfig import write_kubeconfig
from kafila.members.grpc import RawBytes
from kafila.members.transport import ASGITransport
from kafila.registry import SYSTEM_ADMIN, Options, User
from kafila.registry.codec import decode_entry
from kafila.registry.decoding import decode_object
from kafila.settings.settings import Settings
from kafila.simulation import SimulatedCluster
from kafila.store.querying import querying
from kafila.store.sealing import MARK
from kafila.workers.process import Process
from kafila.workers.serve import open_data
from tests.integration.conftest import has_failed
from tests.integration.reconcile.test_descheduler import Estimator
from tests.waiting import eventually

on_module_loop = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MEMBER2 = "/apis/cluster.karmada.io/v1alpha1/clusters/member2/proxy/api/v1/nodes"
NODES = {"member1": 1, "member2": 2, "member3": 3}  # clusters of different size


@final
class Lab:
    """A control plane with simulated members in this process, and kubectl for it."""

    def __init__(self, folder: Path, kubectl: str) -> None:
        catalog = load_catalog()
        self.members = {name: SimulatedCluster(name, catalog, nodes) for name, nodes in NODES.items()}
        self._settings = Settings(
            data_dir=folder,
            bind="127.0.0.1:0",
            cluster_status_frequency=1.0,
            feature_gates="Failover=true,FederatedQuotaEnforcement=true,MultiClusterService=true",
            enable_no_execute_taint_eviction=True,
            horizontal_pod_autoscaler_sync_period=1.0,
            controllers="*,descheduler,sql-views",
            withdrawal_max_objects=5,
            descheduling_interval=1.0,
        )
        self.process: Process
        self._kubectl = kubectl
        self.folder = folder

    def _transport(self, cluster: Object) -> ASGITransport:
        return ASGITransport(self.members[cluster["metadata"]["name"]].app, {"user": SYSTEM_ADMIN})

    async def start(self) -> None:
        for member in self.members.values():
            await member.start()
        store = (await open_data(self._settings)).store
        self.dsn = store.dsn
        self.process = Process(self._settings, store, self._transport)
        self._serving = asyncio.create_task(self.process.run())
        ready = asyncio.create_task(self.process.started.wait())
        await asyncio.wait((self._serving, ready), timeout=90, return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), self._serving
        registry = self.process.registry
        kind = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        options = Options(manager="test")
        for name in self.members:
            cluster = {
                "apiVersion": "cluster.karmada.io/v1alpha1",
                "kind": "Cluster",
                "metadata": {"name": name},
                "spec": {"syncMode": "Push", "apiEndpoint": f"https://{name}.simulation.internal"},
            }
            await registry.create(kind, "", decode_object(kind, cluster, options), options)
        for name in self.members:
            await self.kubectl("wait", f"cluster/{name}", "--for=condition=Ready", "--timeout=90s")
            await self.eventually(lambda name=name: self._has_room(name))

    def _has_room(self, name: str) -> bool:
        return "cpu" in self._summary(name).get("allocatable", {})

    def _summary(self, name: str) -> Object:
        """What the Cluster's status says, which is written once in a second."""
        cluster = self._decoded(self.process.registry, "clusters.cluster.karmada.io", "", name) or {}
        return (cluster.get("status") or {}).get("resourceSummary") or {}

    def serves(self, name: str, kind: str) -> bool:
        """As far as the Cluster's status says so."""
        cluster = self._decoded(self.process.registry, "clusters.cluster.karmada.io", "", name) or {}
        groups = (cluster.get("status") or {}).get("apiEnablements") or ()
        return any(resource["kind"] == kind for group in groups for resource in group["resources"])

    async def emptied(self) -> None:
        """Returns once no member runs anything of earlier examples, and the Clusters' statuses say so: all room is free."""

        def runs(name: str) -> bool:
            pods = list(self.members[name].registry.cache.resource("pods").entries())
            return bool(pods) or self._summary(name).get("allocated", {}).get("pods", "0") != "0"

        await self.eventually(lambda: not any(map(runs, self.members)))

    async def stop(self) -> None:
        self.process.stop()
        await asyncio.wait_for(self._serving, 90)
        for member in self.members.values():
            await member.stop()

    async def kubectl(self, *arguments: str, check: bool = True) -> str:
        plugins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # kubectl-kafila
        environment = {
            **os.environ,
            "PATH": plugins,
            "PYTHONPATH": str(ROOT / "app"),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "HOME": str(self.folder),
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            self._kubectl, *arguments, env=environment, cwd=ROOT, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        shown, _ = await asyncio.wait_for(process.communicate(), 120)
        assert not check or process.returncode == 0, shown.decode()
        return shown.decode()

    async def event(self, text: str, *arguments: str) -> None:
        """Returns once there is an event with this reason or text in it; kubectl watches. ``arguments``: whose, by default all."""
        shown = 'jsonpath={.reason}: {.message}{"\\n"}'
        command = (self._kubectl, *(arguments or ("-A",)), "get", "events", "--watch", "-o", shown)
        environment = {**os.environ, "KUBECONFIG": str(self.folder / "kubeconfig"), "HOME": str(self.folder)}
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(90):
                while text not in (line := (await process.stdout.readline()).decode()):
                    assert line, f"kubectl ended without an event of {text}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def eventually(self, holds: Callable[[], Any], seconds: float = 90.0) -> None:
        try:
            await eventually(holds, patience=seconds)
        except AssertionError as error:
            pytest.fail(f"{error}:\n{self._describe()}")

    def _describe(self) -> str:
        """Where each object is on its way: bindings and Works, with their conditions."""
        registry, lines = self.process.registry, list[str]()
        for resource in ("resourcebindings", "clusterresourcebindings", "works"):
            kind = registry.catalog.storage_kind(f"{resource}.work.karmada.io")
            assert kind is not None
            for entry in registry.cache.resource(kind.resource).entries():
                obj = decode_entry(kind, entry)
                clusters = obj["spec"].get("clusters", "")
                said = [(c["type"], c["status"], c.get("message")) for c in obj.get("status", {}).get("conditions", ())]
                lines.append(f"{kind.kind} {entry.key.namespace}/{entry.key.name} {clusters} {said}")
        return "\n".join(lines)

    @staticmethod
    def _decoded(registry: Any, resource: str, namespace: str, name: str) -> Object | None:
        entry = registry.cache.get(resource, namespace, name)
        kind = registry.catalog.storage_kind(resource)
        return decode_entry(kind, entry) if entry is not None else None

    def copy(self, member: str, resource: str, name: str, namespace: str = "default") -> Object | None:
        """The object in a member, None when it is not there."""
        return self._decoded(self.members[member].registry, resource, namespace, name)

    async def write_status(self, member: str, resource: str, name: str, change: Callable[[Object], Object]) -> None:
        """As an operator in the member does."""
        registry = self.members[member].registry
        kind = registry.catalog.storage_kind(resource)
        await registry.modify(kind, "default", name, change, Options(manager="operator"), "status")

    def stored(self, resource: str, name: str) -> Object:
        """The object in the control plane, {} when there is none."""
        return self._decoded(self.process.registry, resource, "default", name) or {}

    def scheduled(self, binding: str) -> str:
        """The reason of the binding's condition of that name, "" when nothing is decided yet."""
        conditions = (self.stored("resourcebindings.work.karmada.io", binding).get("status") or {}).get(
            "conditions"
        ) or ()
        return next((c["reason"] for c in conditions if c["type"] == "Scheduled"), "")

    def holders(self, resource: str, name: str, namespace: str = "default") -> set[str]:
        return {member for member in self.members if self.copy(member, resource, name, namespace) is not None}

    def replicas(self, name: str) -> dict[str, int]:
        copies = {member: self.copy(member, "deployments.apps", name) for member in self.members}
        return {member: copy["spec"]["replicas"] for member, copy in copies.items() if copy is not None}

    def ready(self, name: str) -> int:
        return (self.stored("deployments.apps", name).get("status") or {}).get("readyReplicas", 0)

    async def slice_in(self, member: str, service: str, address: str) -> None:
        """An EndpointSlice as the member's own controller would make it, which simulated members do not have."""
        registry, options = self.members[member].registry, Options(manager="test")
        kind = registry.kind("discovery.k8s.io", "v1", "endpointslices")
        labels = {
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        obj = {
            "metadata": {"name": f"{service}-1", "namespace": "default", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }
        await registry.create(kind, "default", decode_object(kind, obj, options), options)

    async def apply(self, example: str) -> None:
        await self.kubectl("apply", "-f", str(EXAMPLES / example))

    async def delete(self, example: str) -> None:
        """Of two files that have the same object, the second may find it gone."""
        await self.kubectl("delete", "-f", str(EXAMPLES / example), "--ignore-not-found", "--timeout=90s")


@final
class SharedLab:
    """One for all tests, which take seconds to start one; after a test that failed the next one gets another, in which nothing is left over."""

    def __init__(self, kubectl: str) -> None:
        self._kubectl = kubectl
        self._lab: Lab | None = None
        self._open = contextlib.AsyncExitStack()

    async def get(self) -> Lab:
        if self._lab is None:
            name = self._open.enter_context(tempfile.TemporaryDirectory(prefix="kafila-examples-"))
            os.chmod(name, 0o711)
            lab = Lab(Path(name), self._kubectl)
            self._open.push_async_callback(lab.stop)
            await lab.start()
            self._lab = lab
        return self._lab

    async def end(self) -> None:
        self._lab = None
        await self._open.aclose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_lab(kubectl: Path) -> AsyncIterator[SharedLab]:
    shared = SharedLab(str(kubectl))
    try:
        yield shared
    finally:
        await shared.end()


@pytest_asyncio.fixture(loop_scope="module")
async def lab(shared_lab: SharedLab, request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    try:
        lab = await shared_lab.get()
    except BaseException:
        await shared_lab.end()
        raise
    yield lab
    if has_failed(request.node):
        await shared_lab.end()


@on_module_loop
async def test_nginx(lab: Lab) -> None:
    await lab.apply("nginx")
    await lab.eventually(lambda: lab.ready("nginx") == 2)
    assert lab.replicas("nginx") == {"member1": 1, "member2": 1}
    await lab.eventually(lambda: lab.holders("services", "nginx") == {"member1", "member2"})
    await lab.delete("nginx")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "nginx") | lab.holders("services", "nginx"))


@on_module_loop
async def test_search(lab: Lab) -> None:
    await lab.apply("search")
    await lab.kubectl("wait", "resourceregistry/workloads", "--for=condition=Cached", "--timeout=90s")
    config = (lab.folder / "kubeconfig").read_text()
    proxying = "/apis/search.karmada.io/v1alpha1/proxying/karmada/proxy"
    everything = lab.folder / "all.kubeconfig"
    everything.write_text(re.sub("(server: .*)", rf"\1{proxying}", config))
    nodes = await lab.kubectl("--kubeconfig", str(everything), "get", "nodes", "-o", "name")
    assert len(nodes.split()) == sum(NODES.values())
    await lab.delete("search")


@on_module_loop
async def test_search_opensearch(lab: Lab) -> None:
    """There is none here, and the registry says so; what is written to a real one: tests/clusters/test_opensearch.py."""
    await lab.apply("search-opensearch")
    await lab.kubectl("wait", "resourceregistry/searched", "--for=condition=Cached", "--timeout=90s")
    said = "jsonpath={.status.conditions[?(@.type=='BackendStoreReady')].message}"

    async def names_the_address() -> bool:
        return "https://opensearch.example:9200: " in await lab.kubectl("get", "resourceregistry/searched", "-o", said)

    await lab.kubectl("wait", "resourceregistry/searched", "--for=condition=BackendStoreReady=False", "--timeout=90s")
    async with asyncio.timeout(90):
        while not await names_the_address():
            await asyncio.sleep(0.2)
    await lab.delete("search-opensearch")


@on_module_loop
async def test_federated_hpa(lab: Lab) -> None:
    await lab.apply("federated-hpa")
    await lab.eventually(lambda: lab.replicas("shop") == {"member1": 1, "member2": 1})
    await lab.kubectl("wait", "federatedhpa/shop", "--for=condition=ScalingActive", "--timeout=90s")
    shown = await lab.kubectl("get", "federatedhpa", "shop", "-o", "jsonpath={.status.currentMetrics[0].resource}")
    assert shown == '{"current":{"averageUtilization":25,"averageValue":"25m"},"name":"cpu"}'
    shown = await lab.kubectl("kafila", "why", "federatedhpa/shop")
    assert "It scales Deployment shop, and nothing keeps it from that." in shown
    await lab.delete("federated-hpa")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "shop"))


@on_module_loop
async def test_metrics(lab: Lab) -> None:
    await lab.apply("nginx")
    await lab.eventually(lambda: lab.ready("nginx") == 2)
    await lab.apply("metrics")
    account = ("--as", "system:serviceaccount:default:autoscaler")
    shown = await lab.kubectl("top", "pods", "-n", "default", *account)
    assert [line.split()[1:] for line in shown.splitlines() if line.startswith("nginx-")] == [["25m", "16Mi"]] * 2
    assert "CPU" in await lab.kubectl("get", "podmetrics", "-n", "default", *account)
    refused = await lab.kubectl("top", "nodes", *account, check=False)
    assert 'cannot list resource "nodes" in API group "metrics.k8s.io"' in refused
    nodes = await lab.kubectl("top", "nodes", check=False)
    assert sum(line.startswith("member") for line in nodes.splitlines()) == sum(NODES.values()), nodes
    ours = [line.split() for line in (await lab.kubectl("kafila", "top", "pods", "--sort-by=cpu")).splitlines()]
    assert ours[0] == ["NAME", "CLUSTER", "CPU(cores)", "MEMORY(bytes)"]
    assert sorted(line[1:] for line in ours[1:]) == [["member1", "25m", "16Mi"], ["member2", "25m", "16Mi"]]
    shown = await lab.kubectl("kafila", "top", "nodes", "--cluster=member1")
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["member1-node-1", "member1", "25m", "0%", "16Mi", "0%"]
    ]
    assert "clusters don't exist: nope" in await lab.kubectl("kafila", "top", "pods", "-C", "nope", check=False)
    assert 'pods "nope" not found' in await lab.kubectl("kafila", "top", "pods", "nope", check=False)
    await lab.delete("metrics")
    await lab.delete("nginx")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "nginx"))


@on_module_loop
async def test_cron_federated_hpa(lab: Lab) -> None:
    def rules() -> dict[str, bool]:
        status = lab.stored("cronfederatedhpas.autoscaling.karmada.io", "office").get("status") or {}
        return {each["ruleName"]: "nextExecutionTime" in each for each in status.get("executionHistories") or ()}

    await lab.apply("cron-federated-hpa")
    await lab.eventually(lambda: rules() == {"mornings": True, "evenings": True, "nights": False})
    await lab.delete("cron-federated-hpa")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "office"))


@on_module_loop
async def test_sql(lab: Lab) -> None:
    """Every query of docs/sql.md is asked, and those about the example are answered."""
    await lab.apply("sql")
    await lab.eventually(lambda: lab.ready("web") == 4)
    page = (ROOT / "docs/sql.md").read_text()
    questions = re.findall(r"```sql\n(.*?);\n```", page, re.S)
    assert "".join(f"{each};\n" for each in questions) == "".join(
        line
        for line in (EXAMPLES / "sql/questions.sql").read_text().splitlines(keepends=True)
        if line.strip("\n") and line[:2] != "--"
    )
    async with querying(lab.dsn) as queries:

        async def ask(query: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in (await queries.run(query)).rows]

        async with asyncio.timeout(90):
            ready = "SELECT cluster, replicas, ready FROM placement WHERE name = 'web' AND ready = 2 ORDER BY cluster"
            while len(placed := await ask(ready)) < 2:
                await asyncio.sleep(0.02)
        assert placed == [("member1", 2, 2), ("member2", 2, 2)]
        answers = [await ask(question) for question in questions]
        assert ("nginx:1.27", "member1", 1) in answers[0]
        assert [name for name, *_ in answers[4]] == ["member3", "member2", "member1"]
        assert ("shop", "Deployment", 2) in answers[10]
    arguments = ("--data-dir", str(lab.folder), "-o", "json")
    asked = "SELECT kind, name, awaits, reason FROM pending WHERE name = 'nowhere'"
    assert json.loads(await lab.kubectl("kafila", "sql", asked, *arguments)) == [
        {"kind": "Deployment", "name": "nowhere", "awaits": "Scheduled", "reason": "NoClusterFit"}
    ]
    assert json.loads(await lab.kubectl("kafila", "sql", asked, *arguments, "--as-namespace", "team-a")) == []
    refused = await lab.kubectl("kafila", "sql", "DELETE FROM object", *arguments, check=False)
    assert refused.startswith("error: only SELECT, WITH, VALUES and TABLE")
    await lab.delete("sql")


@on_module_loop
async def test_service_export(lab: Lab) -> None:
    await lab.slice_in("member1", "greeter", "10.1.0.7")
    await lab.apply("service-export")
    await lab.eventually(lambda: lab.holders("services", "derived-greeter") == {"member2"})
    slices = "endpointslices.discovery.k8s.io"
    await lab.eventually(lambda: lab.holders(slices, "imported-member1-greeter-1") == {"member2"})
    there = lab.copy("member2", slices, "imported-member1-greeter-1")
    assert there is not None
    assert there["metadata"]["labels"]["kubernetes.io/service-name"] == "derived-greeter"
    assert there["endpoints"][0]["addresses"] == ["10.1.0.7"]
    assert "10.1.0.7" in await lab.kubectl("get", "endpointslices", "imported-member1-greeter-1")
    await lab.delete("service-export")
    await lab.eventually(
        lambda: not lab.holders("services", "derived-greeter") | lab.holders(slices, "imported-member1-greeter-1")
    )


@on_module_loop
async def test_multi_cluster_service(lab: Lab) -> None:
    await lab.slice_in("member1", "shop", "10.1.0.8")
    await lab.apply("multi-cluster-service")
    slices = "endpointslices.discovery.k8s.io"
    await lab.eventually(lambda: lab.holders(slices, "member1-shop-1") == {"member2"})
    await lab.kubectl("wait", "multiclusterservice/shop", "--for=condition=EndpointSliceDispatched", "--timeout=90s")
    await lab.eventually(lambda: lab.holders("services", "shop") == {"member1", "member2"})
    shown = await lab.kubectl("kafila", "why", "service/shop")
    assert "MultiClusterService default/shop: has claimed it" in shown
    await lab.delete("multi-cluster-service")
    await lab.eventually(lambda: not lab.holders("services", "shop") | lab.holders(slices, "member1-shop-1"))


@on_module_loop
async def test_duplicated_configmap(lab: Lab) -> None:
    await lab.apply("duplicated-configmap")
    await lab.eventually(lambda: lab.holders("configmaps", "settings") == set(NODES))
    copy = lab.copy("member3", "configmaps", "settings")
    assert copy is not None
    assert copy["data"] == {"greeting": "hello"}
    await lab.kubectl("patch", "configmap", "settings", "-p", '{"data":{"greeting":"salaam"}}')
    await lab.eventually(lambda: lab.copy("member3", "configmaps", "settings")["data"] == {"greeting": "salaam"})
    await lab.delete("duplicated-configmap")
    await lab.eventually(lambda: not lab.holders("configmaps", "settings"))


@on_module_loop
async def test_dynamic_weight(lab: Lab) -> None:
    await lab.emptied()
    await lab.apply("dynamic-weight")
    await lab.eventually(lambda: lab.ready("web") == 12)
    placed = lab.replicas("web")
    assert sum(placed.values()) == 12
    assert placed["member1"] < placed["member2"] < placed["member3"]
    await lab.delete("dynamic-weight")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "web"))


@on_module_loop
async def test_replica_bounds(lab: Lab) -> None:
    await lab.emptied()
    await lab.apply("replica-bounds")
    await lab.eventually(lambda: lab.ready("bounded") == 12)
    assert lab.replicas("bounded") == {"member1": 3, "member2": 5, "member3": 4}
    shown = " ".join((await lab.kubectl("kafila", "why", "deployment/bounded")).split())
    assert "within bounds (member1: at least 3; member3: at most 4)" in shown
    await lab.kubectl("scale", "deployment", "bounded", "--replicas=2")
    await lab.eventually(lambda: lab.scheduled("bounded-deployment") == "Unschedulable")
    shown = " ".join((await lab.kubectl("kafila", "why", "deployment/bounded")).split())
    assert "the minimums of the clusters add up to 3 replicas, and 2 are wanted" in shown
    assert "annotation placement.kafila.io/replica-bounds of the policy" in shown
    await lab.delete("replica-bounds")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "bounded"))


@on_module_loop
async def test_cluster_scores(lab: Lab) -> None:
    await lab.emptied()
    await lab.apply("cluster-scores")
    await lab.eventually(lambda: lab.ready("thrifty") == 7)
    assert lab.replicas("thrifty") == {"member1": 4, "member2": 2, "member3": 1}
    shown = await lab.kubectl("kafila", "why", "deployment/thrifty")
    assert "Divided by score cost (less gets more): 7 replicas" in shown
    account = "--as=system:serviceaccount:default:cost-writer"
    stale = '{"spec":{"renewTime":"2020-01-01T00:00:00Z"}}'
    await lab.kubectl("patch", "clusterscore", "cost", "--type=merge", "-p", stale, account)
    refused = await lab.kubectl("delete", "clusterscore", "cost", account, check=False)
    assert 'cannot delete resource "clusterscores"' in refused
    await lab.kubectl("scale", "deployment", "thrifty", "--replicas=9")
    await lab.eventually(lambda: lab.ready("thrifty") == 9)
    shown = " ".join((await lab.kubectl("kafila", "why", "deployment/thrifty")).split())
    assert "ClusterScore cost: it is stale since 2020-01-01T01:00:00Z. Replicas were divided without it." in shown
    await lab.delete("cluster-scores")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "thrifty"))


@on_module_loop
async def test_aggregated(lab: Lab) -> None:
    await lab.emptied()
    await lab.apply("aggregated")
    await lab.eventually(lambda: lab.ready("batch") == 6)
    assert list(lab.replicas("batch").values()) == [6]
    await lab.delete("aggregated")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "batch"))


@on_module_loop
async def test_cluster_expression(lab: Lab) -> None:
    await lab.apply("cluster-expression")
    await lab.eventually(lambda: lab.holders("configmaps", "spread-out") == {"member2", "member3"})
    shown = " ".join((await lab.kubectl("kafila", "why", "configmap/spread-out")).split())
    assert "member1 Rejected - - - - ClusterExpression: has(cluster.status.nodeSummary)" in shown
    annotation = "placement.kafila.io/cluster-expression=cluster.spec."
    refused = await lab.kubectl("annotate", "pp", "spread-out", "--overwrite", annotation, check=False)
    assert "compilation failed: ERROR: <input>:1:14: Syntax error" in refused
    await lab.delete("cluster-expression")
    await lab.eventually(lambda: not lab.holders("configmaps", "spread-out"))


@on_module_loop
async def test_schedule_priority(lab: Lab) -> None:
    await lab.apply("schedule-priority")
    await lab.eventually(lambda: lab.ready("alarm") == 2)
    shown = await lab.kubectl("get", "resourcebinding", "alarm-deployment", "-o", "jsonpath={.spec.schedulePriority}")
    assert shown == '{"priority":1000}'
    await lab.delete("schedule-priority")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "alarm"))


@on_module_loop
async def test_spread(lab: Lab) -> None:
    for member, region in (("member1", "north"), ("member2", "south"), ("member3", "south")):
        await lab.kubectl("patch", "cluster", member, "--type=merge", "-p", f'{{"spec":{{"region":"{region}"}}}}')
    await lab.emptied()
    await lab.apply("spread")
    await lab.eventually(lambda: lab.ready("spread") == 4)
    assert lab.replicas("spread").keys() == {"member1", "member3"}
    await lab.delete("spread")
    for member in NODES:
        await lab.kubectl("patch", "cluster", member, "--type=merge", "-p", '{"spec":{"region":null}}')
    await lab.eventually(lambda: not lab.holders("deployments.apps", "spread"))


@on_module_loop
async def test_propagate_dependencies(lab: Lab) -> None:
    await lab.apply("propagate-dependencies")
    needed = (("configmaps", "settings"), ("secrets", "token"), ("serviceaccounts", "web"))
    for resource, name in needed:
        await lab.eventually(lambda resource=resource, name=name: lab.holders(resource, name) == {"member1"})
    move = '{"spec":{"placement":{"clusterAffinity":{"clusterNames":["member2"]}}}}'
    await lab.kubectl("patch", "propagationpolicy", "web", "--type=merge", "-p", move)
    for resource, name in needed:
        await lab.eventually(lambda resource=resource, name=name: lab.holders(resource, name) == {"member2"})
    await lab.delete("propagate-dependencies")
    for resource, name in needed:
        await lab.eventually(lambda resource=resource, name=name: not lab.holders(resource, name))


@on_module_loop
async def test_cluster_scoped_dependencies(lab: Lab) -> None:
    await lab.apply("cluster-scoped-dependencies")
    await lab.eventually(lambda: lab.holders("priorityclasses.scheduling.k8s.io", "important", "") == {"member1"})
    await lab.eventually(lambda: lab.holders("configmaps", "billing") == {"member1"})
    needed = await lab.kubectl(
        "get", "resourcebinding", "important-priorityclass", "-o", "jsonpath={.spec.requiredBy[0].name}"
    )
    assert needed == "billing-deployment"
    await lab.kubectl(
        "wait", "resourcebinding/important-priorityclass", "--for=condition=FullyApplied", "--timeout=90s"
    )
    shown = await lab.kubectl("kafila", "why", "priorityclass/important")
    assert "follows the bindings that need it: default/billing-deployment" in shown
    assert "Placed in 1 of 3 clusters; all as wanted." in shown
    await lab.delete("cluster-scoped-dependencies")
    await lab.eventually(lambda: not lab.holders("priorityclasses.scheduling.k8s.io", "important", ""))


@on_module_loop
async def test_interpreter_customization(lab: Lab) -> None:
    def counts() -> list[str | None]:
        copies = [lab.copy(member, "configmaps", "workers") for member in ("member1", "member2")]
        return [copy["data"]["count"] if copy is not None else None for copy in copies]

    await lab.apply("interpreter-customization")
    await lab.eventually(lambda: counts() == ["2", "4"])
    await lab.kubectl("patch", "configmap", "workers", "-p", '{"data":{"count":"9"}}')
    await lab.eventually(lambda: counts() == ["3", "6"])
    await lab.delete("interpreter-customization")
    await lab.eventually(lambda: counts() == [None, None])


@on_module_loop
async def test_interpreter_webhook(lab: Lab) -> None:
    def crews() -> list[str | None]:
        copies = [lab.copy(member, "configmaps", "crew") for member in ("member1", "member2")]
        return [copy["data"]["crew"] if copy is not None else None for copy in copies]

    script = EXAMPLES / "interpreter-webhook" / "server.py"
    server = await asyncio.create_subprocess_exec(sys.executable, str(script), "0", stdout=asyncio.subprocess.PIPE)
    try:
        assert server.stdout is not None
        configuration = lab.folder / "configuration.yaml"
        configuration.write_bytes(await asyncio.wait_for(server.stdout.readline(), 90))
        await lab.kubectl("apply", "-f", str(configuration))
        await lab.apply("interpreter-webhook")
        await lab.eventually(lambda: crews() == ["2", "4"])
        await lab.kubectl("patch", "configmap", "crew", "-p", '{"data":{"crew":"9"}}')
        await lab.eventually(lambda: crews() == ["3", "6"])
        await lab.delete("interpreter-webhook")
        await lab.eventually(lambda: crews() == [None, None])
        await lab.kubectl("delete", "-f", str(configuration))
    finally:
        server.terminate()
        await server.wait()


@on_module_loop
async def test_admission_webhook(lab: Lab) -> None:
    script = EXAMPLES / "admission-webhook" / "server.py"
    server = await asyncio.create_subprocess_exec(sys.executable, str(script), "0", stdout=asyncio.subprocess.PIPE)
    try:
        assert server.stdout is not None
        configurations = lab.folder / "configurations.yaml"
        configurations.write_bytes(await asyncio.wait_for(server.stdout.readline(), 90))
        await lab.kubectl("apply", "-f", str(configurations))
        await lab.apply("admission-webhook")
        shown = await lab.kubectl("get", "configmap", "fine", "-n", "noted", "--show-labels")
        assert "example.com/owner=" in shown
        refused = ("patch", "configmap", "fine", "-n", "noted", "--type=merge", "-p", '{"data":{"forbidden":"x"}}')
        with pytest.raises(AssertionError, match=r"denied the request: data\.forbidden may not be set"):
            await lab.kubectl(*refused)
        await lab.delete("admission-webhook")
        await lab.kubectl("delete", "-f", str(configurations))
    finally:
        server.terminate()
        await server.wait()


@on_module_loop
async def test_override_registry(lab: Lab) -> None:
    await lab.apply("override-registry")
    await lab.eventually(lambda: lab.ready("shop") == 2)

    def shown(member: str) -> tuple[str, str | None]:
        copy = lab.copy(member, "deployments.apps", "shop")
        assert copy is not None
        return copy["spec"]["template"]["spec"]["containers"][0]["image"], copy["metadata"]["labels"].get("tier")

    for member, tier in (("member1", None), ("member2", "backup")):  # the override may be read after the first copy
        wanted = (f"registry.{member}.example.org/library/nginx:1.29", tier)
        await lab.eventually(lambda member=member, wanted=wanted: shown(member) == wanted)
    template = await lab.kubectl(
        "get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
    assert template == "docker.io/library/nginx:1.29"
    await lab.delete("override-registry")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "shop"))


@on_module_loop
async def test_suspension(lab: Lab) -> None:
    await lab.apply("suspension")
    await lab.eventually(lambda: lab.holders("configmaps", "rollout") == {"member1"})
    waiting = "jsonpath={.items[?(@.spec.suspendDispatching==true)].metadata.namespace}"
    assert await lab.kubectl("get", "works", "-A", "-o", waiting) == "karmada-es-member2"
    assert lab.holders("configmaps", "rollout") == {"member1"}
    await lab.kubectl("patch", "propagationpolicy", "rollout", "--type=merge", "-p", '{"spec":{"suspension":null}}')
    await lab.eventually(lambda: lab.holders("configmaps", "rollout") == {"member1", "member2"})
    await lab.delete("suspension")
    await lab.eventually(lambda: not lab.holders("configmaps", "rollout"))


@on_module_loop
async def test_toleration(lab: Lab) -> None:
    taint = '{"spec":{"taints":[{"key":"maintenance","value":"now","effect":"NoSchedule"}]}}'
    await lab.kubectl("patch", "cluster", "member2", "--type=merge", "-p", taint)
    await lab.apply("toleration")
    await lab.eventually(lambda: lab.holders("configmaps", "brave") == {"member1", "member2"})
    await lab.eventually(lambda: lab.holders("configmaps", "careful") == {"member1"})
    await lab.delete("toleration")
    await lab.kubectl("patch", "cluster", "member2", "--type=merge", "-p", '{"spec":{"taints":null}}')
    await lab.eventually(lambda: not lab.holders("configmaps", "brave") | lab.holders("configmaps", "careful"))


@on_module_loop
async def test_pull_mode(lab: Lab) -> None:
    """Where it goes: by the label, whatever the mode; a real agent and its tunnel are tests/clusters/test_tunnel.py's."""
    await lab.kubectl("label", "cluster", "member2", "site=branch")
    await lab.apply("pull-mode")
    await lab.eventually(lambda: lab.holders("deployments.apps", "till") == {"member2"})
    await lab.delete("pull-mode")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "till"))
    await lab.kubectl("label", "cluster", "member2", "site-")


@on_module_loop
async def test_namespace_skip(lab: Lab) -> None:
    await lab.apply("namespace-skip")
    await lab.eventually(lambda: lab.holders("namespaces", "shared", "") == set(NODES))
    assert lab.holders("namespaces", "local", "") == set()
    await lab.delete("namespace-skip")
    await lab.eventually(lambda: not lab.holders("namespaces", "shared", ""))


@on_module_loop
async def test_cluster_scoped(lab: Lab) -> None:
    await lab.apply("cluster-scoped")
    resource = "clusterroles.rbac.authorization.k8s.io"
    await lab.eventually(lambda: lab.holders(resource, "pod-reader", "") == {"member1", "member2"})

    def verbs(member: str) -> list[str]:
        return (lab.copy(member, resource, "pod-reader", "") or {"rules": [{"verbs": []}]})["rules"][0]["verbs"]

    await lab.eventually(lambda: verbs("member2") == ["get", "list"])  # the override may be read after the first copy
    assert verbs("member1") == ["get", "list", "watch"]
    await lab.delete("cluster-scoped")
    await lab.eventually(lambda: not lab.holders(resource, "pod-reader", ""))


@on_module_loop
async def test_least_privilege(lab: Lab) -> None:
    """As far as simulated members go, which permit everything: with RBAC it is in clusters/test_join_permissions.py."""
    await lab.apply("least-privilege")
    await lab.eventually(lambda: lab.holders("configmaps", "greeting") == {"member1", "member2"})
    await lab.delete("least-privilege")
    await lab.eventually(lambda: not lab.holders("configmaps", "greeting"))


@on_module_loop
async def test_custom_resource(lab: Lab) -> None:
    definitions = "customresourcedefinitions.apiextensions.k8s.io"
    await lab.apply("custom-resource/definition")
    await lab.kubectl("wait", "--for=condition=established", "crd/backups.example.com", "--timeout=90s")
    await lab.apply("custom-resource")
    shown = await lab.kubectl("get", "bk")
    assert shown.splitlines()[0].split() == ["NAME", "SCHEDULE", "KEEP", "AGE"]
    await lab.eventually(lambda: lab.holders(definitions, "backups.example.com", "") == {"member1", "member2"})
    await lab.eventually(lambda: lab.holders("backups.example.com", "nightly") == {"member1", "member2"})
    copy = lab.copy("member1", "backups.example.com", "nightly")
    assert copy is not None
    assert copy["spec"] == {"schedule": "0 3 * * *", "keep": 7}
    refused = await lab.kubectl("patch", "bk", "nightly", "--type=merge", "-p", '{"spec":{"keep":0}}', check=False)
    assert "spec.keep in body should be greater than or equal to 1" in refused
    refused = await lab.kubectl("patch", "bk", "nightly", "--type=merge", "-p", '{"spec":{"keep":400}}', check=False)
    assert "spec.keep: Invalid value: a year at most, not 400 days" in refused
    await lab.delete("custom-resource")
    await lab.eventually(lambda: not lab.holders("backups.example.com", "nightly"))
    await lab.delete("custom-resource/definition")
    await lab.eventually(lambda: not lab.holders(definitions, "backups.example.com", ""))


@on_module_loop
async def test_third_party_kind(lab: Lab) -> None:
    clonesets = "clonesets.apps.kruise.io"
    await lab.apply("third-party-kind/definition")
    await lab.kubectl("wait", "--for=condition=established", f"crd/{clonesets}", "--timeout=90s")
    # Replicas are divided once, among the clusters that serve the kind then.
    await lab.eventually(lambda: all(lab.serves(name, "CloneSet") for name in ("member1", "member2")))
    await lab.apply("third-party-kind")
    await lab.eventually(lambda: lab.holders(clonesets, "shop") == {"member1", "member2"})
    await lab.eventually(lambda: lab.holders("configmaps", "shop-settings") == {"member1", "member2"})
    for member, replicas in (("member1", 3), ("member2", 2)):
        copy = lab.copy(member, clonesets, "shop")
        assert copy is not None
        assert copy["spec"]["replicas"] == replicas
        await lab.write_status(member, clonesets, "shop", _rolled_out)
    await lab.eventually(lambda: (lab.stored(clonesets, "shop").get("status") or {}).get("readyReplicas") == 5)
    status = lab.stored(clonesets, "shop")["status"]
    assert status["observedGeneration"] == lab.stored(clonesets, "shop")["metadata"]["generation"]
    bindings = "resourcebindings.work.karmada.io"
    await lab.eventually(
        lambda: (
            {item.get("health") for item in lab.stored(bindings, "shop-cloneset")["status"].get("aggregatedStatus", ())}
            == {"Healthy"}
        )
    )
    assert lab.stored(bindings, "shop-cloneset")["spec"]["replicaRequirements"]["resourceRequest"] == {"cpu": "100m"}
    shown = await lab.kubectl("get", "clone")
    assert [line.split()[:4] for line in shown.splitlines()] == [
        ["NAME", "DESIRED", "UPDATED", "READY"],
        ["shop", "5", "5", "5"],
    ]
    await lab.delete("third-party-kind")
    await lab.eventually(lambda: not lab.holders(clonesets, "shop"))
    await lab.delete("third-party-kind/definition")
    await lab.eventually(lambda: not lab.holders("customresourcedefinitions.apiextensions.k8s.io", clonesets, ""))


def _rolled_out(cloneset: Object) -> Object:
    """As OpenKruise's controller says it."""
    counters = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
    status = dict.fromkeys(counters, cloneset["spec"]["replicas"])
    return {**cloneset, "status": {**status, "observedGeneration": cloneset["metadata"]["generation"]}}


@on_module_loop
async def test_why(lab: Lab) -> None:
    await lab.apply("why")
    await lab.eventually(lambda: lab.ready("contested") == 2)
    await lab.eventually(lambda: lab.scheduled("picky-deployment") == "NoClusterFit")
    shown = await lab.kubectl("kafila", "why", "deploy/lonely")
    assert "no policy selects it" in shown
    assert "PropagationPolicy default/picky: selects the name picky" in shown
    assert "{apiVersion: apps/v1, kind: Deployment, name: lonely}" in shown
    shown = await lab.kubectl("kafila", "why", "deployments.apps/picky")
    reason = "cluster(s) did not match the placement cluster affinity constraint"
    assert f"NoClusterFit: 0/3 clusters are available: 3 {reason}." in " ".join(shown.split())
    assert "- member1, member2: ClusterAffinity: region In [nowhere] wanted, it has none." in shown
    shown = await lab.kubectl("kafila", "why", "Deployment/contested", "-n", "default")
    assert "PropagationPolicy default/contested: selects it by name" in shown
    assert "PropagationPolicy default/web-by-label: default/contested selects the resource more precisely" in shown
    assert "Placed in 2 of 3 clusters, 2 replicas; all as wanted." in shown
    shown = await lab.kubectl("kafila", "why", "deployment/contested", "--cluster", "member3")
    assert "CHECKS OF member3" in shown
    assert f"no   ClusterAffinity   {reason}" in shown
    assert "\nmember1" not in shown
    listed = await lab.kubectl("get", "decisions")
    assert "contested-deployment   Success        PlacementChanged   member1:1 member2:1" in listed
    await lab.delete("why")
    decisions = lab.process.registry.cache.resource("decisions.placement.kafila.io")
    await lab.eventually(lambda: not list(decisions.entries()))


@on_module_loop
async def test_eviction(lab: Lab) -> None:
    await lab.apply("eviction")
    await lab.eventually(lambda: lab.ready("mover") == 2 and lab.ready("stayer") == 2)
    taint = '{"spec":{"taints":[{"key":"disk","value":"broken","effect":"NoExecute"}]}}'
    await lab.kubectl("patch", "cluster", "member2", "--type=merge", "-p", taint)
    await lab.eventually(lambda: lab.replicas("mover") == {"member1": 2})
    assert lab.replicas("stayer") == {"member1": 1, "member2": 1}
    await lab.kubectl("patch", "cluster", "member2", "--type=merge", "-p", '{"spec":{"taints":null}}')
    await lab.delete("eviction")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "mover"))


@on_module_loop
async def test_application_failover(lab: Lab) -> None:
    await lab.apply("application-failover")
    await lab.eventually(lambda: lab.holders("deployments.apps", "orders") == {"member2"})
    await lab.eventually(lambda: lab.ready("orders") == 2)
    await lab.eventually(lambda: lab.holders("deployments.apps", "orders") == {"member1"})
    events = await lab.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")
    assert "Evict from cluster member2 succeed." in events
    await lab.delete("application-failover")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "orders"))


@on_module_loop
async def test_descheduler(lab: Lab) -> None:
    """One estimator stands in for both clusters: it says that what is not ready has found no node."""
    estimator = Estimator()
    server = Server([estimator], codec=RawBytes())
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        await lab.apply("descheduler")
        ports = f'{{"spec":{{"ports":[{{"port":10352,"targetPort":{port}}}]}}}}'
        for member in ("member1", "member2"):
            service = f"service/karmada-scheduler-estimator-{member}"
            await lab.kubectl("patch", service, "-n", "karmada-system", "--type=merge", "-p", ports)
        await lab.eventually(lambda: lab.ready("packed") == 4)
        estimator.lost.update({member.encode(): count for member, count in lab.replicas("packed").items()})
        image = '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.invalid/web:1"}]'
        await lab.kubectl("patch", "deployment", "packed", "--type=json", "-p", image)
        await lab.event("DescheduleBindingSucceed")
    finally:
        await lab.delete("descheduler")
        server.close()
        await server.wait_closed()
    await lab.eventually(lambda: not lab.holders("deployments.apps", "packed"))


@on_module_loop
async def test_remedy(lab: Lab) -> None:
    await lab.apply("remedy")
    wait = ("wait", "cluster/member1", "--timeout=90s")
    await lab.kubectl(*wait, "--for=jsonpath={.status.remedyActions[0]}=TrafficControl")
    assert await lab.kubectl("get", "cluster", "member2", "-o", "jsonpath={.status.remedyActions}") == ""
    await lab.kubectl("delete", "remedy", "drill")
    await lab.event("RemedyActionsChanged: Remedies ask for nothing any more")
    await lab.delete("remedy")


@on_module_loop
async def test_rollout(lab: Lab) -> None:
    def images() -> dict[str, str]:
        copies = {member: lab.copy(member, "deployments.apps", "staged") for member in lab.members}
        return {
            name: copy["spec"]["template"]["spec"]["containers"][0]["image"] for name, copy in copies.items() if copy
        }

    async def phase_is(phase: str) -> None:
        wait = ("wait", "resourcebinding/staged-deployment", f"--for=jsonpath={{.status.rollout.phase}}={phase}")
        await lab.kubectl(*wait, "--timeout=90s")

    old, broken, others = "nginx:1.27", "registry.invalid/web:2", {"member2": "nginx:1.27", "member3": "nginx:1.27"}
    await lab.apply("rollout")
    await lab.eventually(lambda: lab.stored("resourcebindings.work.karmada.io", "staged-deployment"))
    await phase_is("WaitingForApproval")
    assert images() == {"member1": old}
    shown = await lab.kubectl("kafila", "rollout", "status", "deployment/staged")
    assert "WaitingForApproval, 1 of 3 clusters: stage everywhere waits for an approval" in shown.splitlines()[0]
    assert [line.split()[:3] for line in shown.splitlines()[2:]] == [
        ["member1", "canary", "Succeeded"],
        ["member2", "everywhere", "Pending"],
        ["member3", "everywhere", "Pending"],
    ]
    why = await lab.kubectl("kafila", "why", "deployment/staged")
    assert "kafila rollout approve deployment/staged" in why
    assert await lab.kubectl("kafila", "rollout", "approve", "deploy/staged") == "deployment/staged approved\n"
    await phase_is("Succeeded")
    assert images() == {"member1": old, **others}
    await lab.kubectl("set", "image", "deployment/staged", f"web={broken}")
    await phase_is("Failed")
    assert images() == {"member1": broken, **others}
    refused = await lab.kubectl("kafila", "rollout", "approve", "deployment/staged", check=False)
    assert "deployment/staged: no stage of it waits for an approval: it is Failed" in refused
    assert await lab.kubectl("kafila", "rollout", "undo", "deployment/staged") == "deployment/staged rolled back\n"
    await lab.eventually(lambda: images() == {"member1": old, **others})
    document = json.loads(await lab.kubectl("kafila", "rollout", "status", "deployment/staged", "-o", "json"))
    assert (document["phase"], document["message"].endswith("somebody asked for it")) == ("RolledBack", True)
    await lab.delete("rollout")


@on_module_loop
async def test_approval(lab: Lab) -> None:
    def are_in(*members: str) -> bool:
        return all(lab.holders("configmaps", f"six-{number}") == set(members) for number in range(1, 7))

    assert await lab.kubectl("kafila", "approve") == "Nothing waits for an approval.\n"
    await lab.apply("approval")
    await lab.eventually(lambda: are_in("member1", "member2"))
    narrower = '{"spec":{"placement":{"clusterAffinity":{"clusterNames":["member1"]}}}}'
    await lab.kubectl("patch", "propagationpolicy", "six", "--type=merge", "-p", narrower)
    held = "--for=jsonpath={.metadata.annotations.kafila\\.io/held-withdrawal}"
    await lab.kubectl("wait", "propagationpolicy/six", held, "--timeout=90s")
    listed = await lab.kubectl("kafila", "approve")
    assert listed.splitlines()[1].split(maxsplit=3) == [
        "PropagationPolicy",
        "default",
        "six",
        "6 objects leave 1 clusters: member2 (6)",
    ]
    why = await lab.kubectl("kafila", "why", "configmap/six-1")
    assert "The policy's last edit waits for an approval: 6 objects leave 1 clusters: member2 (6)." in why
    assert "kafila approve propagationpolicy six -n default" in why
    assert are_in("member1", "member2")
    refused = await lab.kubectl("kafila", "approve", "deployment/six", check=False)
    assert 'nothing of the type "deployment" waits for an approval' in refused
    said = await lab.kubectl("kafila", "approve", "propagationpolicy/six")
    assert said == "propagationpolicy/six approved: 6 objects leave 1 clusters: member2 (6)\n"
    await lab.eventually(lambda: are_in("member1"))
    again = await lab.kubectl("kafila", "approve", "pp", "six", check=False)
    assert 'nothing of PropagationPolicy "six" waits for an approval' in again
    await lab.delete("approval")
    await lab.eventually(lambda: are_in())


@on_module_loop
async def test_cluster_taint_policy(lab: Lab) -> None:
    await lab.apply("cluster-taint-policy")
    wanted = "jsonpath={.spec.taints[0].key}={.spec.taints[0].value}"
    await lab.kubectl("wait", "cluster/member1", "--for=jsonpath={.spec.taints[0].key}=apis", "--timeout=90s")
    assert await lab.kubectl("get", "cluster", "member1", "-o", wanted) == "apis=known"
    assert await lab.kubectl("get", "cluster", "member2", "-o", wanted) == "="
    await lab.delete("cluster-taint-policy")
    await lab.kubectl("patch", "cluster", "member1", "--type=merge", "-p", '{"spec":{"taints":null}}')


@on_module_loop
async def test_workload_rebalancer(lab: Lab) -> None:
    await lab.kubectl("apply", "-f", "examples/workload-rebalancer/workload.yaml")
    await lab.eventually(lambda: lab.replicas("settled") == {"member1": 6})
    await lab.kubectl("apply", "-f", "examples/workload-rebalancer/wider.yaml")

    def is_looked_at() -> bool:
        binding = lab.stored("resourcebindings.work.karmada.io", "settled-deployment")
        allowed = binding["spec"]["placement"]["clusterAffinity"]["clusterNames"]
        scheduled = binding["status"]["schedulerObservedGeneration"] == binding["metadata"]["generation"]
        return scheduled and "member2" in allowed

    await lab.eventually(is_looked_at)
    await lab.kubectl("wait", "resourcebinding/settled-deployment", "--for=condition=FullyApplied", "--timeout=90s")
    assert lab.replicas("settled") == {"member1": 6}
    scheduled = await lab.kubectl(
        "get", "resourcebinding", "settled-deployment", "-o", "jsonpath={.status.lastScheduledTime}"
    )
    await lab.eventually(lambda: rfc3339() > scheduled)
    await lab.kubectl("create", "-f", "examples/workload-rebalancer/rebalancer.yaml")
    await lab.eventually(lambda: set(lab.replicas("settled")) == {"member1", "member2"})
    await lab.eventually(
        lambda: sum(lab.replicas("settled").values()) == 6
    )  # one may get more before the other has less
    await lab.delete("workload-rebalancer")
    await lab.eventually(lambda: not lab.holders("deployments.apps", "settled"))


@on_module_loop
async def test_federated_resource_quota(lab: Lab) -> None:
    await lab.apply("federated-resource-quota")
    await lab.eventually(lambda: lab.holders("resourcequotas", "team") == {"member1", "member2"})
    await lab.eventually(lambda: lab.scheduled("greedy-deployment") == "QuotaExceeded")
    shown = await lab.kubectl("kafila", "why", "deployment/greedy")
    assert "FederatedResourceQuota(default/team) exceeded for resource cpu: requested sum 4, limit 2." in shown
    assert "kubectl get federatedresourcequotas -n default" in shown
    await lab.kubectl("scale", "deployment", "greedy", "--replicas=2")
    await lab.eventually(lambda: lab.replicas("greedy") == {"member1": 1, "member2": 1})
    quota = "federatedresourcequotas.policy.karmada.io"
    await lab.eventually(lambda: lab.stored(quota, "team")["status"]["overallUsed"] == {"cpu": "2"})
    shown = await lab.kubectl("get", "federatedresourcequota", "team")
    assert shown.count('{"cpu":"2"}') == 2  # all that there is, and what is used
    await lab.delete("federated-resource-quota")
    await lab.eventually(lambda: not lab.holders("resourcequotas", "team"))


@on_module_loop
async def test_member_access(lab: Lab) -> None:
    await lab.apply("member-access")
    for cluster, answer in (("member1", "yes"), ("member2", "no")):
        asked = ("auth", "can-i", "get", f"clusters/{cluster}", "--subresource=proxy", "--as=ann")
        assert (await lab.kubectl(*asked, check=False)).splitlines()[-1] == answer
    (lab.folder / "member1.kubeconfig").write_text(await lab.kubectl("kafila", "kubeconfig", "--cluster=member1"))
    through = f"--kubeconfig={lab.folder / 'member1.kubeconfig'}"
    assert "member1-node-" in await lab.kubectl(through, "get", "nodes", "-o", "name")
    assert 'pods "x" not found' in await lab.kubectl(through, "exec", "x", "--", "true", check=False)
    assert "Forbidden" in await lab.kubectl("get", "--raw", MEMBER2, "--as=ann", check=False)
    await lab.delete("member-access")


def test_every_example_is_tried_and_says_what_it_shows() -> None:
    here = Path(__file__).read_text() + (ROOT / "tests/differential/test_gatekeeper.py").read_text()
    index = (EXAMPLES / "README.md").read_text()
    for folder in (p for p in EXAMPLES.iterdir() if p.is_dir()):
        assert f'lab.apply("{folder.name}")' in here or re.search(rf'"examples/{folder.name}["/]', here)
        assert f"({folder.name}/)" in index
        assert any(file.read_text().startswith("# ") for file in folder.glob("*.yaml"))


def test_the_encryption_configuration_is_one_that_seals_secrets() -> None:
    encryption = Encryption(read_configuration((ROOT / "examples/encryption/configuration.yaml").read_bytes()))
    body = b'{"metadata":{}}'
    assert encryption.seal(Key("secrets", "default", "x"), body, body).startswith(MARK)
    assert encryption.open(Key("secrets", "default", "x"), body) == body


def test_the_audit_policy_is_one_that_keeps_secrets() -> None:
    policy = read_policy((ROOT / "examples/audit/policy.yaml").read_bytes())
    jane = User("jane", ("system:authenticated",))

    def level(verb: str, group: str, resource: str, subresource: str = "") -> Level:
        return policy.verdict(Attributes(jane, verb, group, "v1", resource, subresource, "default", "x")).level

    for verb in ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"):
        assert level(verb, "", "secrets") == Level.METADATA
    assert level("create", "", "serviceaccounts", "token") == Level.METADATA
    assert level("create", "authentication.k8s.io", "tokenreviews") == Level.METADATA
    assert level("create", "cluster.karmada.io", "clusters", "proxy") == Level.METADATA
    assert level("update", "coordination.k8s.io", "leases") == Level.NONE
    assert level("patch", "rbac.authorization.k8s.io", "clusterroles") == Level.REQUEST_RESPONSE
    assert level("update", "policy.karmada.io", "propagationpolicies") == Level.REQUEST
    assert level("get", "policy.karmada.io", "propagationpolicies") == Level.METADATA
    assert policy.verdict(Attributes(jane, "get", path="/livez/storage")).level == Level.NONE


@on_module_loop
async def test_prometheus(lab: Lab) -> None:
    """What it then reads: ``tests/clients/test_prometheus.py``."""
    await lab.apply("prometheus")
    who = "--as=system:serviceaccount:monitoring:prometheus"
    assert (await lab.kubectl("auth", "can-i", "get", "/metrics", who)).strip() == "yes"
    assert (await lab.kubectl("auth", "can-i", "list", "pods", who, check=False)).strip().endswith("no")
    await lab.delete("prometheus")


@on_module_loop
async def test_teams(lab: Lab) -> None:
    """Each team by a certificate of its own, with kubectl."""
    await lab.apply("teams")
    keys = await shared_keys(lab.process.registry.store, lab.process.registry.cache)

    def login(user: str, team: str) -> str:
        file = lab.folder / user
        client = issue(keys.authority.pair, user, [team])
        write_kubeconfig(file, lab.process.server_url, keys.authority.bundle, client)
        return f"--kubeconfig={file}"

    ann, bob = login("corp:ann", "corp:team-a"), login("corp:bob", "corp:team-b")
    nginx = str(EXAMPLES / "nginx")
    applied = await lab.kubectl(ann, "apply", "-n", "team-a", "-f", f"{nginx}/deployment.yaml", check=False)
    assert "deployment.apps/nginx created" in applied, applied
    applied = await lab.kubectl(ann, "apply", "-n", "team-a", "-f", f"{nginx}/propagationpolicy.yaml", check=False)
    assert "propagationpolicy.policy.karmada.io/nginx created" in applied, applied
    assert "Warning: spec.placement: namespace team-a may not use member2: left out" in applied
    await lab.eventually(lambda: lab.holders("deployments.apps", "nginx", "team-a") == {"member1"})
    why = ("kafila", "why", "deployment/nginx", "-n", "team-a")
    assert "AllowedClusters: are not allowed for the namespace" in await lab.kubectl(*why)
    told = await lab.kubectl(*why, ann)
    assert "Placed in 1 of 3 clusters, 2 replicas" in told
    assert "You may not read: clusteroverridepolicies, clusterpropagationpolicies, decisions, works." in told
    await lab.eventually(lambda: lab.holders("limitranges", "defaults", "team-a") == {"member1"})
    await lab.eventually(lambda: lab.holders("resourcequotas", "team", "team-a") == {"member1"})
    assert "cpu" in await lab.kubectl(ann, "get", "federatedresourcequota", "team", "-n", "team-a", "-o", "yaml")
    await lab.kubectl(ann, "set", "resources", "deployment/nginx", "-n", "team-a", "--requests=cpu=2")  # two of them
    refusal = "FederatedResourceQuota(team-a/team) exceeded for resource cpu: requested sum 4, limit 2."
    await lab.event(refusal, ann, "-n", "team-a")
    assert (await lab.kubectl(ann, "auth", "can-i", "create", "propagationpolicies", "-n", "team-a")).strip() == "yes"
    assert (await lab.kubectl(ann, "auth", "can-i", "list", "auditrecords", "-n", "team-a")).strip() == "yes"
    assert "forbidden" in await lab.kubectl(ann, "get", "auditrecords", "-n", "team-b", check=False)
    refused = await lab.kubectl(bob, "get", "deployments", "-n", "team-a", check=False)
    assert 'User "corp:bob" cannot list resource "deployments" in API group "apps" in the namespace "team-a"' in refused
    for what in ("clusterpropagationpolicies", "clusteroverridepolicies", "clusters/proxy", "namespaces"):
        assert (await lab.kubectl(ann, "auth", "can-i", "create", what, check=False)).strip().endswith("no"), what
    assert "member1" in await lab.kubectl(bob, "get", "clusters")
    await lab.kubectl("delete", "-f", str(EXAMPLES / "teams"), "--ignore-not-found", "--timeout=90s")


@on_module_loop
async def test_tenant_limits(lab: Lab) -> None:
    await lab.apply("tenant-limits")

    def used() -> dict[str, str]:
        entry = lab.process.registry.cache.get("resourcequotas", "bounded", "bounds")
        return (entry.decode().get("status") or {}).get("used") or {} if entry is not None else {}

    await lab.eventually(lambda: used().get("configmaps") == "1")
    said = await lab.kubectl("create", "deployment", "web", "--image=nginx", "-n", "bounded", check=False)
    assert 'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false' in said
    assert used()["count/deployments.apps"] == "1"
    refused = await lab.kubectl("run", "bare", "--image=nginx", "-n", "bounded", check=False)
    assert 'pods "bare" is forbidden: violates PodSecurity "restricted:latest"' in refused
    await lab.kubectl("create", "configmap", "one", "-n", "bounded")
    refused = await lab.kubectl("create", "configmap", "two", "-n", "bounded", check=False)
    assert "exceeded quota: bounds, requested: configmaps=1, used: configmaps=2, limited: configmaps=2" in refused
    shown = await lab.kubectl("get", "quota", "bounds", "-n", "bounded")
    assert "configmaps: 2/2" in shown
    await lab.kubectl("delete", "-f", str(EXAMPLES / "tenant-limits"), "--ignore-not-found", "--timeout=90s")


@on_module_loop
async def test_flow_control(lab: Lab) -> None:
    """The jobs' requests use the level of the example, and say so."""
    await lab.apply("flow-control")
    await lab.kubectl("create", "namespace", "batch")
    uid = await lab.kubectl("get", "flowschema", "batch", "-o", "jsonpath={.metadata.uid}")
    asked = ("get", "configmaps", "-n", "batch", "-v=8", "--as=system:serviceaccount:batch:job")
    await lab.eventually(lambda: lab.process.registry.cache.get("namespaces", "", "batch") is not None)
    shown = await lab.kubectl(*asked, "--as-group=system:authenticated", check=False)
    assert f'X-Kubernetes-Pf-Flowschema-Uid="{uid}"' in shown or uid in shown, shown
    await lab.kubectl("delete", "namespace", "batch")
    await lab.delete("flow-control")


@on_module_loop
async def test_mutating_policy(lab: Lab) -> None:
    await lab.apply("mutating-policy")
    await lab.kubectl("create", "deployment", "web", "--image=nginx", "-n", "billing")
    fields = "{.metadata.labels.cost-center} {.spec.template.metadata.labels.cost-center} {.spec.template.spec.containers[0].image}"
    shown = await lab.kubectl("get", "deployment", "web", "-n", "billing", "-o", f"jsonpath={fields}")
    assert shown == "4711 4711 mirror.example.com/nginx"
    await lab.kubectl("delete", "configmap", "team", "-n", "billing")
    refused = await lab.kubectl("create", "deployment", "b", "--image=nginx", "-n", "billing", check=False)
    by = "policy 'teams.example.com' with binding 'teams.example.com' denied request: failed to configure binding"
    assert f"{by}: no params found for policy binding with `Deny` parameterNotFoundAction" in refused
    await lab.kubectl("delete", "-f", str(EXAMPLES / "mutating-policy"), "--ignore-not-found", "--timeout=90s")


@on_module_loop
async def test_admission_policy(lab: Lab) -> None:
    await lab.apply("admission-policy")
    refused = await lab.kubectl("create", "deployment", "web", "--image=nginx", "-n", "shop", check=False)
    by = "ValidatingAdmissionPolicy 'production.example.com' with binding 'production.example.com' denied request"
    assert f"{by}: production needs 2 replicas, not 1" in refused
    await lab.kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2", "-n", "shop")
    refused = await lab.kubectl("scale", "deployment", "web", "--replicas=1", "-n", "shop", check=False)
    assert "scaled" in refused  # its rules do not name the subresource
    nginx = str(EXAMPLES / "aggregated")
    refused = await lab.kubectl("apply", "-n", "shop", "-f", nginx, check=False)
    assert "a policy of production names its clusters" in refused
    await lab.kubectl("delete", "-f", str(EXAMPLES / "admission-policy"), "--ignore-not-found", "--timeout=90s")
