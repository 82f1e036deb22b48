"""How long a changed endpoint takes to the clusters that use its service (docs/services.md), among 1,000 services of 10 slices each.

    python bench/services.py /some/folder/others/may/enter [--services 1000] [--slices 10] [--rounds 100] [--way mcs|export]

One process: a ``kafila serve`` over its embedded PostgreSQL, and two simulated members. All slices are in the one and used in the other.
``mcs``: MultiClusterServices; ``export``: ServiceExports and ServiceImports.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafila.catalog.catalog import load_catalog
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.members.transport import ASGITransport
from kafila.registry import SYSTEM_ADMIN, Options, Registry
from kafila.registry.decoding import decode_object
from kafila.settings.settings import Settings
from kafila.simulation import SimulatedCluster
from kafila.watch import Event
from kafila.workers.process import Process
from kafila.workers.serve import open_data

MCS = "multicluster.x-k8s.io/v1alpha1"
SLICES = "endpointslices.discovery.k8s.io"
OPTIONS = Options(manager="bench")
NAMESPACES = 10
ENDPOINTS = 10  # of a slice
CATALOG = load_catalog()


async def create(registry: Registry, *objects: Object) -> None:
    for obj in objects:
        kind = CATALOG.by_kind(*split_api_version(obj["apiVersion"]), obj["kind"])
        assert kind is not None
        namespace = obj["metadata"].get("namespace", "") if kind.namespaced else ""
        await registry.create(kind, namespace, decode_object(kind, obj, OPTIONS), OPTIONS)
        await asyncio.sleep(0)  # a store in memory never makes anybody wait, and the control plane is here too


def service(namespace: str, name: str) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def endpoint_slice(namespace: str, of: str, number: int) -> Object:
    labels = {
        "kubernetes.io/service-name": of,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    endpoints = [
        {
            "addresses": [f"10.{number}.{each}.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{each}",
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": f"{of}-{number}-{each}", "uid": "0" * 36},
        }
        for each in range(ENDPOINTS)
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{of}-{number}", "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def shared(namespace: str, name: str) -> Object:
    spec = {
        "types": ["CrossCluster"],
        "providerClusters": [{"name": "member1"}],
        "consumerClusters": [{"name": "member2"}],
    }
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "networking.karmada.io/v1alpha1",
        "kind": "MultiClusterService",
        "metadata": metadata,
        "spec": spec,
    }


def export(namespace: str, name: str) -> list[Object]:
    metadata = {"name": name, "namespace": namespace}
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return [
        {"apiVersion": MCS, "kind": "ServiceExport", "metadata": metadata},
        {
            "apiVersion": MCS,
            "kind": "ServiceImport",
            "metadata": metadata,
            "spec": {"type": "ClusterSetIP", "ports": ports},
        },
    ]


def policy(name: str, kind: str, cluster: str) -> Object:
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "ClusterPropagationPolicy",
        "metadata": {"name": name},
        "spec": {
            "resourceSelectors": [{"apiVersion": MCS, "kind": kind}],
            "placement": {"clusterAffinity": {"clusterNames": [cluster]}},
        },
    }


class Arrivals:
    """Says when an EndpointSlice of the consumer has an address."""

    def __init__(self, member: SimulatedCluster) -> None:
        self.count = 0
        self._waiting: dict[bytes, asyncio.Future[float]] = {}
        member.registry.cache.listen(SLICES, self._observe)

    def of(self, address: str) -> asyncio.Future[float]:
        return self._waiting.setdefault(address.encode(), asyncio.get_running_loop().create_future())

    def _observe(self, event: Event) -> None:
        if event.new is None:
            return
        self.count += event.old is None
        body = event.new.body
        for address in [address for address in self._waiting if address in body]:
            self._waiting.pop(address).set_result(time.perf_counter())


async def until(holds: Callable[[], Any], seconds: float = 1800) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


async def measure(folder: Path, services: int, slices: int, rounds: int, way: str) -> None:
    members = {name: SimulatedCluster(name, CATALOG, 1) for name in ("member1", "member2")}
    for member in members.values():
        await member.start()
    settings = Settings(
        data_dir=folder,
        bind="127.0.0.1:0",
        feature_gates="MultiClusterService=true",
        cluster_status_frequency=10.0,
    )

    def transport(cluster: Any) -> ASGITransport:
        return ASGITransport(members[cluster["metadata"]["name"]].app, {"user": SYSTEM_ADMIN})

    process = Process(settings, (await open_data(settings)).store, transport)
    serving = asyncio.create_task(process.run())
    await process.started.wait()
    registry, arrivals = process.registry, Arrivals(members["member2"])
    for name in members:
        spec = {"syncMode": "Push", "apiEndpoint": f"https://{name}.simulation.internal"}
        head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
        await create(registry, {**head, "spec": spec})
    places = [(f"team-{number % NAMESPACES}", f"web-{number}") for number in range(services)]
    for namespace in sorted({namespace for namespace, _ in places}):
        await create(registry, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        await until(lambda namespace=namespace: members["member1"].registry.cache.get("namespaces", "", namespace))
    for namespace, name in places:
        await create(members["member1"].registry, *(endpoint_slice(namespace, name, each) for each in range(slices)))
    started, before = time.perf_counter(), arrivals.count
    if way == "export":
        await create(registry, policy("exports", "ServiceExport", "member1"))
        await create(registry, policy("imports", "ServiceImport", "member2"))
    for namespace, name in places:
        await create(registry, service(namespace, name))
        await create(registry, *([shared(namespace, name)] if way == "mcs" else export(namespace, name)))
    await until(lambda: arrivals.count - before >= services * slices)
    print(
        f"{way}: {services} services of {slices} slices: all there after {time.perf_counter() - started:.0f} s",
        flush=True,
    )
    await asyncio.sleep(5)
    await report(members["member1"].registry, arrivals, places, slices, rounds)
    process.stop()
    await serving
    for member in members.values():
        await member.stop()


async def report(theirs: Registry, arrivals: Arrivals, places: list[tuple[str, str]], slices: int, rounds: int) -> None:
    kind, chance = theirs.kind("discovery.k8s.io", "v1", "endpointslices"), random.Random(1)

    chosen = iter(chance.sample([(*place, each) for place in places for each in range(slices)], 2 * rounds))

    async def changed(address: str) -> float:
        """Seconds until it is there. Each time another slice: of two changes of one only the last has to arrive."""
        namespace, name, number = next(chosen)
        there = arrivals.of(address)

        def change(obj: Object) -> Object:
            obj["endpoints"][0]["addresses"] = [address]
            return obj

        before = time.perf_counter()
        await theirs.modify(kind, namespace, f"{name}-{number}", change, OPTIONS)
        return await there - before

    cpu = time.process_time()
    alone = [await changed(f"172.16.{number // 250}.{number % 250 + 1}") for number in range(rounds)]
    spent = (time.process_time() - cpu) / rounds
    cpu = time.process_time()
    together = await asyncio.gather(
        *(changed(f"172.17.{number // 250}.{number % 250 + 1}") for number in range(rounds))
    )
    spent_together = (time.process_time() - cpu) / rounds
    for what, found in (("one after the other", alone), (f"{rounds} at once", together)):
        found = sorted(found)
        p99 = found[int(len(found) * 0.99) - 1]
        print(
            f"  {what}: p50 {statistics.median(found) * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, most {found[-1] * 1e3:.0f} ms"
        )
    each = f"{spent * 1e3:.1f} ms for each change alone, {spent_together * 1e3:.1f} ms for each of many"
    print(f"  CPU of all of it, members too: {each}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--way", choices=("mcs", "export"), default="mcs")
    given = parser.parse_args()
    asyncio.run(measure(given.folder, given.services, given.slices, given.rounds, given.way))
