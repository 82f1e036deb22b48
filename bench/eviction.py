"""What a cluster that dies with all that is in it costs new templates (docs/failover.md).

    python bench/eviction.py /some/folder/others/may/enter [--bindings 5000] [--rate 5] [--samples 100] [--every 0.2] [--turns 3]

One process: a ``kafila serve`` over its embedded PostgreSQL, and three simulated members. All objects are in the first one, which answers no more
and gets a NoExecute taint; they go to the second one at ``--resource-eviction-rate``, which stops when the taint is taken away. Meanwhile
new templates go to the third one: how long until each is there, and for how much of that the event loop worked, for it or for others:
that says who goes first also on a machine where others have most of the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from kafila.catalog.catalog import load_catalog
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.members.transport import ASGITransport, Headers, Response, Timeouts, Unreachable
from kafila.registry import SYSTEM_ADMIN, Options, Registry
from kafila.registry.decoding import decode_object
from kafila.settings.settings import Settings
from kafila.simulation import SimulatedCluster
from kafila.watch import Event
from kafila.workers.process import Process
from kafila.workers.serve import open_data

OPTIONS = Options(manager="bench")
CATALOG = load_catalog()
BINDINGS = "resourcebindings.work.karmada.io"


class MortalTransport:
    """A member that can stop answering."""

    def __init__(self, app: Any) -> None:
        self._transport = ASGITransport(app, {"user": SYSTEM_ADMIN})
        self.is_dead = False

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts
    ) -> Response:
        if self.is_dead:
            raise Unreachable("connection refused", sent=False)
        return await self._transport.send(method, target, headers, body, timeouts)

    async def close(self) -> None:
        await self._transport.close()


async def create(registry: Registry, obj: Object) -> None:
    kind = CATALOG.by_kind(*split_api_version(obj["apiVersion"]), obj["kind"])
    assert kind is not None
    namespace = obj["metadata"].get("namespace", "") if kind.namespaced else ""
    await registry.create(kind, namespace, decode_object(kind, obj, OPTIONS), OPTIONS)


def cluster(name: str) -> Object:
    head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
    return {**head, "spec": {"syncMode": "Push", "apiEndpoint": f"https://{name}.simulation.internal"}}


def template(name: str, app: str) -> Object:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": "x" * 1000}}


def policy(app: str, *names: str) -> Object:
    """Each object in one of the clusters."""
    one = {"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": app, "namespace": "shop"},
        "spec": {
            "resourceSelectors": [
                {"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"app": app}}}
            ],
            "placement": {"clusterAffinity": {"clusterNames": list(names)}, "spreadConstraints": [one]},
        },
    }


class Arrivals:
    """When ConfigMaps come to a member."""

    def __init__(self, member: SimulatedCluster) -> None:
        self.count = 0
        self._waiting: dict[str, asyncio.Future[float]] = {}
        member.registry.cache.listen("configmaps", self._observe)

    def of(self, name: str) -> asyncio.Future[float]:
        return self._waiting.setdefault(name, asyncio.get_running_loop().create_future())

    def _observe(self, event: Event) -> None:
        if event.old is not None or event.new is None:
            return
        self.count += event.key.namespace == "shop"
        waiting = self._waiting.get(event.key.name)
        if waiting is not None and not waiting.done():
            waiting.set_result(time.perf_counter())


async def until(holds: Callable[[], Any], seconds: float = 1800) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


async def sampled(registry: Registry, arrivals: Arrivals, what: str, samples: int, every: float) -> None:
    """New templates, one each ``every`` seconds, whether the one before is there or not."""

    async def one(name: str) -> tuple[float, float]:
        there, began, loop = arrivals.of(name), time.perf_counter(), time.thread_time()
        await create(registry, template(name, "new"))
        return await there - began, time.thread_time() - loop

    tasks, cpu, began = [], time.process_time(), time.perf_counter()
    for number in range(samples):
        tasks.append(asyncio.create_task(one(f"new-{what.replace(' ', '-')}-{number}")))
        await asyncio.sleep(every)
    took, busy = (sorted(each) for each in zip(*await asyncio.gather(*tasks), strict=True))
    used = (time.process_time() - cpu) / (time.perf_counter() - began)
    print(f"  {what}: {shown(took)}; CPU of the event loop meanwhile {shown(busy)}; {used:.2f} of a core", flush=True)


def shown(found: list[float]) -> str:
    """Of sorted seconds."""
    p99 = found[int(len(found) * 0.99) - 1]
    return f"p50 {statistics.median(found) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, most {found[-1] * 1e3:.1f} ms"


async def at_rest(process: Process) -> None:
    """Everything that was enqueued again is done: two seconds without a write."""
    before, since, began = -1, time.perf_counter(), time.perf_counter()
    while (now := time.perf_counter()) - since < 2 and now - began < 300:
        await asyncio.sleep(0.1)
        if process.registry.cache.revision != before:
            before, since = process.registry.cache.revision, time.perf_counter()


async def measure(folder: Path, bindings: int, rate: float, samples: int, every: float, turns: int) -> None:
    members = {name: SimulatedCluster(name, CATALOG, 1) for name in ("dying", "other", "third")}
    transports = {name: MortalTransport(member.app) for name, member in members.items()}
    for member in members.values():
        await member.start()
    settings = Settings(
        data_dir=folder,
        bind="127.0.0.1:0",
        feature_gates="Failover=true",
        enable_no_execute_taint_eviction=True,
        resource_eviction_rate=rate,
        unhealthy_cluster_threshold=1.0,
        cluster_status_frequency=10.0,
    )
    process = Process(
        settings, (await open_data(settings)).store, lambda cluster: transports[cluster["metadata"]["name"]]
    )
    serving = asyncio.create_task(process.run())
    await process.started.wait()
    registry = process.registry
    dying, other, third = (Arrivals(member) for member in members.values())
    await create(registry, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    await create(registry, policy("old", "dying", "other"))
    await create(registry, policy("new", "third"))
    for name in ("dying", "third"):
        await create(registry, cluster(name))
        await until(lambda name=name: members[name].registry.cache.get("namespaces", "", "shop"))
    started = time.perf_counter()
    for number in range(bindings):
        await create(registry, template(f"old-{number}", "old"))
        await asyncio.sleep(0)
    await until(lambda: dying.count >= bindings)
    print(f"{bindings} objects in the cluster after {time.perf_counter() - started:.0f} s", flush=True)
    await create(registry, cluster("other"))
    await until(lambda: members["other"].registry.cache.get("namespaces", "", "shop"))
    await at_rest(process)
    kind = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")

    def tainted(*taints: Object) -> Callable[[Object], Object]:
        return lambda obj: {**obj, "spec": {**obj["spec"], "taints": list(taints)}}

    dead = {"key": "dead", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
    await sampled(registry, third, "before", samples, every)
    transports["dying"].is_dead = True
    await members["dying"].stop()
    await sampled(registry, third, "it answers no more", samples, every)
    for turn in range(1, turns + 1):  # in turns, for other load on the machine comes and goes
        await registry.modify(kind, "", "dying", tainted(dead), OPTIONS)
        before, at = other.count, time.perf_counter()
        await sampled(registry, third, f"while it is evicted {turn}", samples, every)
        pace = (other.count - before) / (time.perf_counter() - at)
        print(f"    evicted: {other.count - before}, {pace:.2f} a second (asked for: {rate:g})", flush=True)
        await registry.modify(kind, "", "dying", tainted(), OPTIONS)
        await at_rest(process)
        await sampled(registry, third, f"its taint is taken away {turn}", samples, every)
    process.stop()
    await serving
    for name in ("other", "third"):
        await members[name].stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bindings", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--every", type=float, default=0.2)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )  # as of `kafila serve`: no debugging
    asyncio.run(measure(given.folder, given.bindings, given.rate, given.samples, given.every, given.turns))
