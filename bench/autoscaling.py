"""What looking at FederatedHPAs costs: the decision alone, and whole looks of the controller.

    PYTHONPATH=app .venv/bin/python bench/autoscaling.py [AUTOSCALERS [NAMESPACES]]

CPU time of one process; a store in memory, no network. 10,000 autoscalers (or AUTOSCALERS) of ten pods each in two clusters, two metrics, a
behaviour; an hour of history for the decision. A whole look reads the stored objects and the copies in the members, asks the control
plane's own API, which asks two members that answer from memory (what they need is not counted), decides, and finds that its status
stays as it is: samples are new each time, their averages are not. The target: all of them each 15 seconds within a quarter of a core.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from typing import Any
from urllib.parse import parse_qs

import orjson

from kafila.api.app import ObjectsApp
from kafila.api.deferred import DeferredMetaRoutes
from kafila.api.proxy import MemberProxy
from kafila.autoscaling.behavior import History
from kafila.autoscaling.calculator import Workload
from kafila.autoscaling.evaluation import Clocks, by_metrics, status_after
from kafila.autoscaling.metrics import PodUsage
from kafila.autoscaling.pods import Tuning, pod_of
from kafila.autoscaling.podset import PodSet
from kafila.catalog.catalog import load_catalog
from kafila.catalog.kind import Kind
from kafila.core.clock import rfc3339
from kafila.core.resources import split_api_version
from kafila.core.selectors import Selector
from kafila.core.values import Object
from kafila.members.transport import ASGITransport
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.clusters import Clusters
from kafila.reconcile.karmada.federatedhpa.controller import FederatedHPAs
from kafila.reconcile.karmada.federatedhpa.members import PodIndex
from kafila.reconcile.karmada.federatedhpa.metrics_api import APIMetrics
from kafila.reconcile.karmada.federatedhpa.shared_metrics import FRESH
from kafila.registry import Options, Registry
from kafila.registry.decoding import decode_object
from kafila.store.memory import MemoryDatabase, MemoryStore
from kafila.watch import Cache
from kafila.workers.collector import NEVER, OLDER, YOUNG
from kafila.workers.own_api import InProcessAPI

PERIOD, PODS, ROUNDS = 15.0, 10, 4
MEMBERS = ("m1", "m2")
SHARE = PODS // len(MEMBERS)
OPTIONS = Options(manager="bench")
FEDERATED = "federatedhpas.autoscaling.karmada.io"


def spec(name: str) -> Object:
    def metric(resource: str) -> Object:
        target = {"type": "Utilization", "averageUtilization": 50}
        return {"type": "Resource", "resource": {"name": resource, "target": target}}

    policies = [
        {"type": "Pods", "value": 4, "periodSeconds": 60},
        {"type": "Percent", "value": 100, "periodSeconds": 60},
    ]
    rules = {"stabilizationWindowSeconds": 300, "selectPolicy": "Max", "policies": policies}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 1,
        "maxReplicas": 100,
        "metrics": [metric("cpu"), metric("memory")],
        "behavior": {"scaleUp": rules | {"stabilizationWindowSeconds": 0}, "scaleDown": rules},
    }


def pods_of(namespace: str, name: str, cluster: str) -> list[Object]:
    requests = {"cpu": "200m", "memory": "1Gi"}
    labels = {"app": name, "pod-template-hash": f"{abs(hash(name)) % 10**8:08d}", "team": "shop"}
    since = rfc3339(time.time() - 7000)
    return [
        {
            "metadata": {"name": f"{name}-{cluster}-{index}", "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]},
            "status": {
                "phase": "Running",
                "startTime": since,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}],
            },
        }
        for index in range(SHARE)
    ]


def deployment(namespace: str, name: str, replicas: int) -> Object:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [{"name": "c", "image": "nginx", "resources": {"requests": {"cpu": "200m", "memory": "1Gi"}}}]
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"propagationpolicy.karmada.io/permanent-id": "p"},
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def cluster(name: str) -> Object:
    head = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
    return {**head, "spec": {"syncMode": "Push", "apiEndpoint": f"https://{name}.simulation.internal"}}


def binding(namespace: str, name: str, uid: str) -> Object:
    about = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid}
    owners = [{**about, "controller": True}]
    clusters = [{"name": each, "replicas": SHARE} for each in MEMBERS]
    return {
        "apiVersion": "work.karmada.io/v1alpha2",
        "kind": "ResourceBinding",
        "metadata": {"name": f"{name}-deployment", "namespace": namespace, "ownerReferences": owners},
        "spec": {"resource": {**about, "namespace": namespace}, "replicas": PODS, "clusters": clusters},
    }


def autoscaler(namespace: str, name: str) -> Object:
    head = {"apiVersion": "autoscaling.karmada.io/v1alpha1", "kind": "FederatedHPA"}
    return {**head, "metadata": {"name": name, "namespace": namespace}, "spec": spec(name)}


class Member:
    """Serves metrics.k8s.io."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, list[tuple[Object, Object]]]] = {}  # by namespace and app: metadata and use
        self._answers: dict[tuple[str, str], bytes] = {}  # by namespace and app, "" for all
        self.cpu = 0.0  # that its answers took, which is not ours
        self.asked = 0

    def put(self, namespace: str, pod: Object) -> None:
        cpu, memory = random.randrange(98_000_000, 102_000_000), random.randrange(520_000, 528_000)
        use = {"cpu": f"{cpu}n", "memory": f"{memory}Ki"}
        metadata = {**pod["metadata"], "creationTimestamp": rfc3339()}
        self._pods.setdefault(namespace, {}).setdefault(metadata["labels"]["app"], []).append((metadata, use))

    def measure(self) -> None:
        """Each pod uses now what its neighbour used: other samples, of which the averages stay."""
        self._answers.clear()
        for namespace, apps in self._pods.items():
            for app, pods in apps.items():
                apps[app] = [(pod, use) for (pod, _), (_, use) in zip(pods, pods[1:] + pods[:1], strict=True)]
                self._answers[namespace, app] = _listed(apps[app])
            self._answers[namespace, ""] = _listed([pod for pods in apps.values() for pod in pods])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = time.process_time()
        self.asked += 1
        path, query = scope["path"], parse_qs(scope["query_string"].decode())
        namespace = path.split("/")[5]
        wanted = query.get("labelSelector", [""])[0]
        body = self._answers[namespace, wanted.removeprefix("app=")]
        self.cpu += time.process_time() - began
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})


def _listed(pods: list[tuple[Object, Object]]) -> bytes:
    items = [
        {"metadata": pod, "timestamp": rfc3339(), "window": "15.2s", "containers": [{"name": "c", "usage": use}]}
        for pod, use in pods
    ]
    head = {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}}
    return orjson.dumps({**head, "items": items})


class Copies:
    """Of the workloads in the members."""

    def __init__(self) -> None:
        self._copies: dict[tuple[str, str, str], bytes] = {}

    def put(self, cluster: str, copy: Object) -> None:
        metadata = copy["metadata"]
        metadata.update(uid="0" * 36, resourceVersion="7", generation=1)
        counts = {"replicas": SHARE, "readyReplicas": SHARE, "availableReplicas": SHARE, "observedGeneration": 1}
        self._copies[cluster, metadata["namespace"], metadata["name"]] = orjson.dumps({**copy, "status": counts})

    async def observed_body(self, cluster: str, kind: Kind, copy: Object) -> bytes | None:
        metadata = copy["metadata"]
        return self._copies.get((cluster, metadata["namespace"], metadata["name"]))


class AllPods:
    def __init__(self) -> None:
        self.members = {name: PodIndex() for name in MEMBERS}

    async def select(self, cluster: str, namespace: str, selector: Selector) -> Any:
        return self.members[cluster].select(namespace, selector)


def decisions(count: int) -> None:
    now, wanted = time.time(), spec("web")
    histories = [History() for _ in range(count)]
    for history in histories:
        for step in range(240, 0, -1):
            history.recommend(PODS, now - 15 * step, 3600)
    pods = [pod_of(pod) for name in MEMBERS for pod in pods_of("shop", "web", name)]
    usages = [PodUsage("shop", pod.name, now, 15.0, {"c": {"cpu": 101, "memory": 2**29}}) for pod in pods]
    status: Object = {}
    began = time.process_time()
    for history in histories:
        workload = Workload(PODS, PODS, 1.0, PodSet(pods))
        verdict = by_metrics(wanted, [usages, usages], workload, history, Tuning(), "shop", Clocks(now, now))
        status = status_after(status, verdict, PODS, (), "", now)
    print(f"{count} decisions: {1e6 * (time.process_time() - began) / count:.0f} µs of CPU each", flush=True)


async def stored(count: int, namespaces: int, pods: AllPods, router: Copies, members: dict[str, Member]) -> Registry:
    """A control plane with all that the autoscalers need."""
    catalog, store = load_catalog(), MemoryStore(MemoryDatabase())
    await store.open()
    cache = Cache(store)
    await cache.load()
    registry = Registry(catalog, store, cache)

    async def create(obj: Object) -> None:
        kind = catalog.by_kind(*split_api_version(obj["apiVersion"]), obj["kind"])
        assert kind is not None
        namespace = obj["metadata"].get("namespace", "") if kind.namespaced else ""
        await registry.create(kind, namespace, decode_object(kind, obj, OPTIONS), OPTIONS)

    ready = {"type": "Ready", "status": "True", "reason": "r", "message": "", "lastTransitionTime": rfc3339()}
    status = {"conditions": [ready]}
    for name in MEMBERS:
        await create(cluster(name))
        kind = registry.kind("cluster.karmada.io", "v1alpha1", "clusters")
        await registry.modify(kind, "", name, lambda obj: {**obj, "status": status}, OPTIONS, "status")
    for number in range(count):
        namespace, name = f"ns-{number % namespaces}", f"web-{number}"
        if number < namespaces:
            await create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        await create(deployment(namespace, name, PODS))
        template = cache.get("deployments.apps", namespace, name)
        assert template is not None
        await create(binding(namespace, name, template.meta.uid))
        await create(autoscaler(namespace, name))
        for each in MEMBERS:
            router.put(each, deployment(namespace, name, SHARE))
            for pod in pods_of(namespace, name, each):
                pods.members[each].put(namespace, pod["metadata"]["name"], pod_of(pod))
                members[each].put(namespace, pod)
    return registry


async def looks(count: int, namespaces: int) -> None:
    pods, router, members = AllPods(), Copies(), {name: Member() for name in MEMBERS}
    registry = await stored(count, namespaces, pods, router, members)

    def transport(cluster: Object) -> ASGITransport:
        return ASGITransport(members[cluster["metadata"]["name"]], {})

    api = InProcessAPI()
    api.app = ObjectsApp(registry, DeferredMetaRoutes({}), MemberProxy(registry, transport))
    controller = FederatedHPAs(
        registry,
        Recorder(registry),
        Clusters(registry),
        router,  # type: ignore[arg-type]
        pods,  # type: ignore[arg-type]
        APIMetrics(api, registry.catalog),
        600.0,  # in the bench each look is asked for
        Tuning(),
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, NEVER)  # as in a process that is ready
    controller.queue.start()
    for number in range(ROUNDS):
        await asyncio.sleep(FRESH + 0.5)  # each round has new answers
        for each in members.values():
            each.measure()
        theirs, asked = sum(each.cpu for each in members.values()), sum(each.asked for each in members.values())
        began = time.process_time()
        for entry in registry.cache.resource(FEDERATED).entries():
            controller.queue.add(entry.key)
        await controller.queue.idle()
        spent = time.process_time() - began - sum(each.cpu for each in members.values()) + theirs
        what = "the first look, which writes a status" if not number else "a look"
        asked = sum(each.asked for each in members.values()) - asked
        print(
            f"{count} autoscalers in {namespaces} namespaces, {what}: {1e6 * spent / count:.0f} µs of CPU each, members were asked {asked} times"
            + (
                f"; 10,000 of them each {PERIOD:.0f} s: {spent / count * 10_000 / PERIOD:.3f} of a core"
                if number
                else ""
            ),
            flush=True,
        )
    await controller.stop()


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    total = given[0] if given else 10_000
    decisions(total)
    asyncio.run(looks(total, given[1] if len(given) > 1 else max(1, total // 100)))
