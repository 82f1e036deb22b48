"""What the cache of members' objects costs whoever serves it (docs/search.md): a LIST of 10,000 pods, and memory with many objects.

    python bench/search.py /some/folder/others/may/enter [objects, by default 10000 100000 1000000]

A ``kafila serve`` over a PostgreSQL of its own; the objects are written straight into the cache, as followers of ten members would.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from http.client import HTTPSConnection
from pathlib import Path

import asyncpg
import yaml

from kafila.catalog.catalog import load_catalog
from kafila.search.bodies import kept_body
from kafila.store import open_store
from kafila.store.embedded import EmbeddedPostgres
from kafila.store.search import ObjectWrite

PODS = "/v1/pods"
CLUSTERS = [f"member{number}" for number in range(10)]
LIST = 10_000  # pods of a namespace, over all clusters
PROXYING = "/apis/search.karmada.io/v1alpha1/proxying/karmada/proxy"
ROUNDS = 7
WRITER = 1


def pod(namespace: str, number: int) -> dict:
    name = f"web-{number % 97:02}-6f7d9c{number:08x}"
    conditions = [
        {"type": each, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-11-30T08:00:00Z"}
        for each in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    mount = {"name": "kube-api-access", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    container = {
        "name": "web",
        "image": "registry.example.com/team/web:1.29.4",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": f"SETTING_{index}", "value": f"value-{index}"} for index in range(6)],
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "volumeMounts": [mount],
        "imagePullPolicy": "IfNotPresent",
    }
    status = {
        "name": "web",
        "ready": True,
        "restartCount": 0,
        "image": container["image"],
        "containerID": f"containerd://{number:064x}",
        "state": {"running": {"startedAt": "2026-11-30T08:00:00Z"}},
    }
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{number:08x}-0000-4000-8000-{number:012x}",
            "resourceVersion": str(number + 1),
            "creationTimestamp": "2026-11-30T08:00:00Z",
            "labels": {"app": f"web-{number % 97:02}", "pod-template-hash": "6f7d9c", "team": namespace},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web-6f7d9c",
                    "uid": f"{number:036x}",
                    "controller": True,
                }
            ],
        },
        "spec": {
            "containers": [container],
            "nodeName": f"node-{number % 500}",
            "serviceAccountName": "default",
            "schedulerName": "default-scheduler",
            "restartPolicy": "Always",
            "tolerations": [
                {
                    "key": f"node.kubernetes.io/{each}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
                for each in ("not-ready", "unreachable")
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "hostIP": "10.0.0.1",
            "startTime": "2026-11-30T08:00:00Z",
            "conditions": conditions,
            "containerStatuses": [status],
        },
    }


async def fill(dsn: str, count: int) -> None:
    """Pods in turn in all clusters; each namespace has as many as are listed. The first go through the cache, as if a
    follower wrote them; many more are copies of these in other namespaces, which the database makes itself."""
    kind = load_catalog().get("", "v1", "pods")
    assert kind is not None
    store = await open_store(dsn, None)
    try:
        for place, cluster in enumerate(CLUSTERS):
            await store.search.take_over(PODS, cluster, (), WRITER)
            writes = []
            for number in range(place, LIST, len(CLUSTERS)):
                obj = pod("team-0", number)
                labels = json.dumps(obj["metadata"]["labels"]).encode()
                where = obj["metadata"]["namespace"], obj["metadata"]["name"]
                writes.append(ObjectWrite(*where, number + 1, str(number + 1), labels, kept_body(kind, obj, cluster)))
            await store.search.write(PODS, cluster, WRITER, writes, version=LIST)
    finally:
        await store.close()
    connection = await asyncpg.connect(dsn)
    for number in range(1, count // LIST):
        await connection.execute(_COPY, f"team-{number}")
    await connection.close()


_COPY = """
INSERT INTO search_objects
SELECT resource, cluster, $1, name, version, since, object_version, labels, before, before_version, deleted, at, body
FROM search_objects WHERE namespace = 'team-0' ON CONFLICT DO NOTHING
"""


class Client:
    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)
        host, _, port = cluster["server"].removeprefix("https://").partition(":")
        self._connection = HTTPSConnection(host, int(port), context=self._context, timeout=600)

    def reconnect(self) -> None:
        """What has been idle for long the server has closed."""
        self._connection.close()

    def ask(self, method: str, path: str, body: dict | None = None) -> bytes:
        sent = json.dumps(body) if body is not None else None
        self._connection.request(method, path, sent, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status in (200, 201), (answer.status, data[:500])
        return data


def memory(pid: int) -> float:
    """PSS in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(client: Client, pid: int, path: str) -> str:
    client.reconnect()
    took, before = [], cpu(pid)
    for _ in range(ROUNDS):
        started = time.perf_counter()
        data = client.ask("GET", path)
        took.append((time.perf_counter() - started) * 1000)
    used = (cpu(pid) - before) / ROUNDS * 1000
    return f"{statistics.median(took):.0f} ms (CPU {used:.0f} ms, {len(data) / 1e6:.1f} MB, {data.count(b'cached-from-cluster')} objects)"


async def main(folder: Path, counts: list[int]) -> None:
    async with EmbeddedPostgres(folder / "database") as dsn:
        await (await open_store(dsn, None)).close()
        await asyncio.to_thread(serve, dsn, folder, counts)


def serve(dsn: str, folder: Path, counts: list[int]) -> None:
    program = "from kafila.cli import main; main()"
    flags = [f"--database-url={dsn}", f"--data-dir={folder}/data", "--bind=127.0.0.1:0", "--controllers=*,-search"]
    path = folder / "log"
    with path.open("w+") as log:
        server = subprocess.Popen([sys.executable, "-c", program, "serve", *flags], stderr=log, stdout=log)
        try:
            while '"event": "ready"' not in path.read_text():
                assert server.poll() is None, path.read_text()
                time.sleep(0.1)
            run(dsn, server.pid, Client(folder / "data/kubeconfig"), counts)
        finally:
            server.terminate()
            server.wait(30)


def run(dsn: str, pid: int, client: Client, counts: list[int]) -> None:
    registry = {
        "apiVersion": "search.karmada.io/v1alpha1",
        "kind": "ResourceRegistry",
        "metadata": {"name": "pods"},
        "spec": {"targetCluster": {}, "resourceSelectors": [{"apiVersion": "v1", "kind": "Pod"}]},
    }
    client.ask("POST", "/apis/search.karmada.io/v1alpha1/resourceregistries", registry)
    print(f"empty: {memory(pid):.0f} MiB")
    for count in counts:
        started = time.perf_counter()
        asyncio.run(fill(dsn, count))
        print(f"{count:,} objects, written in {time.perf_counter() - started:.0f} s", flush=True)
        pods = f"{PROXYING}/api/v1/namespaces/team-0/pods"
        print(f"  LIST of {LIST:,}: {measure(client, pid, pods)}")
        print(f"  the first 500: {measure(client, pid, f'{PROXYING}/api/v1/pods?limit=500')}")
        print(f"  one by label: {measure(client, pid, f'{pods}?labelSelector=app%3Dweb-01')}")
        name = pod("team-0", 5)["metadata"]["name"]
        print(f"  GET: {measure(client, pid, f'{pods}/{name}')}")
        print(f"  memory of the server: {memory(pid):.0f} MiB", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), [int(each) for each in sys.argv[2:]] or [10_000, 100_000, 1_000_000]))
